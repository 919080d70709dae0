# SPDX-License-Identifier: Apache-2.0
# Memory that no process owns. The driver's limit is 64 MB.
import socket

pair = socket.socketpair()
twin("a socket with bytes in it", lambda: pair[0].send(b"x" * 1000) == 1000)
for _ in range(30):
    if os.fork() == 0:
        held = []
        try:
            while True:
                one, other = socket.socketpair()
                one.setblocking(False)
                held.append((one, other))
                try:
                    while True:
                        one.send(b"x" * 65536)
                except BlockingIOError:
                    pass
        except OSError:
            signal.pause()
while True:
    signal.pause()
