# SPDX-License-Identifier: Apache-2.0
import fcntl

TIOCSTI, TIOCLINUX, TIOCSCTTY = 0x5412, 0x541C, 0x540E
attack("/dev/tty", lambda: os.open("/dev/tty", os.O_RDWR))
attack("/dev/console", lambda: os.open("/dev/console", os.O_RDWR))
attack("/dev/ptmx", lambda: os.open("/dev/ptmx", os.O_RDWR))
for fd in (0, 1, 2):
    attack(f"TIOCSTI on {fd}", lambda: fcntl.ioctl(fd, TIOCSTI, b"x"))
    attack(f"TIOCLINUX on {fd}", lambda: fcntl.ioctl(fd, TIOCLINUX, b"\x02"))
    attack(f"TIOCSCTTY on {fd}", lambda: fcntl.ioctl(fd, TIOCSCTTY, 1))
    # The filter compares 64 bits and the kernel takes 32: the same request must not pass so.
    attack(f"TIOCSTI with high bits on {fd}",
           lambda: syscall("ioctl", fd, TIOCSTI | 1 << 32, ctypes.c_char_p(b"x")))
twin("isatty", lambda: os.isatty(1) is False)
twin("the width of a bar", lambda: __import__("shutil").get_terminal_size().columns == 80)
