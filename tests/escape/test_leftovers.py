# SPDX-License-Identifier: Apache-2.0
"""A thousand jobs, warm, cold and of the high level, leave nothing: no process, control group,
mount, namespace, descriptor or directory. BCAI_JOBS sets their number."""
import os
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

from sandbox_host import has_runsc
from sandbox_program import run_tasks

JOBS = int(os.environ.get("BCAI_JOBS", "1000"))
KINDS_OF_NAMESPACES = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}
KINDS = [
    "print('ok')",
    "import os\nif os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(100)",
    "x = bytearray(500_000_000)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import time; time.sleep(100)",
]


def task(number):
    high = has_runsc() and number % 13 == 0  # of every kind, as many kinds as there are
    return {"tenant": "" if number % 10 == 9 else "tests",  # what is nobody's starts cold
            "security_level": "high" if high else "standard",
            "code": KINDS[number % len(KINDS)], "imports_restricted": False,
            "limits": {"memory_bytes_max": 60_000_000, "wall_ms_max": 150, "grace_ms": 0}}


def namespaces():
    """Those that processes are in or hold, and who does; not of what another engine runs."""
    found = {}
    for place in ("ns", "fd"):
        for link in Path("/proc").glob(f"[0-9]*/{place}/*"):
            try:
                name = os.readlink(link)
            except OSError:
                continue
            if name.partition(":")[0] in KINDS_OF_NAMESPACES:
                found[name] = link.parent.parent
    return {name: command(process) for name, process in found.items()
            if not has_engine(process) and not is_kernel_thread(process)}


def stays(before):
    """Namespaces that were not there before and stay: others on this machine come and go."""
    left = namespaces()
    deadline = time.monotonic() + 20
    while (left := {name: held for name, held in namespaces().items()
                    if name in left and name not in before}) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def is_kernel_thread(process):
    """They come and go, and are in the machine's own namespaces, which is no engine's work."""
    try:
        flags = (process / "stat").read_text().rpartition(")")[2].split()[6]
    except OSError:
        return False
    return bool(int(flags) & 0x00200000)  # PF_KTHREAD


def command(process):
    try:
        return process.name + " " + (process / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def has_engine(process):
    """Whether the process is an engine, or was started by one that lives."""
    while process.name not in ("0", "1"):
        try:
            if (process / "comm").read_text().startswith(("sandbox_", "bcai", "node_", "cli_")):
                return True
            process = process.parent / parent_of(process)
        except OSError:
            return False
    return False


def parent_of(process):
    return (process / "status").read_text().split("PPid:")[1].split()[0]


def is_ours(process):
    """Under a user id that the engine gives to jobs, zygotes and their children."""
    try:
        uids = (process / "status").read_text().split("Uid:")[1].split()[:4]
    except (OSError, IndexError):
        return False
    return any(300_000 <= int(uid) < 400_000 or 1_300_000 <= int(uid) < 1_400_000
               for uid in uids) and not has_engine(process)


def processes_left():
    """Those of jobs and zygotes that no engine has and that stay, as ``state parent command``.
    What has ended is listed until the machine's first process has asked how."""
    deadline = time.monotonic() + 5
    while (left := {process.name: stat(process) for process in Path("/proc").glob("[0-9]*")
                    if is_ours(process)}) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def stat(process):
    try:
        name, _, rest = (process / "stat").read_text().rpartition(")")
    except OSError:
        return "ended meanwhile"
    return f"{' '.join(rest.split()[:2])} {name.partition('(')[2]}"


def mounts():
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def descriptors_of(name, counts, stop):
    """How many a process of this name has, while it runs."""
    while not stop.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text().strip() == name and \
                        parent_of(process) == str(os.getpid()):
                    counts.append(len(list((process / "fd").iterdir())))
            except OSError:
                pass
        time.sleep(0.2)


def test_nothing_is_left(tmp_path, tell):
    parent = f"bcai_left_{os.getpid()}"
    before = mounts(), namespaces()
    counts, stop = [], threading.Event()
    watcher = threading.Thread(target=descriptors_of, args=("sandbox_run", counts, stop))
    watcher.start()
    try:
        runs = run_tasks(tmp_path, [task(number) for number in range(JOBS)], parallel=2,
                         start="any", cgroup_parent=parent)
    finally:
        stop.set()
        watcher.join()
    outcomes = {run["report"]["outcome"] for run in runs}
    assert outcomes == {"finished", "out_of_memory", "timed_out"}
    starts = Counter(run["report"]["start"] for run in runs)
    assert starts["cold"] >= JOBS // 10 and starts["warm"] >= JOBS // 4, starts
    parents = list(Path("/sys/fs/cgroup").glob(f"**/{parent}"))
    left = [path for group in parents for path in group.iterdir() if path.is_dir()]
    for group in parents if not left else ():
        group.rmdir()
    assert parents and left == []
    assert mounts() == before[0]
    state = tmp_path / "state"
    assert list((state / "runc").iterdir()) == [] == list((state / "bundles").iterdir())
    assert processes_left() == {}
    assert stays(before[1]) == {}
    high = sum(run["report"]["runtime"].startswith("runsc") for run in runs)
    assert high >= JOBS // 13 or not has_runsc()
    # As many late as early, without the engine's start and end, give or take those of two jobs.
    fifth = len(counts) // 5
    early, late = median(counts[fifth:2 * fifth]), median(counts[3 * fifth:4 * fifth])
    tell(f"{JOBS} jobs, {dict(starts)}, {high} of the high level; descriptors of the engine: "
         f"{early} early, {late} late")
    assert late <= early + 12
