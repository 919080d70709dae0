# SPDX-License-Identifier: Apache-2.0
# Anonymous memory until something gives. The driver's limit is 100 MB.
import mmap

twin("memory within the limit", lambda: len(bytearray(20_000_000)) == 20_000_000)
held = []
while len(held) < 40:
    block = mmap.mmap(-1, 10_000_000)
    for offset in range(0, 10_000_000, 4096):
        block[offset] = 1
    held.append(block)
attack("400 MB of memory", lambda: True)
