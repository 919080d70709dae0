# SPDX-License-Identifier: Apache-2.0
MS_BIND, MS_REMOUNT, MS_REC = 4096, 32, 16384
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
os.mkdir("/work/there")
attack("mount a tmpfs", lambda: syscall("mount", b"tmpfs", b"/work/there", b"tmpfs", 0, None))
attack("mount proc", lambda: syscall("mount", b"proc", b"/work/there", b"proc", 0, None))
attack("bind /", lambda: syscall("mount", b"/", b"/work/there", None, MS_BIND | MS_REC, None))
attack("remount / writable", lambda: syscall("mount", None, b"/", None, MS_REMOUNT | MS_BIND, None))
attack("unmount a mask", lambda: syscall("umount2", b"/proc/kcore", 2))
attack("unmount /proc", lambda: syscall("umount2", b"/proc", 2))
attack("fsopen", lambda: syscall("fsopen", b"tmpfs", 0))
attack("open_tree clone", lambda: syscall("open_tree", -100, b"/", 1 | 0x8000))
attack("fspick", lambda: syscall("fspick", -100, b"/", 0))
attack("move_mount", lambda: syscall("move_mount", -100, b"/tmp", -100, b"/work/there", 0))
attack("mount_setattr", lambda: syscall(
    "mount_setattr", -100, b"/", 0, (ctypes.c_uint64 * 4)(0, 1, 0, 0), 32))


def mount_in_own_namespace():
    syscall("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    syscall("mount", b"tmpfs", b"/work/there", b"tmpfs", 0, None)


attack("mount in a user namespace of one's own", lambda: child_succeeds(mount_in_own_namespace))
twin("see the mounts", lambda: "/work" in open("/proc/self/mounts").read())
twin("free space", lambda: os.statvfs("/work").f_bavail > 0)
