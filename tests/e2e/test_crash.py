# SPDX-License-Identifier: Apache-2.0
"""Coordinator, node and what jobs start warm from are killed at random moments while short jobs
run: nothing is lost, nothing is published twice, nothing is left.

BCAI_CRASH_KILLS sets the number of kills (50), BCAI_CRASH_SEED the moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bcai
import pytest
from bcai import SDK, SecurityLevel
from machine import (
    Program,
    assert_nothing_left,
    find_program,
    free_port,
    run_command,
    wait_until,
    walkable,
)

KILLS = int(os.environ.get("BCAI_CRASH_KILLS", "50"))
SEED = int(os.environ.get("BCAI_CRASH_SEED", "1"))
HAS_RUNSC = shutil.which("runsc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
OUTSTANDING = 6
CODE = "import time\nprint('job {number}', flush=True)\ntime.sleep({sleep})\nx = {number}\n"


@dataclass
class Network:
    """Coordinator and node as two processes that are killed and started again."""

    directory: Path
    key: str = ""
    starts: int = 0
    marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        data = str(self.directory / "coordinator")
        made = run_command(
            self.directory,
            ["coordinator", "create-key", "--data-dir", data, "--name", "crash", "--role", "owner"],
        )
        assert made.returncode == 0, made.stderr
        self.key = next(word for word in made.stdout.split() if word.startswith("bcai_"))
        self.coordinator = self.start_coordinator()
        config = self.directory / "production.yaml"
        config.write_text(
            f"coordinator: {self.endpoint}\nkey: {self.key}\nname: crash\nslots: 3\n"
            f"data_directory: {self.directory / 'node'}\npython: {sys.executable}\n"
        )
        config.chmod(0o600)
        self.node = self.start_node()

    def start_coordinator(self) -> Program:
        return self._start(
            "coordinator",
            "coordinator",
            "--data-dir",
            str(self.directory / "coordinator"),
            "--listen",
            f"127.0.0.1:{self.port}",
        )

    def start_node(self) -> Program:
        config = str(self.directory / "production.yaml")
        return self._start("node", "node", "deploy", "--config", config)

    def kill(self, what: str) -> None:
        if what in ("coordinator", "both"):
            self.coordinator.kill()
        if what in ("node", "both"):
            self.node.kill()

    def start(self, what: str) -> None:
        if what in ("coordinator", "both"):
            self.coordinator = self.start_coordinator()
        if what in ("node", "both"):
            self.node = self.start_node()

    def assert_alive(self) -> None:
        for program in (self.coordinator, self.node):
            code = program.process.poll()
            assert code is None, f"exit code {code} by itself:\n{program.text()[-4000:]}"

    def _start(self, name: str, *arguments: str) -> Program:
        self.starts += 1
        program = Program(self.directory, name, *arguments)
        self.marks.append(program.mark)
        return program


class Load:
    """A thread that keeps some short jobs on their way until it is told to stop."""

    def __init__(self, network: Network, seed: int, one_high_of: int | None = None) -> None:
        self._one_high_of = one_high_of
        self.ids: list[str] = []
        self.failure: BaseException | None = None
        self._network = network
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise AssertionError(f"the load ended early: {self.failure!r}") from self.failure

    def _run(self) -> None:
        try:
            with SDK(self._network.endpoint, self._network.key, timeout=5) as client:
                running: list[bcai.Job] = []
                while not self._stop.is_set():
                    running = [job for job in running if job.status not in ENDED]
                    while len(running) < OUTSTANDING and not self._stop.is_set():
                        running.append(self._submit(client))
                    time.sleep(0.05)
        except BaseException as error:
            self.failure = error

    def _submit(self, client: SDK) -> bcai.Job:
        code = CODE.format(number=len(self.ids), sleep=round(self._random.uniform(0, 0.3), 3))
        high = self._one_high_of and len(self.ids) % self._one_high_of == 0
        # Each kill of the node costs the jobs on it an attempt.
        job = client.create_job(
            code,
            max_retries=100,
            security_level=SecurityLevel.HIGH if high else SecurityLevel.STANDARD,
        )
        job.execute(wait=False)
        self.ids.append(job.id)
        return job


ENDED = ("succeeded", "failed", "cancelled", "expired", "held", "lost", "disputed")


@pytest.mark.timeout(1200)
def test_nothing_is_lost_when_everything_is_killed(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    assert find_program() is not None
    walkable(tmp_path)
    moments = random.Random(SEED)
    network = Network(tmp_path)
    began = time.monotonic()
    try:
        with SDK(network.endpoint, network.key, timeout=5) as client:
            client._connection.retry.first_contact_s = 60.0
            wait_until(lambda: any(node.state == "online" for node in client.nodes()), 60, "a node")
            load = Load(network, SEED)
            kills: Counter[str] = Counter()
            try:
                while kills.total() < KILLS:
                    time.sleep(moments.uniform(0.05, 3.0))
                    network.assert_alive()
                    what = moments.choice(["coordinator", "node", "both"])
                    network.kill(what)
                    kills[what] += 1
                    time.sleep(moments.uniform(0.0, 0.5))
                    network.start(what)
            finally:
                load.stop()
            records = wait_for_all(client, load.ids)
            judge(client, records)
            retried = sum(len(record.attempts) > 1 for record in records.values())
    finally:
        network.node.stop()
        network.coordinator.stop()
    for database in (tmp_path / "coordinator").rglob("*.db"):
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    verified = run_command(tmp_path, ["audit", "verify", str(tmp_path / "node" / "audit")])
    assert verified.returncode == 0, verified.stderr
    shown = run_command(tmp_path, ["audit", "show", str(tmp_path / "node" / "audit")])
    assert all(id in shown.stdout for id, record in records.items() if record.attempts)
    assert_nothing_left(tmp_path, network.marks)
    tell(
        f"seed {SEED}: {kills.total()} kills {dict(kills)}, {len(records)} jobs, "
        f"{retried} of them in several attempts, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.timeout(1200)
def test_nothing_is_lost_when_what_jobs_start_from_is_killed(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """A zygote, its whole container, a process that waits for a job or takes one, a process of a
    gVisor that waits or runs a job, the node."""
    assert find_program() is not None
    walkable(tmp_path)
    moments = random.Random(SEED)
    network = Network(tmp_path)
    began = time.monotonic()
    try:
        with SDK(network.endpoint, network.key, timeout=5) as client:
            client._connection.retry.first_contact_s = 60.0
            wait_until(lambda: any(node.state == "online" for node in client.nodes()), 60, "a node")
            load = Load(network, SEED, 3 if HAS_RUNSC else None)
            kills: Counter[str] = Counter()
            try:
                while kills.total() < KILLS:
                    wait_until(lambda: zygotes_of(network.node), 120, "a zygote")
                    time.sleep(moments.uniform(0.0, 3.0))
                    network.assert_alive()
                    what = moments.choices(
                        ["zygote", "container", "child", "gvisor", "node"],
                        [4, 4, 8, 8 if HAS_RUNSC else 0, 2],
                    )[0]
                    if what == "node":
                        network.kill(what)
                        network.start(what)
                    elif not kill_inside(network, what, moments):
                        continue
                    kills[what] += 1
            finally:
                load.stop()
            records = wait_for_all(client, load.ids)
            judge(client, records)
            retried = sum(len(record.attempts) > 1 for record in records.values())
            results = [client.job(id).result() for id in records]
            starts = Counter(result.timings.start for result in results)
            levels = Counter(result.sandbox.security_level for result in results)
            lost = gvisors_lost(records)
    finally:
        network.node.stop()
        network.coordinator.stop()
    assert_nothing_left(tmp_path, network.marks)
    assert starts["warm"] + starts["forked"] > KILLS, starts
    assert levels["high"] > KILLS or not HAS_RUNSC, levels
    assert lost > 0 or kills["gvisor"] < 5, kills
    tell(
        f"seed {SEED}: {kills.total()} kills {dict(kills)}, {len(records)} jobs {dict(levels)}, "
        f"started {dict(starts)}, {retried} of them in several attempts, "
        f"{lost} attempts ended with their gVisor, {time.monotonic() - began:.0f} s"
    )


def zygotes_of(node: Program) -> list[int]:
    """Process numbers; runc, which starts them, left them to the node."""
    return [pid for pid in children_of(node.process.pid) if "/opt/bcai/zygote.py" in command(pid)]


def kill_inside(network: Network, what: str, moments: random.Random) -> bool:
    """False when there is none of what is to be killed."""
    zygotes = zygotes_of(network.node)
    if what == "container":
        state = network.directory / "node" / "sandbox" / "runc"
        names = sorted(path.name for path in state.glob("zygote_*"))
        runc = ["runc", "--root", str(state), "kill", "--all", moments.choice(names or [""])]
        return subprocess.run([*runc, "KILL"], capture_output=True).returncode == 0
    found = zygotes
    if what == "gvisor":
        found = [pid for pid in descendants_of(network.node.process.pid) if is_gvisor(pid)]
    if what == "child":  # that runs no job yet: it still is the zygote's user
        found = [c for pid in zygotes for c in children_of(pid) if owner(c) == owner(pid)]
    try:
        os.kill(moments.choice(sorted(found)), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


def children_of(process: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    except OSError:
        return []


def descendants_of(process: int) -> list[int]:
    children = children_of(process)
    return children + [pid for child in children for pid in descendants_of(child)]


def is_gvisor(process: int) -> bool:
    """runsc, its file server, or the kernel that a job has."""
    name = command(process).partition("\0")[0]
    return name.rpartition("/")[2] in ("runsc", "runsc-gofer", "runsc-sandbox")


def gvisors_lost(records: dict[str, bcai.JobRecord]) -> int:
    """Attempts that were of a gVisor that was killed."""
    reasons = [attempt.reason for record in records.values() for attempt in record.attempts]
    return sum("gVisor" in reason for reason in reasons)


def owner(process: int) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text().split("Uid:")[1].split()[0]
    except OSError:
        return ""


def command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def wait_for_all(client: SDK, ids: list[str]) -> dict[str, bcai.JobRecord]:
    """Every job that was acknowledged, when it has ended."""
    assert len(set(ids)) == len(ids) > KILLS
    deadline = time.monotonic() + 120
    records: dict[str, bcai.JobRecord] = {}
    for id in ids:
        job = client.job(id)
        job.wait(max(1.0, deadline - time.monotonic()))
        assert job.record is not None
        records[id] = job.record
    listed = {job.id for job in client.jobs(limit=100_000)}
    assert set(ids) <= listed
    # A submission whose answer was lost is the same job as its repetition.
    assert len(listed) == len(ids)
    return records


def judge(client: SDK, records: dict[str, bcai.JobRecord]) -> None:
    for number, (id, record) in enumerate(records.items()):
        assert record.state == "succeeded", f"{id}: {record.state}: {record.reason}"
        states = Counter(attempt.state for attempt in record.attempts)
        assert states["completed"] == 1, f"{id}: attempts {dict(states)}"
        kinds = Counter(event.kind for event in client.job(id).events())
        assert kinds["job.succeeded"] == 1, f"{id}: events {dict(kinds)}"
        result = client.job(id).result()
        assert result.outputs["x"] == number, f"{id}: {result.outputs}"
        completed = next(a.id for a in record.attempts if a.state == "completed")
        assert result.attempt_id == completed
        assert result.logs == f"job {number}\n", f"{id}: {result.logs!r}"
