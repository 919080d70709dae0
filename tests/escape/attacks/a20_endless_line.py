# SPDX-License-Identifier: Apache-2.0
twin("some output", lambda: True)
while True:
    os.write(2, b"y" * 65536)
