# SPDX-License-Identifier: Apache-2.0
import mmap


def run(code):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()


GETPID_INT80 = b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3"  # eax = 20: getpid of i386
RETURN_42 = b"\xb8\x2a\x00\x00\x00\xc3" if X86_64 else b"\x40\x05\x80\x52\xc0\x03\x5f\xd6"
if X86_64:
    attack("a system call of i386", lambda: in_child(lambda: os._exit(run(GETPID_INT80) < 0)) == 0)
    attack("a system call of x32", lambda: in_child(
        lambda: os._exit(LIBC.syscall(ctypes.c_long(0x40000000 | 39)) < 0)) == 0)
twin("machine code of one's own", lambda: run(RETURN_42) == 42)
