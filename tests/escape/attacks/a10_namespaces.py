# SPDX-License-Identifier: Apache-2.0
FLAGS = {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000,
         "ipc": 0x08000000, "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x80}
for name, flag in FLAGS.items():
    attack(f"unshare {name}", lambda: child_succeeds(lambda: syscall("unshare", flag)))
attack("unshare user and net", lambda: child_succeeds(
    lambda: syscall("unshare", FLAGS["user"] | FLAGS["net"])))


def clone(flags):
    child = syscall("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


attack("clone user", lambda: clone(FLAGS["user"]))
attack("clone user and mount", lambda: clone(FLAGS["user"] | FLAGS["mount"]))


def clone3(flags):
    arguments = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, signal.SIGCHLD)
    child = syscall("clone3", arguments, 88)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


attack("clone3 user", lambda: clone3(FLAGS["user"]))
for name in ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup"):
    attack(f"setns {name} of process 1", lambda: child_succeeds(
        lambda: syscall("setns", os.open(f"/proc/1/ns/{name}", os.O_RDONLY), 0)))
attack("write uid_map", lambda: os.write(os.open("/proc/self/uid_map", os.O_WRONLY), b"0 0 1"))
twin("fork", lambda: child_succeeds(lambda: None))


def thread():
    import threading
    seen = []
    worker = threading.Thread(target=lambda: seen.append(1))
    worker.start()
    worker.join()
    return seen == [1]


twin("thread", thread)
