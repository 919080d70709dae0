# SPDX-License-Identifier: Apache-2.0
"""Running tasks through the sandbox_run program (src/sandbox/sandbox_run_main.cc)."""
import json
import os
import subprocess
from pathlib import Path

from sandbox_host import built


def find_program():
    if chosen := os.environ.get("BCAI_SANDBOX_RUN"):
        return Path(chosen)
    return built("sandbox/sandbox_run")


def run_tasks(directory, tasks, parallel=1, seccomp=True, environment=None, python=None,
              start="cold", **options):
    """The runs, in the order of the tasks. start: "cold", "forked" or "warm", of each of them;
    "any" leaves it to the engine, and a task of the tenant "" starts cold; "high" is cold, at the
    high security level. options: sandbox_run's."""
    if start == "high":
        tasks, start = [{"security_level": "high", **task} for task in tasks], "cold"
    if start != "cold":
        tasks = [{"tenant": "tests", **task} for task in tasks]
    request = {"state_directory": str(directory / "state"),
               "artifacts": str(directory / "artifacts"), "parallel": parallel,
               "seccomp": seccomp, "start": start, "tasks": tasks, **options}
    if python:
        request["python"] = python
    path = directory / "request.json"
    path.write_text(json.dumps(request))
    done = subprocess.run(
        [find_program(), path], capture_output=True, text=True, check=False,
        timeout=300 + len(tasks),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})})
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    for run in runs:
        assert "report" in run, run
        # Another task may have taken the one that waited.
        found = run["report"]["start"]
        assert start == "any" or found in {start, "forked" if start == "warm" else start}, run
    return runs


def lines(run):
    """The JSON lines that a job printed."""
    found = []
    for line in run["stdout"].splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found
