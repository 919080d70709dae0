# SPDX-License-Identifier: Apache-2.0
two_longs = (ctypes.c_long * 2)(0, 0)
attack("settimeofday", lambda: syscall("settimeofday", two_longs, None))
attack("clock_settime", lambda: syscall("clock_settime", 0, two_longs))
attack("adjtimex", lambda: syscall("adjtimex", ctypes.create_string_buffer(b"\x01", 256)))
attack("clock_adjtime", lambda: syscall(
    "clock_adjtime", 0, ctypes.create_string_buffer(b"\x01", 256)))
attack("sethostname", lambda: syscall("sethostname", b"evil", 4))
attack("setdomainname", lambda: syscall("setdomainname", b"evil", 4))
twin("the time", lambda: __import__("time").time() > 1_600_000_000)
twin("a name", lambda: platform.node() == "sandbox")
