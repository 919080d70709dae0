# SPDX-License-Identifier: Apache-2.0
# Ignores all signals and never ends. The driver's limit is 500 ms and 200 ms of grace.
import time

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
twin("signals can be ignored", lambda: os.kill(os.getpid(), signal.SIGUSR1) is None)
while True:
    time.sleep(60)
