# SPDX-License-Identifier: Apache-2.0
# What a job leaves for the collector. The driver looks at what came back.
import socket

os.makedirs("outputs/deep/" + "/".join("d" * 20))
write = lambda name, data: open("outputs/" + name, "wb").write(data)
write("alone.txt", b"alone")
write("deep/alone.txt", b"deep")
write("good.txt", b"good")
write("deep/" + "/".join("d" * 20) + "/buried", b"x")
os.symlink(CANARY, "outputs/link")
os.symlink("/etc", "outputs/etc")
os.symlink("/proc/self/environ", "outputs/environ")
os.symlink("good.txt", "outputs/inner")
os.link("outputs/good.txt", "outputs/hard")
os.mkfifo("outputs/fifo")
socket.socket(socket.AF_UNIX).bind("outputs/socket")
with open("outputs/sparse", "wb") as file:
    file.truncate(6_000_000)
write("new\nline", b"x")
write("\x1b[31mred", b"x")
os.close(os.open(b"outputs/\xff", os.O_CREAT | os.O_WRONLY))
os.mkdir("outputs/closed", 0)
write("unreadable", b"unreadable")
os.chmod("outputs/unreadable", 0)
twin("files in outputs", lambda: os.path.exists("outputs/alone.txt"))
