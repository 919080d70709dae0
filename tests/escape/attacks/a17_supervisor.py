# SPDX-License-Identifier: Apache-2.0
import time

parent = os.getppid()
for number in (signal.SIGSTOP, signal.SIGKILL):
    for target in {1, parent} - {0}:  # 0: it is outside, and the number means one's own group
        try:
            os.kill(target, number)
        except OSError:
            pass
time.sleep(0.05)
attack("end process 1 from inside", lambda: not os.path.exists("/proc/1/stat"))
def missing(process):
    try:
        os.kill(process, 0)
        return False
    except ProcessLookupError:
        return True



attack("signal a process of the host", lambda: [
    process for process in range(300, 3000, 7)
    if process != os.getpid() and not missing(process)] or False)


def stop_and_continue():
    child = os.fork()
    if child == 0:
        time.sleep(20)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    os.kill(child, signal.SIGCONT)
    os.kill(child, signal.SIGTERM)
    return os.waitpid(child, 0)[0] == child


twin("stop and continue a child", stop_and_continue)
