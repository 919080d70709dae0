# SPDX-License-Identifier: Apache-2.0
# A process swaps a file and a link as fast as it can, to its last moment.
import time

open("file", "w").write("mine")
os.symlink(CANARY, "link")
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        for name in ("file", "link"):
            try:
                os.link(name, "outputs/new", follow_symlinks=False)
                os.rename("outputs/new", "outputs/swapped")
            except OSError:
                pass
time.sleep(0.3)
twin("ends as any other", lambda: True)
