# SPDX-License-Identifier: Apache-2.0
# 64 MB of zeros in 64 kB. The driver's limits are 8 MB of disk and 100 MB of memory.
import zipfile
import zlib

with zipfile.ZipFile("/work/bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("small", b"text")
    with archive.open("large", "w") as large:
        for _ in range(64):
            large.write(bytes(1_000_000))
archive = zipfile.ZipFile("/work/bomb.zip")
twin("a small member", lambda: archive.extract("small", "/work/out") and True)
attack("a member larger than the disk", lambda: archive.extract("large", "/work/out") and True)
twin("zlib", lambda: zlib.decompress(zlib.compress(b"x" * 1000)) == b"x" * 1000)
