# SPDX-License-Identifier: Apache-2.0
# Jobs are to be the first victims when the whole machine runs out of memory (score 1000).
def set_score(score):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


twin("the score can be read", lambda: open("/proc/self/oom_score_adj").read() == "1000\n")
attack("be spared when the machine runs out of memory", lambda: set_score(0))
attack("be spared before the node itself", lambda: set_score(-1000))
