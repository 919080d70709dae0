# SPDX-License-Identifier: Apache-2.0
attack("init_module", lambda: syscall("init_module", b"\x7fELF", 4, b""))
attack("finit_module", lambda: syscall("finit_module", os.open("/etc/passwd", 0), b"", 0))
attack("kexec_load", lambda: syscall("kexec_load", 0, 0, None, 0))
attack("reboot", lambda: syscall("reboot", 0xFEE1DEAD, 672274793, 0, None))
attack("syslog", lambda: syscall("syslog", 3, ctypes.create_string_buffer(64), 64))
attack("swapon", lambda: syscall("swapon", b"/work/swap", 0))
attack("acct", lambda: syscall("acct", b"/work/acct"))
attack("quotactl", lambda: syscall("quotactl", 0x80000100, None, 0, None))
attack("personality", lambda: syscall("personality", 0x0040000))
attack("fanotify_init", lambda: syscall("fanotify_init", 0x200, 0))
for name in ("shmmax", "msgmax"):
    attack(f"kernel/{name}", lambda: os.write(
        os.open(f"/proc/sys/kernel/{name}", os.O_WRONLY), b"1"))
attack("System V shared memory", lambda: syscall("shmget", 0, 4096, 0o1600))
attack("System V messages", lambda: syscall("msgget", 0, 0o1600))
attack("System V semaphores", lambda: syscall("semget", 0, 1, 0o1600))
attack("a POSIX message queue", lambda: syscall("mq_open", b"q", 0o102, 0o600, None))


def shared_memory():
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.buf[0] = 7
    block.close()
    block.unlink()


twin("POSIX shared memory", shared_memory)
