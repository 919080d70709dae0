# SPDX-License-Identifier: Apache-2.0
known = []
for name in os.listdir("/proc/self/fd"):
    try:
        known.append((int(name), os.readlink(f"/proc/self/fd/{name}")))
    except OSError:
        pass
attack("descriptors of the supervisor", lambda: [
    (fd, path) for fd, path in known
    if not path.startswith(("pipe:", "/dev/null", "/proc/")) or fd > 16] or False)
for fd, _ in known:
    attack(f"a directory behind descriptor {fd}", lambda: os.open("..", os.O_RDONLY, dir_fd=fd))
    attack(f"runc's directory behind descriptor {fd}", lambda: os.listdir(f"/proc/self/fd/{fd}/.."))
for process in filter(str.isdigit, os.listdir("/proc")):
    attack(f"overwrite the program of {process}",
           lambda: os.open(f"/proc/{process}/exe", os.O_WRONLY))
    attack(f"leave through the directory of {process}",
           lambda: os.path.exists(f"/proc/{process}/cwd/../../../../..{CANARY}"))
attack("read what the supervisor reads", lambda: os.read(3, 1))
twin("a file of one's own", lambda: os.open("/work/file", os.O_RDWR | os.O_CREAT) > 2)
twin("a pipe", lambda: len(os.pipe()) == 2)
