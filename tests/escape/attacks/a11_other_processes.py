# SPDX-License-Identifier: Apache-2.0
import time

child = os.fork()
if child == 0:
    time.sleep(20)
    os._exit(0)
buffer = ctypes.create_string_buffer(b"secret", 16)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


local = ctypes.create_string_buffer(16)
here = Vector(ctypes.cast(local, ctypes.c_void_p), 6)
there = Vector(ctypes.cast(buffer, ctypes.c_void_p), 6)
PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE = 0, 16, 0x4206
attack("ptrace traceme", lambda: child_succeeds(lambda: syscall("ptrace", PTRACE_TRACEME, 0, 0, 0)))
attack("ptrace seize", lambda: syscall("ptrace", PTRACE_SEIZE, child, 0, 0))
attack("process_vm_readv", lambda: syscall(
    "process_vm_readv", child, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attack("process_vm_writev", lambda: syscall(
    "process_vm_writev", child, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attack("pidfd_getfd", lambda: syscall("pidfd_getfd", syscall("pidfd_open", child, 0), 1, 0))
attack("kcmp", lambda: syscall("kcmp", os.getpid(), child, 0, 0, 0))
attack("see processes of the host", lambda: max(
    int(name) for name in os.listdir("/proc") if name.isdigit()) > 10_000 or len(
    [name for name in os.listdir("/proc") if name.isdigit()]) > 4)
attack("read init's memory of the host", lambda: b"/sbin/init" in open(
    "/proc/1/cmdline", "rb").read())
twin("end one's own child", lambda: (os.kill(child, signal.SIGKILL),
                                     os.waitpid(child, 0)[1] == signal.SIGKILL)[1])
twin("wait for a child", lambda: in_child(lambda: os._exit(7)) == 7)
