# SPDX-License-Identifier: Apache-2.0
# The driver's limit is 8 MB.
def fill(path):
    written = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while written < 64_000_000:
                written += file.write(b"x" * 65536)
        except OSError:
            pass
    os.unlink(path)
    return written


def small(path):
    with open(path, "w") as file:
        file.write("text")
    with open(path) as file:
        return file.read() == "text"


for place in ("/work", "/tmp", "/dev/shm"):
    twin(f"a file in {place}", lambda: small(place + "/small"))
    attack(f"more bytes in {place} than allowed", lambda: fill(place + "/large") > 8_000_000)
attack("bytes in /dev", lambda: fill("/dev/large") > 65536)


def sparse():
    with open("/work/sparse", "wb") as file:
        file.truncate(1 << 40)


attack("a file of 1 TiB", sparse)
