# SPDX-License-Identifier: Apache-2.0
"""Starts of sandboxed jobs: warm, forked and cold, beside plain Python; from create_job to its
result on a one-machine network, beside Ray; jobs a second; what a warm job costs in CPU time, and a
waiting process in memory. Needs root, runc, and torch in BCAI_PYTHON's environment."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import measure
import ray_peer

PROGRAM = os.environ.get("BCAI_SANDBOX_RUN",
                         str(measure.ROOT / "build/release/src/sandbox/sandbox_run"))
TORCH = "import torch\nprint(torch.ones(2).sum())\n"
NUMPY = "import numpy\nprint(numpy.ones(2).sum())\n"
CHILDREN_MAX = 200  # of a zygote; its successor is loaded after half of them
# Two counts of jobs, whose difference is what so many more cost: of one zygote's children, before
# its successor is loaded, and with two more zygotes and all their children.
COUNTS_OF_ONE, COUNTS_OF_ZYGOTES = (10, 90), (30, 30 + 2 * CHILDREN_MAX)


def sandbox_run(directory: pathlib.Path, code: str, start: str, repeat: int,
                parallel: int = 1) -> dict[str, object]:
    request = {"state_directory": str(directory / "state"), "artifacts": str(directory / "out"),
               "python": measure.PYTHON, "start": start, "repeat": repeat, "parallel": parallel,
               "tasks": [{"tenant": "bench", "code": code, "limits": {"grace_ms": 0}}]}
    done = subprocess.run([PROGRAM, "-"], input=json.dumps(request), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def first_outputs(told: dict[str, object], start: str) -> list[float]:
    """Of the runs that started so: from the task given to the engine to its first output, in ms."""
    found = []
    for run in told["runs"]:  # type: ignore[attr-defined]
        if run["report"]["outcome"] != "finished" or not run["stdout"]:
            raise SystemExit(f"a job failed: {run}")
        if run["report"]["start"] == start:
            found.append(run["first_output_ms"])
    if not found:
        raise SystemExit(f"no job started {start}")
    return found


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_ms_per_job(directory: pathlib.Path, counts: tuple[int, int], rounds: int) -> float:
    """All that one more warm job costs: engine, zygote, fork, the job and its end."""

    def spent(count: int) -> float:
        before = cpu_seconds()
        sandbox_run(directory, TORCH, "warm", count)
        return cpu_seconds() - before

    few, many = counts
    more = [spent(many) - spent(few) for _ in range(rounds)]
    return measure.median(more) / (many - few) * 1000


def kilobytes(text: str, *keys: str) -> int:
    return sum(int(line.split()[1]) for line in text.splitlines()
               if line.startswith(tuple(key + ":" for key in keys)))


def waiting_mb(directory: pathlib.Path) -> float:
    """Private memory and page tables of a process that waits, and of its namespace's process 1."""
    code = "import torch, time\nprint(1)\ntime.sleep(5)\n"
    request = {"state_directory": str(directory / "state"), "artifacts": str(directory / "out"),
               "python": measure.PYTHON, "start": "warm",
               "tasks": [{"tenant": "bench", "code": code}]}
    with subprocess.Popen([PROGRAM, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          text=True) as program:
        assert program.stdin
        program.stdin.write(json.dumps(request))
        program.stdin.close()
        found: list[float] = []
        while program.poll() is None:
            found = own_memory(program.pid) or found
            time.sleep(0.2)
    if not found:
        raise SystemExit("no process was seen waiting")
    return measure.median(found)


def own_memory(engine: int) -> list[float]:
    """MB of each waiting child of the engine's zygotes."""
    found = []
    for process in children(engine):
        if "zygote.py" not in command(process):
            continue
        below = children(process)
        first = [memory_mb(child) for child in below if command(child).startswith("first")]
        waiting = [memory_mb(child) for child in below if waits(child)]
        if len(below) >= 4 and first:
            found += [mb + measure.median(first) for mb in waiting]
    return found


def waits(process: int) -> bool:
    """A child that has no task yet still has the zygote's user id."""
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
        parent = int(status.split("PPid:")[1].split()[0])
        return (not command(process).startswith("first")
                and owner(process) == owner(parent))
    except (OSError, IndexError):
        return False


def owner(process: int) -> int:
    return int(pathlib.Path(f"/proc/{process}/status").read_text().split("Uid:")[1].split()[0])


def memory_mb(process: int) -> float:
    try:
        private = kilobytes(pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(),
                            "Private_Clean", "Private_Dirty")
        tables = kilobytes(pathlib.Path(f"/proc/{process}/status").read_text(), "VmPTE")
        return (private + tables) * 1024 / 1e6
    except OSError:
        return 0.0


def children(process: int) -> list[int]:
    try:
        return [int(child) for task in pathlib.Path(f"/proc/{process}/task").iterdir()
                for child in (task / "children").read_text().split()]
    except OSError:
        return []


def command(process: int) -> str:
    try:
        return pathlib.Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def jobs_per_second(directory: pathlib.Path, code: str, seconds: int) -> float:
    """With as many at once as there are cores; what starts cold counts too, and so do the zygotes
    that are loaded on the way."""
    cores = os.cpu_count() or 1

    def took_ms(count: int) -> float:
        told = sandbox_run(directory, code, "any", count, cores)
        return float(told["runs_ms"])  # type: ignore[arg-type]

    count = int(seconds * 1000 * 600 / (took_ms(660) - took_ms(60)))
    return count / took_ms(count) * 1000


def warm_high_ms(directory: pathlib.Path, repeat: int) -> list[float]:
    """As first_outputs, at the high security level, one sandbox of gVisor's for each."""
    request = {"state_directory": str(directory / "state"), "artifacts": str(directory / "out"),
               "python": measure.PYTHON, "start": "warm", "repeat": repeat,
               "tasks": [{"tenant": "bench", "security_level": "high", "code": TORCH,
                          "limits": {"grace_ms": 0}}]}
    done = subprocess.run([PROGRAM, "-"], input=json.dumps(request), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return first_outputs(json.loads(done.stdout), "warm")


def plain_python_ms() -> float:
    began = time.perf_counter()
    subprocess.run([measure.PYTHON, "-c", TORCH], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def through_sdk(client: object, cold: bool) -> tuple[float, str]:
    """From client.create_job to its result, in ms, and how it started. A variable that libraries
    read when they are loaded makes a job start cold."""
    began = time.perf_counter()
    job = client.create_job(  # type: ignore[attr-defined]
        TORCH, environment={"OMP_NUM_THREADS": "1"} if cold else None)
    result = job.execute()
    took = (time.perf_counter() - began) * 1000
    return took, result.timings.start


def await_warm(client: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while through_sdk(client, cold=False)[1] != "warm":
        if time.monotonic() > deadline:
            raise SystemExit(f"no job starts warm within {seconds} s")


def whole_way(repeat: int, with_ray: bool) -> list[measure.Row]:
    """All kinds in turn, on the same machine at the same time."""
    sys.path.insert(0, str(measure.ROOT / "python"))
    from bcai import SDK

    ray = ray_peer.start() if with_ray else None
    took: dict[str, list[float]] = {name: [] for name in ("warm", "cold", "plain", "job", "task")}
    with measure.network() as network, SDK(network.endpoint, network.key) as client:
        await_warm(client)
        for _ in range(4 if ray is not None else 0):
            ray.task_ms(TORCH)  # until both workers are there and have torch
        for number in range(repeat):
            time.sleep(0.05)  # until the next waits
            took["warm"].append(through_sdk(client, cold=False)[0])
            if number % 20 == 0:
                took["cold"].append(through_sdk(client, cold=True)[0])
                took["plain"].append(plain_python_ms())
                if ray is not None:
                    took["job"].append(ray.job_ms(TORCH))
                    took["task"].append(ray.task_ms(TORCH))
    warm, plain = measure.median(took["warm"]), measure.median(took["plain"])
    rows = [
        measure.Row("create_job_warm_p50_ms", warm, "ms", "plain python", plain, "<= 60"),
        measure.Row("create_job_warm_p99_ms", measure.percentile(took["warm"], 99), "ms"),
        measure.Row("create_job_cold_p50_ms", measure.median(took["cold"]), "ms", "plain python",
                    plain),
    ]
    if ray is not None:
        ray.stop()
        rows += [measure.Row(f"create_job_warm_vs_ray_{kind}_ms", warm, "ms", f"Ray {kind}",
                             measure.median(took[kind])) for kind in ("job", "task")]
    return rows


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--repeat", type=int, default=200)
    options.add_argument("--seconds", type=int, default=60, help="of each throughput")
    options.add_argument("--without-ray", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bcai-") as scratch:
        directory = pathlib.Path(scratch)
        measure.progress("warm, forked, cold")
        warm = first_outputs(sandbox_run(directory, TORCH, "warm", chosen.repeat), "warm")
        forked = first_outputs(sandbox_run(directory, TORCH, "forked", 50), "forked")
        cold = first_outputs(sandbox_run(directory, TORCH, "cold", 5), "cold")
        high = warm_high_ms(directory, 30)
        plain = measure.median([plain_python_ms() for _ in range(5)])
        measure.progress("CPU time and memory")
        cpu = cpu_ms_per_job(directory, COUNTS_OF_ONE, 5)
        cpu_with_zygotes = cpu_ms_per_job(directory, COUNTS_OF_ZYGOTES, 3)
        idle = waiting_mb(directory)
        measure.progress(f"jobs a second, {chosen.seconds} s of each kind")
        numpy_rate = jobs_per_second(directory, NUMPY, chosen.seconds)
        torch_rate = jobs_per_second(directory, TORCH, chosen.seconds)
    measure.progress("from create_job to its result")
    way = whole_way(chosen.repeat, not chosen.without_ray)
    measure.report([
        measure.Row("warm_standard_p50_ms", measure.median(warm), "ms", "plain python", plain,
                    "<= 10"),
        measure.Row("warm_standard_p99_ms", measure.percentile(warm, 99), "ms", goal="<= 50"),
        measure.Row("forked_standard_p50_ms", measure.median(forked), "ms", goal="<= 60"),
        measure.Row("cold_standard_p50_ms", measure.median(cold), "ms", "plain python", plain),
        measure.Row("warm_high_p50_ms", measure.median(high), "ms", goal="<= 30"),
        measure.Row("cpu_ms_per_warm_job", cpu, "ms", goal="<= 15"),
        measure.Row("cpu_ms_per_warm_job_with_zygotes", cpu_with_zygotes, "ms"),
        measure.Row("waiting_torch_mb", idle, "MB", goal="<= 4"),
        measure.Row("warm_numpy_jobs_per_s", numpy_rate, "1/s", goal=">= 60"),
        measure.Row("warm_torch_jobs_per_s", torch_rate, "1/s", goal=">= 30"),
        *way,
    ], chosen)


if __name__ == "__main__":
    sys.exit(main())
