# SPDX-License-Identifier: Apache-2.0
# The driver keeps 10 kB and ends the job at 1 MB.
twin("some output", lambda: True)
line = b"x" * 4095 + b"\n"
for _ in range(20_000):
    os.write(1, line)
attack("80 MB of output", lambda: True)
