# SPDX-License-Identifier: Apache-2.0
"""Limits, many times over: every death is called by its right name, the CPU quota is kept, and a
job that is cancelled or out of time is gone at once whatever it does."""
import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox_host import has_runsc
from sandbox_program import run_tasks

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
    for _ in range(120):
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
            wrong.append((asked["code"], report["outcome"], report["exit_code"], report["detail"],
                          run["stderr"]))
        assert report["usage"]["memory_peak_bytes"] <= SMALL["memory_bytes_max"]
    assert not wrong


HIGH = {
    "disk": ("""
written = 0
try:
    with open("/work/x", "wb", 0) as f:
        for _ in range(80):
            written += f.write(bytes(1_000_000))
except OSError as error:
    print(error.errno, 7_000_000 < written <= 8_000_000)
""", "finished", 0, {"file_bytes_max": 100_000_000, "disk_bytes_max": 8_000_000}),
    "inodes": ("""
try:
    for n in range(200):
        open(f"/work/{n}", "w").close()
except OSError as error:
    print(error.errno, n < 100)
""", "finished", 0, {}),
    "processes": ("""
import os, time
for _ in range(2000):
    if os.fork() == 0:
        time.sleep(60)
""", "over_processes", None, {"memory_bytes_max": 2_000_000_000}),
    "time, deaf": ("""
import signal
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
""", "timed_out", 137, {"wall_ms_max": 1000, "grace_ms": 200}),
    "time, asleep": ("import time; time.sleep(60)", "timed_out", None, {"wall_ms_max": 1000}),
    "CPU time": ("while True: pass", "over_cpu", None, {"cpu_ms_max": 1500}),
    "output": ("while True: print('x' * 10_000)", "over_output", None,
               {"output_bytes_kill": 1_000_000}),
}


@pytest.mark.skipif(not has_runsc(), reason="needs runsc: apt-get install runsc")
def test_limits_and_deaths_at_the_high_level(directory):
    """Memory, each way three times, among other deaths; each other limit."""
    cases = {f"{name} {n}": (code, "out_of_memory", None, {})
             for name, code in OUT_OF_MEMORY.items() for n in range(3)}
    cases |= {name: (*death, {}) for name, death in OTHER_DEATHS.items()} | HIGH
    tasks = [task(code, **limits) for code, _, _, limits in cases.values()]
    runs = dict(zip(cases, run_tasks(directory, tasks, parallel=2, start="high"), strict=True))
    wrong = []
    for name, (_, outcome, exit_code, _) in cases.items():
        report = runs[name]["report"]
        if report["outcome"] != outcome or exit_code not in (None, report["exit_code"]):
            wrong.append((name, report["outcome"], report["exit_code"], report["detail"],
                          runs[name]["stderr"]))
    assert not wrong
    for name in ("disk", "inodes"):
        assert runs[name]["stdout"] == f"{errno.ENOSPC} True\n"
    assert "more than 1024 processes" in runs["processes"]["report"]["detail"]


PROCESSES = """
import os
for _ in range(3):
    if os.fork() == 0:
        break
while True:
    pass
"""
THREADS = """
import hashlib, threading
data = bytes(1 << 20)
def busy():
    while True:
        hashlib.sha256(data)  # without the interpreter's lock
threading.Thread(target=busy).start()
busy()
"""


def cpu_counters(files):
    """Of a control group, v1's usage in nanoseconds or v2's cpu.stat, and when they were read."""
    found = {}
    for file in files:
        text = file.read_text()
        if file.name == "cpuacct.usage":
            found["usage_usec"] = int(text) / 1000
        else:
            found |= {key: int(value) for key, value in map(str.split, text.splitlines())}
    return time.monotonic(), found


def cores_had(directory, code, cores):
    """What a busy job had of its quota over three seconds, and in which part of the quota's periods
    it was held back, by the counters of its control group. From the moment when it is busy, over
    whole periods, so that it does not matter where in one that is."""
    id = f"busy_{os.getpid()}"
    job = task(code, cpu_millicores=round(cores * 1000), wall_ms_max=6000)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_tasks, directory, [{**job, "id": id}])
        try:
            before = {}
            while before.get("usage_usec", 0) < 100_000:
                time.sleep(0.05)
                files = [file for name in ("cpu.stat", "cpuacct.usage")
                         for file in Path("/sys/fs/cgroup").glob(f"**/{id}/{name}")]
                began, before = cpu_counters(files)
                assert not run.done(), run.result()
            time.sleep(3)
            ended, after = cpu_counters(files)
        except OSError:  # it was so slow to start that its time was up
            return 0, 0
    used, periods, held_back = (after[name] - before[name] for name in
                                ("usage_usec", "nr_periods", "nr_throttled"))
    return used / 1e6 / (ended - began) / cores, held_back / max(periods, 1)


@pytest.mark.parametrize(("cores", "code"), [
    pytest.param(0.15, PROCESSES, id="0.15 cores, 4 processes"),
    pytest.param(0.5, PROCESSES, id="0.5 cores, 4 processes"),
    pytest.param(1.0, THREADS, id="1 core, 2 threads"),
])
def test_cpu_quota_within_five_percent(directory, cores, code):
    """More than the quota is always wrong. Less is the machine's fault when others use it: then it
    has to be right once in three, or the job was not held back and waited for its turn."""
    seen = []
    for _ in range(3):
        seen.append(cores_had(directory, code, cores))
        assert seen[-1][0] <= 1.05
        if seen[-1][0] >= 0.95:
            return
    if all(held_back < 0.9 for _, held_back in seen):
        pytest.skip(f"others use this machine: shares of the quota {[had for had, _ in seen]}")
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


def expect_unless_busy(holds, seen):
    if not holds and os.getloadavg()[0] > 3:
        pytest.skip(f"others use this machine: {seen}")
    assert holds, seen


def assert_gone_at_once(times, tell):
    """Of 100 ends, in milliseconds: p99 at most 100 ms."""
    times = sorted(times)
    assert len(times) == 100
    tell(f"p50 {times[49]:.0f} ms, p99 {times[98]:.0f} ms, max {times[99]:.0f} ms")
    expect_unless_busy(times[98] <= 100, f"p99 {times[98]:.0f} ms")


def end_resisting(directory, outcome, limits=(), **more):
    """The runs of 100 jobs that ignore signals and fork. One after another: they would take the
    processor from each other's supervisor, which nobody limits."""
    job = task(RESISTING, cpu_millicores=500, memory_bytes_max=1_000_000_000, **dict(limits))
    runs = run_tasks(directory, [{**job, **more}] * 100)
    assert {run["report"]["outcome"] for run in runs} == {outcome}
    many = sum(run["report"]["usage"]["processes_peak"] >= 16 for run in runs)
    expect_unless_busy(many >= 50, f"{many} of 100 jobs had time to fork 16 times")
    return runs


def test_cancelled_jobs_are_gone_at_once(directory, tell):
    """From the cancellation to nothing left, results collected."""
    runs = end_resisting(directory, "cancelled", cancel_after_ms=300)
    assert_gone_at_once((run["cancel_to_end_ms"] for run in runs), tell)


def test_jobs_beyond_their_time_are_gone_at_once(directory, tell):
    """From the end of the grace, which they let pass, to an empty control group."""
    runs = end_resisting(directory, "timed_out", {"wall_ms_max": 200, "grace_ms": 50})
    assert_gone_at_once((run["report"]["overtime_ms"] for run in runs), tell)


@pytest.mark.parametrize("kept", [1, 4096, 100_000])
def test_output_is_kept_to_the_byte(directory, kept):
    code = "import os\nfor n in range(3000):\n    os.write(1 + n % 2, b'x' * 97)"
    run = run_tasks(directory, [task(code, output_bytes_max=kept)])[0]
    assert len(run["stdout"]) + len(run["stderr"]) == kept
    usage = run["report"]["usage"]
    assert usage["output_bytes"] == 3000 * 97
    assert usage["output_bytes_dropped"] == 3000 * 97 - kept
