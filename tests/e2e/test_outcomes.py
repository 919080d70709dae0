# SPDX-License-Identifier: Apache-2.0
"""How jobs end that do not just end."""

from __future__ import annotations

import time

import bcai
import pytest
from bcai import SDK
from machine import OneMachine, groups_of, leftovers, processes_of, wait_until


def failure(client: SDK, code: str, **options: object) -> bcai.JobFailed:
    job = client.create_job(code, import_policy="off", **options)  # type: ignore[arg-type]
    with pytest.raises(bcai.JobFailed) as caught:
        job.execute()
    return caught.value


STUBBORN = """
import os, signal, sys, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        break
else:
    try:
        os.wait()
    except ChildProcessError:  # SIGCHLD is ignored: it returns when the last child has ended
        print("forked", flush=True)
while True:
    time.sleep(1)
"""


def test_cancel_of_a_job_that_forks_and_ignores_signals(machine: OneMachine, client: SDK) -> None:
    job = client.create_job(STUBBORN, import_policy="off")
    job.execute(wait=False)
    assert next(job.stream_logs()) == "forked"
    running = set(processes_of(machine.data, []))
    assert len(running) >= 21
    # What assert_nothing_left() looks for is there while a job runs.
    assert groups_of(machine.data)
    assert any(line.startswith("process") for line in leftovers(machine.data, []))
    assert any(line.startswith("cgroup") for line in leftovers(machine.data, []))
    began = time.monotonic()
    job.cancel()
    assert job.wait(20) == "cancelled"
    assert time.monotonic() - began < 1.5  # the heartbeat, every 5 s, is not waited for
    with pytest.raises(bcai.JobFailed) as caught:
        job.result()
    assert caught.value.outcome == "cancelled"
    # Meanwhile a zygote of this kind may have started, and its children: they are not counted.
    wait_until(lambda: len(running - set(processes_of(machine.data, []))) >= 21, 5, "all are dead")


def test_a_job_that_prints_a_gigabyte(client: SDK) -> None:
    failed = failure(
        client,
        "import os\nblock = b'x' * 1_000_000\nfor _ in range(1000):\n    os.write(1, block)\n",
    )
    assert failed.outcome == "over_output"
    assert failed.result.usage.output_bytes_dropped > 100_000_000
    kept = failed.result.logs
    assert len(kept) < 10_100_000
    assert "output" in failed.reason


def test_output_beyond_the_cap_is_noted(client: SDK) -> None:
    result = client.create_job(
        "for i in range(2000):\n    print(i)\n", output_bytes_max=1000
    ).execute()
    assert result.usage.output_bytes > 1000
    assert result.usage.output_bytes_dropped == result.usage.output_bytes - 1000
    job = client.job(result.job_id)
    lines = list(job.stream_logs())
    kept = [line for line in lines if line.stream == "stdout"]
    assert sum(len(line) + 1 for line in kept) <= 1001
    assert any(line.stream == "system" for line in lines)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import os\nprint('before', flush=True)\nos._exit(5)", 5),
        ("raise SystemExit(4)", 4),
        ("import sys\nsys.exit('a message')", 1),
        ("import os\nos.kill(os.getpid(), 9)", 137),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", 139),
        ("import os\nos.abort()", 134),
    ],
)
def test_jobs_that_end_themselves(client: SDK, code: str, exit_code: int) -> None:
    failed = failure(client, code)
    assert (failed.state, failed.outcome, failed.exit_code) == ("failed", "finished", exit_code)


def test_a_job_that_exits_with_zero(client: SDK) -> None:
    assert client.create_job("x = 1\nraise SystemExit(0)").execute().outputs["x"] == 1


@pytest.mark.parametrize(
    "replacement", ["None", "open('out.txt', 'w')", "7", "type('S', (), {'write': 1})()"]
)
def test_a_job_that_replaces_stdout(client: SDK, replacement: str) -> None:
    code = (
        f"import sys\nprint('before', flush=True)\nsys.stdout = sys.stderr = {replacement}\nx = 5\n"
    )
    result = client.create_job(code).execute()
    assert result.outputs["x"] == 5
    assert result.logs.startswith("before\n")


def test_a_job_that_closes_its_descriptors(client: SDK) -> None:
    result = client.create_job("import os\nx = 5\nos.closerange(0, 64)\n", import_policy="off")
    assert result.execute().outputs["x"] == 5


def test_out_of_time(client: SDK) -> None:
    began = time.monotonic()
    failed = failure(client, "import time\nprint('on', flush=True)\ntime.sleep(600)", timeout=1)
    assert (failed.outcome, failed.state) == ("timed_out", "failed")
    assert failed.logs == "on\n"
    assert time.monotonic() - began < 20


def test_out_of_cpu_time(client: SDK) -> None:
    assert failure(client, "while True: pass", cpu_seconds_max=1).outcome == "over_cpu"


def test_out_of_memory(client: SDK) -> None:
    failed = failure(
        client,
        "x = []\nwhile True:\n    x.append(bytearray(1_000_000))\n",
        hardware={"memory": "100MB"},
        max_retries=3,
    )
    assert failed.outcome == "out_of_memory"
    assert "memory" in failed.reason
    assert failed.result.usage.memory_peak_bytes <= 100_000_000
    assert len(client.job(failed.job_id).record.attempts) == 1  # type: ignore[union-attr]


def test_out_of_processes(client: SDK) -> None:
    failed = failure(
        client,
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(600)\n",
        processes_max=16,
        timeout=20,
    )
    assert failed.outcome in ("over_processes", "finished")


def test_a_full_disk_is_the_jobs_own_error(client: SDK) -> None:
    failed = failure(
        client,
        "with open('big', 'wb') as f:\n    while True:\n        f.write(bytes(1_000_000))\n",
        hardware={"disk": "20MB"},
    )
    assert failed.error is not None and failed.error.type == "OSError"


def test_the_network_is_not_there(client: SDK) -> None:
    code = (
        "import socket\n"
        "try:\n    socket.create_connection(('127.0.0.1', 80), 2)\n    said = 'connected'\n"
        "except OSError as error:\n    said = type(error).__name__\n"
    )
    result = client.create_job(code, import_policy="off").execute()
    assert result.outputs["said"] != "connected"


def test_many_jobs_at_once(client: SDK) -> None:
    jobs = [client.create_job(f"x = {number}", name=f"many{number}") for number in range(24)]
    for job in jobs:
        job.execute(wait=False)
    assert [job.result(120).outputs["x"] for job in jobs] == list(range(24))
