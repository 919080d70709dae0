# SPDX-License-Identifier: Apache-2.0
"""What is refused: the right error, every finding at once, and no job made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcai
import httpx
import pytest
from bcai import SDK
from machine import OneMachine


@pytest.fixture
def http(machine: OneMachine) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {machine.key}"}
    with httpx.Client(base_url=machine.endpoint, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_job_is_made(machine: OneMachine) -> Iterator[None]:
    with machine.client() as client:
        before = [job.id for job in client.jobs(limit=1000)]
        yield
        after = [job.id for job in client.jobs(limit=1000)]
    assert [id for id in after if id not in before] in ([], sorted(_MADE, reverse=True))
    _MADE.clear()


_MADE: list[str] = []


def refused(client: SDK, **job: Any) -> tuple[bcai.Finding, ...]:
    with pytest.raises(bcai.InvalidArgument) as caught:
        client.create_job(**job).execute()
    return caught.value.findings


def test_a_syntax_error(client: SDK) -> None:
    (finding,) = refused(client, code="x = 1\nprint('a'\ny = 2\n")
    assert (finding.pointer, finding.line) == ("/code", 2)
    assert "'(' was never closed" in finding.message


def test_an_import_that_is_not_allowed(client: SDK) -> None:
    findings = refused(client, code="import json\nimport ctypes\nfrom ctypes import util\n")
    assert [(finding.pointer, finding.line) for finding in findings] == [("/code", 2), ("/code", 3)]
    assert "ctypes" in findings[0].message
    assert "--allow-import ctypes" in findings[0].message


def test_an_import_that_is_asked_for(client: SDK) -> None:
    code = "import ctypes\nsize = ctypes.sizeof(ctypes.c_long)\n"
    for options in ({"allow_imports": ["ctypes"]}, {"import_policy": "off"}):
        job = client.create_job(code, **options)  # type: ignore[arg-type]
        _MADE.append(job.id)
        assert job.execute().outputs["size"] == 8


@pytest.mark.parametrize(
    ("hardware", "pointer"),
    [
        ({"gpu_memry": "8GB"}, "/hardware/gpu_memry"),
        ({"memory": "8 gallons"}, "/hardware/memory"),
        ({"memory": 0}, "/hardware/memory"),
        ({"memory": 10**18}, "/hardware/memory"),
        ({"memory": -1}, "/hardware/memory"),
        ({"cpu_cores": 0}, "/hardware/cpu_cores"),
        ({"cpu_cores": "all"}, "/hardware/cpu_cores"),
        ({"gpu_count": 65}, "/hardware/gpu_count"),
        ({"gpu_count": 0, "gpu_memory": "8GB"}, "/hardware/gpu_count"),
        ({"disk": 1e300}, "/hardware/disk"),
    ],
)
def test_wrong_hardware(client: SDK, hardware: dict[str, Any], pointer: str) -> None:
    assert [finding.pointer for finding in refused(client, code="1", hardware=hardware)] == [
        pointer
    ]


@pytest.mark.parametrize(
    "member",
    [
        {"timeout": 0},
        {"timeout": 604801},
        {"timeout": 10**19},
        {"timeout": 1.5},
        {"timeout": "60"},
        {"max_retries": -1},
        {"max_retries": 101},
        {"queue_timeout": 0},
        {"processes_max": 0},
        {"output_bytes_max": "2GB"},
        {"cpu_seconds_max": -1},
        {"import_policy": "none"},
        {"environment": {"A=B": "c"}},
        {"requirements": ["torch>=>1"]},
        {"arguments": ["x"] * 257},
        {"code": ""},
        {"code": "print(1)\0"},
        {"code": "x = '" + "a" * (1 << 20) + "'"},
        {"filename": "../evil.py"},
        {"filename": "outputs/train.py"},
        {"files": [{"path": "main.py", "sha256": "0" * 64, "bytes": 1}]},
        {"files": [{"path": "/etc/passwd", "sha256": "0" * 64, "bytes": 1}]},
        {"kode": "print(1)"},
    ],
)
def test_limits_and_unknown_members(http: httpx.Client, member: dict[str, Any]) -> None:
    answer = http.post("/v1/jobs", json={"code": "print(1)", **member})
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid_argument"
    (name,) = member
    assert problem["errors"]
    assert all(error["pointer"].split("/")[1] == name for error in problem["errors"]), problem


def test_every_finding_at_once(client: SDK) -> None:
    findings = refused(
        client, code="import socket\ndef f(:\n", timeout=0, hardware={"memory": "x", "gpus": 1}
    )
    pointers = {finding.pointer for finding in findings}
    assert {"/timeout", "/hardware/memory", "/hardware/gpus"} <= pointers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"code": "print(1)",}',
        b'{"code": "print(1)", "code": "print(2)"}',
        b'{"code": "\xff\xfe"}',
        b'{"code": "print(1)"} trailing',
        b'{"code": NaN}',
        b"[" * 100_000,
    ],
)
def test_broken_json(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")


def test_code_with_lone_surrogates(http: httpx.Client) -> None:
    answer = http.post("/v1/jobs", content=b'{"code": "x = \'\\ud800\'"}')
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")


def test_a_file_that_is_not_utf8(machine: OneMachine, tmp_path: Path) -> None:
    script = tmp_path / "latin.py"
    script.write_bytes(b"s = '\xe9'\n")
    done = machine.command("run", str(script))
    assert done.returncode == 2
    assert "UTF-8" in done.stderr


def test_a_body_of_100_mb(machine: OneMachine, http: httpx.Client) -> None:
    body = json.dumps({"code": "x" * 100_000_000}).encode()
    try:
        answer = http.post("/v1/jobs", content=body)
    except httpx.TransportError:
        pass  # it may close instead of reading on
    else:
        assert answer.status_code == 413
        assert answer.json()["code"] == "resource_exhausted"
    assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "key", [None, "bcai_wrong_key", "Basic x", "bcai_" + "a" * 100_000, "ключ"]
)
def test_a_wrong_key(machine: OneMachine, key: str | None) -> None:
    headers = {} if key is None else {b"Authorization": f"Bearer {key}".encode()}
    with httpx.Client(base_url=machine.endpoint, headers=headers) as http:
        answer = http.post("/v1/jobs", json={"code": "print(1)"})
    assert answer.status_code in ((401,) if len(key or "") < 1000 else (401, 400, 431))


def test_a_wrong_key_in_the_sdk_and_on_the_command_line(machine: OneMachine) -> None:
    wrong = machine.key[:-1] + ("x" if machine.key[-1] != "x" else "y")
    with SDK(machine.endpoint, wrong) as client, pytest.raises(bcai.Unauthenticated):
        client.create_job("print(1)").execute()
    done = machine.command("jobs", "--api-key", wrong)
    assert done.returncode == 2


def test_the_same_id_with_another_body(client: SDK) -> None:
    job = client.create_job("print(1)")
    _MADE.append(job.id)
    job.execute()
    again = client.create_job("print(1)", id=job.id)
    assert again.execute().logs == "1\n"
    with pytest.raises(bcai.Conflict, match=job.id):
        client.create_job("print(2)", id=job.id).execute()
    assert client.job(job.id).logs == "1\n"


@pytest.mark.parametrize("path", ["job_x", "job_" + "0" * 26, "job_" + "z" * 26, "%00", "..%2f"])
def test_jobs_that_are_not_there(http: httpx.Client, path: str) -> None:
    for answer in (http.get(f"/v1/jobs/{path}"), http.post(f"/v1/jobs/{path}/cancel")):
        assert answer.status_code in (400, 404)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_hardware_that_no_node_has(client: SDK) -> None:
    job = client.create_job("print(1)", hardware={"gpu_count": 4}, queue_timeout=2)
    _MADE.append(job.id)
    with pytest.raises(bcai.JobFailed) as caught:
        job.execute()
    assert caught.value.state == "expired"
    assert "GPU" in caught.value.reason


def test_wrong_input_on_the_command_line(machine: OneMachine, tmp_path: Path) -> None:
    script = tmp_path / "bad.py"
    script.write_text("import socket\nx = (\n")
    done = machine.command("run", str(script))
    assert done.returncode == 2
    assert "bad.py:2" in done.stderr
    done = machine.command("run", "--memory", "8 gallons", "--code", "print(1)")
    assert done.returncode == 2
    done = machine.command("run", str(tmp_path / "no.py"))
    assert done.returncode == 2
    assert "no.py" in done.stderr
