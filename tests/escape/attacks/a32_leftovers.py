# SPDX-License-Identifier: Apache-2.0
# Runs twice, one after the other: the second must find nothing of the first.
import socket

places = [place + "/leftover" for place in ("/work", "/tmp", "/dev/shm", "/dev")]
attack("something of an earlier job", lambda: [
    place for place in places if os.path.exists(place)] or False)


def connect():
    socket.socket(socket.AF_UNIX).connect("\0bcai_leftover")


attack("an abstract socket of an earlier job", connect)
for place in places[:3]:
    twin(f"leave {place}", lambda: open(place, "w").write("mine"))
server = socket.socket(socket.AF_UNIX)
server.bind("\0bcai_leftover")
server.listen()
twin("an abstract socket", connect)
if os.fork() == 0:
    __import__("time").sleep(600)
