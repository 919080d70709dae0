# SPDX-License-Identifier: Apache-2.0
import resource

attack("real-time priority", lambda: os.sched_setscheduler(
    0, os.SCHED_FIFO, os.sched_param(1)))
attack("a higher priority", lambda: os.nice(-5))
attack("lock all memory", lambda: syscall("mlockall", 3))
attack("lock much memory", lambda: LIBC.mlock(
    ctypes.create_string_buffer(32_000_000), 32_000_000) == 0)
for name in ("NOFILE", "MEMLOCK", "RTPRIO", "SIGPENDING", "FSIZE"):
    kind = getattr(resource, "RLIMIT_" + name)
    attack(f"a higher limit {name}", lambda: resource.setrlimit(
        kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))


def many_files():
    held = []
    while len(held) < 2000:
        held.append(os.open("/dev/null", os.O_RDONLY))
    return held


attack("2000 open files", many_files)
for fd in range(16, 2000):
    try:
        os.close(fd)
    except OSError:
        pass
twin("a lower priority", lambda: os.nice(5) >= 5)
twin("a lower limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 256)))
