# SPDX-License-Identifier: Apache-2.0
"""Importing and running ONNX models with the onnx_run program (src/vm/onnx/run)."""
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find_program():
    if chosen := os.environ.get("BCAI_ONNX_RUN"):
        return Path(chosen)
    for preset in ("release", "dev", "asan-ubsan"):
        path = ROOT / "build" / preset / "src/vm/onnx/run/onnx_run"
        if path.exists():
            return path
    return None


def run_cases(directory, cases):
    """{name: outcome}, each with "stage", "error" and, when it is "done", its "directory"."""
    for case in cases:
        case["outputs"] = str(directory / "outputs" / case["name"])
    request = directory / "cases.json"
    request.write_text(json.dumps({"cases": cases}))
    done = subprocess.run([find_program(), request], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outcomes = {}
    for line in done.stdout.splitlines():
        outcome = json.loads(line)
        outcome["directory"] = directory / "outputs" / outcome["name"]
        outcomes[outcome["name"]] = outcome
    return outcomes


def markdown():
    return subprocess.run([find_program(), "--markdown"], capture_output=True, text=True,
                          check=True).stdout


def operators():
    """The (domain, operator) pairs that the importer lists."""
    rows = [line.split("|") for line in markdown().splitlines() if line.startswith("| ")]
    return {("" if row[2].strip() == "ai.onnx" else row[2].strip(), row[1].strip())
            for row in rows[1:]}
