# SPDX-License-Identifier: Apache-2.0
# The driver listens at ABSTRACT in its own network namespace, and at SOCKET_PATH.
import socket


def connect(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(address)


attack("an abstract socket of the host", lambda: connect("\0" + ABSTRACT))
attack("a socket file of the host", lambda: connect(SOCKET_PATH))
for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
             "/run/systemd/private", "/run/dbus/system_bus_socket"):
    attack(path, lambda: connect(path))


def own(address):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        connect(address)


twin("an abstract socket of one's own", lambda: own("\0mine"))
twin("a socket file of one's own", lambda: own("/work/mine"))
pair = socket.socketpair()
twin("a socket pair", lambda: pair[0].send(b"x") == 1)
