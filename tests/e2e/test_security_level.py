# SPDX-License-Identifier: Apache-2.0
"""The high security level from the user's side: the same job, in a kernel of its own, and a record
that says so. Without runsc it is refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from bcai import SDK, SecurityLevel
from machine import MARK, OneMachine, run_command, walkable

CODE = """
print(open("/proc/version").read())
x = sum(range(10))
"""
needs_runsc = pytest.mark.skipif(
    shutil.which("runsc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin") is None,
    reason="needs runsc: apt-get install runsc",
)


@needs_runsc
def test_a_job_has_a_kernel_of_its_own_and_a_record_of_it(
    client: SDK, machine: OneMachine
) -> None:
    assert client.nodes()[0].capabilities["security_levels"] == ["standard", "high"]
    said: list[str] = []
    job = client.create_job(CODE, security_level=SecurityLevel.HIGH)
    result = job.execute(on_log=lambda line: said.append(str(line)))
    assert result.outputs["x"] == 45
    assert said and Path("/proc/version").read_text().strip() not in "".join(said)
    assert result.sandbox.security_level == SecurityLevel.HIGH
    assert result.sandbox.runtime.startswith("runsc 20")
    assert "hold" in result.sandbox.self_test
    told = json.loads(machine.command("results", job.id, "--json").stdout)
    assert told["sandbox"]["runtime"] == result.sandbox.runtime

    ordinary = client.create_job(CODE).execute()
    assert ordinary.sandbox.security_level == "standard"
    assert ordinary.sandbox.runtime.startswith("runc ")


@needs_runsc
def test_run_on_this_machine(tmp_path: Path) -> None:
    walkable(tmp_path)
    options = {"BCAI_PYTHON": sys.executable, MARK: tmp_path.name}
    command = ["run", "--security-level", "high", "--code", CODE]
    done = run_command(tmp_path, command, **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Linux version")
    assert os.uname().release not in done.stdout


def test_doctor_tells_of_gvisor(tmp_path: Path) -> None:
    done = run_command(tmp_path, ["doctor", "--json"])
    (check,) = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "gvisor"]
    assert not check["needed"]
    assert check["holds"] == ("runsc 20" in check["detail"])
    assert check["holds"] or "runsc" in check["detail"]
