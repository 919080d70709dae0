# SPDX-License-Identifier: Apache-2.0
# As many processes as the kernel gives. The driver's limit is 32.
import time

twin("a few children", lambda: all(child_succeeds(lambda: None) for _ in range(5)))
children = []
try:
    while len(children) < 500:
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        children.append(child)
except OSError:
    pass
attack("more processes than allowed", lambda: len(children) > 32)
os._exit(3)
