# SPDX-License-Identifier: Apache-2.0
import socket

FAMILIES = {"INET": 2, "INET6": 10, "NETLINK": 16, "PACKET": 17, "ALG": 38, "VSOCK": 40, "XDP": 44,
            "BLUETOOTH": 31, "CAN": 29, "TIPC": 30, "KCM": 41, "QIPCRTR": 42, "SMC": 43}
for name, family in FAMILIES.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        attack(f"socket {name} {int(kind)}", lambda: socket.socket(family, kind, 0).close())
attack("the host's loopback", lambda: socket.create_connection(("127.0.0.1", PORT), 2))
attack("a name server", lambda: socket.getaddrinfo("example.com", 80))
attack("the cloud's metadata", lambda: socket.create_connection(("169.254.169.254", 80), 2))
attack("an interface besides lo", lambda: [
    line for line in open("/proc/net/dev").read().splitlines()[2:]
    if line.split(":")[0].strip() != "lo"] or False)
attack("socket with high bits", lambda: LIBC.syscall(
    ctypes.c_long(41 if X86_64 else 198), ctypes.c_long(2 | 1 << 32), ctypes.c_long(1), 0) >= 0)
twin("a pair of sockets", lambda: socket.socketpair()[1].fileno() > 0)
