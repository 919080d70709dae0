# SPDX-License-Identifier: Apache-2.0
"""Without an endpoint: the same engine on this machine, private to the process."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import (
    MARK,
    ROOT,
    OneMachine,
    assert_nothing_left,
    clean_environment,
    find_program,
    run_command,
    walkable,
)

SCRIPT = """
import os, sys
from bcai import SDK
client = SDK()
job = client.create_job("import os\\nprint('in the sandbox')\\nx = os.getuid()")
result = job.execute(on_log=print)
print("x is", result.outputs["x"])
{end}
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    walkable(tmp_path)
    yield tmp_path
    assert_nothing_left(tmp_path, [tmp_path.name])


@pytest.mark.parametrize(
    "end", ["client.close()", "pass", "os._exit(0)", "os.kill(os.getpid(), 9)"]
)
def test_the_sdk_runs_jobs_on_this_machine(home: Path, end: str) -> None:
    environment = clean_environment(
        home,
        PYTHONPATH=str(ROOT / "python"),
        BCAI_PROGRAM=str(find_program()),
        **{MARK: home.name},
    )
    done = subprocess.run(
        [sys.executable, "-uc", SCRIPT.format(end=end)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout == "in the sandbox\nx is 1000\n", done.stderr


def test_run_on_this_machine(home: Path) -> None:
    options = {"BCAI_PYTHON": sys.executable, MARK: home.name}
    done = run_command(home, ["run", "--code", "print(6 * 7)"], **options)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    done = run_command(home, ["run", "--code", "1 / 0"], **options)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    everything = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
    raw = subprocess.run(
        [str(find_program()), "run", "--quiet", "--code", everything],
        env=clean_environment(home, **options),
        capture_output=True,
        timeout=120,
    )
    assert (raw.returncode, raw.stdout) == (0, bytes(range(256))), raw.stderr
    listed = run_command(home, ["jobs"], **options)
    assert listed.returncode == 0
    assert "succeeded" in listed.stdout and "failed" in listed.stdout


def test_run_on_this_machine_reaches_the_hosts_that_it_names(home: Path) -> None:
    server = http.server.HTTPServer(("127.0.0.2", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.2:{server.server_port}"
    code = f"import urllib.request as r; print(r.urlopen('http://{host}/').status)"
    command = ["run", "--import-policy", "off", "--code", code]
    options = {"BCAI_PYTHON": sys.executable, MARK: home.name}
    done = run_command(home, [*command, "--allow-host", host], **options)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert run_command(home, command, **options).returncode == 1


def test_node_status_finds_the_node_of_up(machine: OneMachine) -> None:
    done = machine.command("node", "status", "--data-dir", str(machine.data))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^coordinator +connected$", done.stdout, re.MULTILINE), done.stdout
    elsewhere = machine.command("node", "status")
    assert elsewhere.returncode == 3
    assert "--data-dir" in elsewhere.stderr
