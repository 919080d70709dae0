# SPDX-License-Identifier: Apache-2.0
"""Warm jobs by the hundred leave nothing: no process, control group, mount, namespace, descriptor
or directory. BCAI_JOBS=1000 runs as many."""
import os
import threading
import time
from pathlib import Path

from sandbox_program import run_tasks

JOBS = int(os.environ.get("BCAI_JOBS", "200"))
KINDS = [
    "print('ok')",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(100)",
    "x = bytearray(500_000_000)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import time; time.sleep(100)",
]


def task(number):
    return {"code": KINDS[number % len(KINDS)], "imports_restricted": False,
            "limits": {"memory_bytes_max": 60_000_000, "wall_ms_max": 150, "grace_ms": 0}}


def groups():
    return {str(path) for path in Path("/sys/fs/cgroup").glob("*/bcai/*/*_*")}


def namespaces():
    """Those of the zygotes' user ids, which processes or descriptors hold."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/*"):
        try:
            if is_ours(link.parent.parent):
                found.add(os.readlink(link))
        except OSError:
            pass
    return found


def mounts():
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def descriptors_of(name, counts, stop):
    """How many a process of this name has, while it runs."""
    while not stop.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text().strip() == name and \
                        str(os.getpid()) in (process / "status").read_text():
                    counts.append(len(list((process / "fd").iterdir())))
            except OSError:
                pass
        time.sleep(0.2)


def test_nothing_is_left(tmp_path):
    before = groups(), mounts()
    counts, stop = [], threading.Event()
    watcher = threading.Thread(target=descriptors_of, args=("sandbox_run", counts, stop))
    watcher.start()
    try:
        runs = run_tasks(tmp_path, [task(number) for number in range(JOBS)], parallel=2,
                         start="warm")
    finally:
        stop.set()
        watcher.join()
    outcomes = {run["report"]["outcome"] for run in runs}
    assert outcomes == {"finished", "out_of_memory", "timed_out"}
    assert groups() <= before[0]
    assert mounts() == before[1]
    state = tmp_path / "state"
    assert list((state / "runc").iterdir()) == [] == list((state / "bundles").iterdir())
    left = [process.name for process in Path("/proc").glob("[0-9]*") if is_ours(process)]
    assert left == [] and namespaces() == set()
    # As many at the end as in the beginning: in between come pipes and sockets of two jobs.
    print(f"{JOBS} jobs; descriptors of the engine: first {counts[:3]}, last {counts[-3:]}")
    assert min(counts[-5:]) <= min(counts[1:6]) + 24


def is_ours(process):
    """Under a user id that the engine gives to zygotes and their children."""
    try:
        uids = (process / "status").read_text().split("Uid:")[1].split()[:4]
        return any(1_300_000 <= int(uid) < 1_400_000 for uid in uids)
    except (OSError, IndexError):
        return False
