# SPDX-License-Identifier: Apache-2.0
# Processes that leave the session, ignore every signal and outlive the job.
import time

for number in range(8):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for ignored in range(1, 32):
                try:
                    signal.signal(ignored, signal.SIG_IGN)
                except OSError:
                    pass
            for fd in range(4):
                os.close(fd)
            while True:
                time.sleep(60)
        os._exit(0)
twin("a child that ends", lambda: child_succeeds(lambda: None))
