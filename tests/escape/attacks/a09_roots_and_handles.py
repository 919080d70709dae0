# SPDX-License-Identifier: Apache-2.0
handle = ctypes.create_string_buffer(b"\x80\0\0\0" + bytes(140))
mount_id = ctypes.c_int()
attack("chroot", lambda: os.chroot("/work"))
attack("pivot_root", lambda: syscall("pivot_root", b"/work", b"/work"))
attack("name_to_handle_at", lambda: syscall(
    "name_to_handle_at", -100, b"/usr", handle, ctypes.byref(mount_id), 0))
# The file handle of a root directory on ext4 or xfs: inode 2.
guess = ctypes.create_string_buffer(b"\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0")
attack("open_by_handle_at", lambda: syscall(
    "open_by_handle_at", os.open("/usr", os.O_RDONLY), guess, 0))


def above():
    os.chdir("/")
    for _ in range(64):
        os.chdir("..")
    return os.path.exists(CANARY)


attack("above the root", above)
os.chdir("/work")
twin("chdir", lambda: (os.mkdir("/work/d"), os.chdir("/work/d"), os.getcwd() == "/work/d")[2])
