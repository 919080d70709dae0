# SPDX-License-Identifier: Apache-2.0
"""Limits, many times over: every death is called by its right name, the CPU quota is kept, and a
cancelled job is gone at once whatever it does."""
import os

import pytest
from sandbox_program import lines, run_tasks

SMALL = {"memory_bytes_max": 24_000_000, "disk_bytes_max": 64_000_000, "inodes_max": 100,
         "processes_max": 32, "wall_ms_max": 20_000, "grace_ms": 0}

OUT_OF_MEMORY = {
    "a large object": "x = bytearray(100_000_000)",
    "a child only": """
import os
child = os.fork()
if child == 0:
    x = bytearray(100_000_000)
os.waitpid(child, 0)
""",
    "files": """
with open("/dev/shm/x", "wb", 0) as f:
    for _ in range(60):
        f.write(bytes(1_000_000))
""",
    "threads that catch everything": """
import threading
held = []
def hold():
    while True:
        try:
            held.append(bytearray(1_000_000))
        except BaseException:
            pass
for _ in range(4):
    threading.Thread(target=hold).start()
""",
}
OTHER_DEATHS = {
    "exit 137": ("import os; os._exit(137)", "finished", 137),
    "killed by itself": ("import os; os.kill(os.getpid(), 9)", "finished", 137),
    "MemoryError": ("raise MemoryError", "finished", 1),
    "segmentation fault": ("import ctypes; ctypes.string_at(0)", "finished", 139),
    "close to the limit": ("x = bytearray(8_000_000); print(len(x))", "finished", 0),
}


def task(code, **limits):
    return {"code": code, "imports_restricted": False, "limits": {**SMALL, **limits}}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("limits")


def test_out_of_memory_is_told_100_times_of_100(directory):
    """And 50 other deaths, among them, are not."""
    tasks, expected = [], []
    for _ in range(25):
        for code in OUT_OF_MEMORY.values():
            tasks.append(task(code))
            expected.append(("out_of_memory", None))
    for number in range(50):
        code, outcome, exit_code = list(OTHER_DEATHS.values())[number % len(OTHER_DEATHS)]
        tasks.insert(number * 3, task(code))
        expected.insert(number * 3, (outcome, exit_code))
    runs = run_tasks(directory, tasks, parallel=2)
    wrong = []
    for run, (outcome, exit_code), asked in zip(runs, expected, tasks, strict=True):
        report = run["report"]
        if report["outcome"] != outcome or exit_code not in (None, report["exit_code"]):
            wrong.append((asked["code"], report["outcome"], report["exit_code"], run["stderr"]))
        assert report["usage"]["memory_peak_bytes"] <= SMALL["memory_bytes_max"]
    assert not wrong


BUSY = """
import json, os, resource, time
def busy(seconds):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
began = time.monotonic()
used = busy(3)
print(json.dumps({"cores": used / (time.monotonic() - began)}))
"""


def test_cpu_quota_within_five_percent_over_three_seconds(directory):
    """More than the quota is always wrong. Less is the machine's fault when others use it: then it
    has to be right once in three. The quota is small so that it can be had on a busy machine."""
    seen = []
    for _ in range(3):
        run = run_tasks(directory, [task(BUSY, cpu_millicores=150)])[0]
        seen.append(lines(run)[0]["cores"] / 0.15)
        assert seen[-1] <= 1.05
        if seen[-1] >= 0.95:
            return
    raise AssertionError(seen)


def test_cpu_budget(directory):
    code = "while True: pass"
    run = run_tasks(directory, [task(code, cpu_ms_max=300)])[0]
    assert run["report"]["outcome"] == "over_cpu"
    assert 300 <= run["report"]["usage"]["cpu_ms"] < 1500


RESISTING = """
import os, signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.001)
"""


def test_cancelled_jobs_are_gone_at_once(directory):
    """100 jobs that ignore signals and fork: p99 at most 100 ms from cancel to nothing left."""
    resisting = task(RESISTING, cpu_millicores=500, memory_bytes_max=1_000_000_000)
    runs = run_tasks(directory, [{**resisting, "cancel_after_ms": 200} for _ in range(100)])
    assert {run["report"]["outcome"] for run in runs} == {"cancelled"}
    times = sorted(run["cancel_to_end_ms"] for run in runs)
    print(f"cancel to end: p50 {times[49]:.0f} ms, p99 {times[98]:.0f} ms, max {times[99]:.0f} ms")
    if os.getloadavg()[0] > 3 and times[98] > 100:
        pytest.skip(f"others use this machine: p99 {times[98]:.0f} ms")
    assert times[98] <= 100


@pytest.mark.parametrize("kept", [1, 4096, 100_000])
def test_output_is_kept_to_the_byte(directory, kept):
    code = "import os\nfor n in range(3000):\n    os.write(1 + n % 2, b'x' * 97)"
    run = run_tasks(directory, [task(code, output_bytes_max=kept)])[0]
    assert len(run["stdout"]) + len(run["stderr"]) == kept
    usage = run["report"]["usage"]
    assert usage["output_bytes"] == 3000 * 97
    assert usage["output_bytes_dropped"] == 3000 * 97 - kept
