# SPDX-License-Identifier: Apache-2.0
"""The audit log of a node: what is in it, that an outsider can check it by its description alone,
and that what was changed shows."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bcai import SDK
from machine import ROOT, run_command
from node_network import NodeNetwork, started

DENIED = """
import ctypes
libc = ctypes.CDLL(None)
for _ in range(20):
    libc.unshare(-1)
"""
OUTSIDE = """
import urllib.request, urllib.error
for url in ("http://192.0.2.1:80/", "http://other.example/"):
    try:
        urllib.request.urlopen(url, timeout=0.5)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeNetwork]:
    yield from started(tmp_path_factory, "audit", 'network: ["192.0.2.1:80"]\nindex_url: none\n')


@pytest.fixture(scope="module")
def jobs(network: NodeNetwork) -> dict[str, str]:
    """Run one after the other: their ids."""
    with network.client() as client:
        return {name: run(client, code, **more) for name, (code, more) in {
            "finished": ("loss = 1.5\nopen('outputs/a b\\x1b.txt', 'w').write('x')", {}),
            "failed": ("raise ValueError('\\x1b[31m what a job says')", {}),
            "denied": (DENIED, {"import_policy": "off"}),
            "network": (OUTSIDE, {"network": {"allow": ["192.0.2.1:80"]}}),
        }.items()}  # fmt: skip


def run(client: SDK, code: str, **more: Any) -> str:
    job = client.create_job(code, max_retries=0, **more)
    job.execute(wait=False)
    job.wait(timeout=60)
    return str(job.id)


def directory_of(network: NodeNetwork) -> Path:
    return network.directory / "node" / "audit"


def records(network: NodeNetwork) -> list[dict[str, Any]]:
    [file] = directory_of(network).glob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def of_job(network: NodeNetwork, job: str) -> dict[str, Any]:
    [record] = [record for record in records(network) if record.get("job") == job]
    return record


def audit(network: NodeNetwork, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(network.directory, ["audit", *arguments])


def results(network: NodeNetwork, job: str) -> dict[str, Any]:
    arguments = ["results", job, "--json", "--endpoint", network.endpoint]
    done = run_command(network.directory, [*arguments, "--api-key", network.key])
    assert done.returncode in {0, 1}, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def script() -> str:
    page = (ROOT / "docs" / "formats" / "audit.md").read_text()
    [found] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(found)


def run_script(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", script(), str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_is_recorded(network: NodeNetwork, jobs: dict[str, str]) -> None:
    first = records(network)[0]
    assert first["kind"] == "node_started" and first["prev"] == "0" * 64
    assert any(line["holds"] for line in first["self_tested"]["lines"])
    record = of_job(network, jobs["finished"])
    assert record["outcome"] == "finished" and record["exit_code"] == 0
    assert record["sandbox"]["self_test"] == first["self_test"]
    told = results(network, jobs["finished"])["sandbox"]
    assert told["runtime"] == record["sandbox"]["runtime"]
    assert told["self_test"] == record["sandbox"]["self_test"]
    assert record["sandbox"]["level"] == "standard"
    assert record["sandbox"]["runtime"].startswith("runc ")
    assert record["sandbox"]["uid"] >= 300_000
    assert record["usage"]["memory_peak_bytes"] > 0 and record["limits"]["memory_bytes"] > 0
    code = b"loss = 1.5\nopen('outputs/a b\\x1b.txt', 'w').write('x')"
    assert record["code"]["sha256"] == hashlib.sha256(code).hexdigest()
    assert record["denied_calls"] == {}
    assert record["network"] == {"allow": [], "connections": []}
    assert set(record["timings"]) == {"staging_ms", "start_ms", "run_ms", "collect_ms"}


def test_a_job_writes_nothing_of_its_own(network: NodeNetwork, jobs: dict[str, str]) -> None:
    record = of_job(network, jobs["failed"])
    assert record["cause"] == "exited with code 1" and record["exit_code"] == 1
    [file] = directory_of(network).glob("*.jsonl")
    text = file.read_bytes()
    assert b"what a job says" not in text
    assert all(byte == 10 or 32 <= byte < 127 for byte in text)


def test_denied_calls_and_their_end(network: NodeNetwork, jobs: dict[str, str]) -> None:
    record = of_job(network, jobs["denied"])
    assert record["outcome"] == "policy_violation"
    assert record["denied_calls"] == {"unshare": 10}
    assert record["cause"] == "tried system calls that no job may make: unshare (10)"
    with network.client() as client:
        log = client.job(jobs["denied"]).logs
    assert "the system call unshare was denied 10 times" in log


def test_each_connection(network: NodeNetwork, jobs: dict[str, str]) -> None:
    told = of_job(network, jobs["network"])["network"]
    assert told["allow"] == ["192.0.2.1:80"]
    refused = [one for one in told["connections"] if one["target"] == "other.example:80"]
    assert refused[0]["verdict"] == "refused" and "is not allowed" in refused[0]["reason"]
    assert refused[0]["address"] == "" and refused[0]["bytes_sent"] == 0
    assert {one["target"] for one in told["connections"]} == {"192.0.2.1:80", "other.example:80"}


def test_an_outsider_can_verify(network: NodeNetwork, jobs: dict[str, str]) -> None:
    assert jobs
    [file] = directory_of(network).glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    done = run_script(file)
    assert done.returncode == 0, done.stderr
    last = records(network)[-1]
    assert done.stdout == f"the head is {last['seq']} {last['hash']}\n"
    ours = audit(network, "verify", str(file.parent))
    assert ours.returncode == 0, ours.stderr
    assert f"{last['seq']}:{last['hash']}" in ours.stdout


def test_both_find_what_was_changed(
    network: NodeNetwork, jobs: dict[str, str], tmp_path: Path
) -> None:
    [file] = directory_of(network).glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    number = records(network).index(of_job(network, jobs["denied"]))
    kinder = lines[number].replace(b'"unshare":10', b'"unshare":01').replace(b":01", b":1 ")
    copy = tmp_path / file.name
    for changed in (
        [*lines[:number], kinder, *lines[number + 1 :]],
        [*lines[:number], *lines[number + 1 :]],
        [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]],
    ):
        copy.write_bytes(b"".join(changed))
        assert run_script(copy).returncode != 0
        done = audit(network, "verify", str(tmp_path))
        assert done.returncode == 1
        assert f"{copy}:{number + 1}: " in done.stderr


def test_both_find_what_was_taken_away(
    network: NodeNetwork, jobs: dict[str, str], tmp_path: Path
) -> None:
    [file] = directory_of(network).glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    assert jobs and len(lines) > 3
    copy = tmp_path / file.name
    copy.write_bytes(b"".join(lines[2:]))
    assert run_script(copy).returncode != 0
    done = audit(network, "verify", str(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert f"{copy}:1: expected record 1, by the file's name, found 3" in done.stderr
    copy.write_bytes(b"")
    assert run_script(copy).returncode != 0
    for path in (copy, tmp_path):
        done = audit(network, "verify", str(path))
        assert done.returncode == 1 and f"{copy}: it is empty" in done.stderr
    copy.unlink()
    done = audit(network, "verify", str(tmp_path))
    assert done.returncode == 2 and done.stdout == "" and "holds no audit log" in done.stderr


def test_the_coordinator_has_the_head(
    network: NodeNetwork, jobs: dict[str, str], tmp_path: Path
) -> None:
    record = of_job(network, jobs["network"])
    head = results(network, jobs["network"])["audit"]
    assert head == {"seq": record["seq"], "hash": record["hash"]}
    known = f"{head['seq']}:{head['hash']}"
    shutil.copytree(directory_of(network), tmp_path / "audit")
    assert audit(network, "verify", str(tmp_path / "audit"), "--head", known).returncode == 0
    [file] = (tmp_path / "audit").glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: record["seq"] - 1]))
    assert audit(network, "verify", str(tmp_path / "audit")).returncode == 0
    cut = audit(network, "verify", str(tmp_path / "audit"), "--head", known)
    assert cut.returncode == 1 and "taken away" in cut.stderr
    assert audit(network, "verify", "--head", "1:x").returncode == 2


def test_show(network: NodeNetwork, jobs: dict[str, str]) -> None:
    where = str(network.directory / "node")
    shown = audit(network, "show", "--data-dir", where, "--job", jobs["denied"])
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) == 1 and "policy_violation" in shown.stdout
    whole = audit(network, "show", "--data-dir", where, "--json")
    assert [json.loads(line) for line in whole.stdout.splitlines()] == records(network)
    malformed = audit(network, "show", "--data-dir", where, "--job", "job_x")
    assert malformed.returncode == 2 and "--job: " in malformed.stderr
    other = "job_" + "0" * (len(jobs["denied"]) - 4)
    for more in ((), ("--json",)):
        unknown = audit(network, "show", "--data-dir", where, "--job", other, *more)
        assert unknown.returncode == 2 and unknown.stdout == ""
        assert f"no record of {other}" in unknown.stderr
    missing = audit(network, "show", str(network.directory / "none"))
    assert missing.returncode == 2 and "none" in missing.stderr
