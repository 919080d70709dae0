# SPDX-License-Identifier: Apache-2.0
"""A coordinator may open as many files as the system allows, and doctor says when that is few."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from pathlib import Path

from machine import clean_environment, find_program, wait_until


def start(home: Path, soft: int, hard: int, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(find_program()), *arguments],
        env=clean_environment(home),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_coordinator_raises_its_soft_limit(tmp_path: Path) -> None:
    where = f"unix:{tmp_path / 'socket'}"
    process = start(tmp_path, 256, 4096, "coordinator", "--data-dir", str(tmp_path / "data"),
                    "--listen", where)
    try:
        wait_until((tmp_path / "socket").exists, 30, "the coordinator listens")
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"^Max open files +4096 +4096 ", limits, re.MULTILINE), limits
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_doctor_says_when_few_files_can_be_opened(tmp_path: Path) -> None:
    for hard, holds in ((4096, False), (20_000, True)):
        output, _ = start(tmp_path, 256, hard, "doctor", "--json").communicate(timeout=60)
        files = next(one for one in json.loads(output)["checks"] if one["name"] == "files")
        assert files["holds"] is holds and not files["needed"]
        assert str(hard) in files["detail"]
        assert ("LimitNOFILE=16384" in files["remedy"]) is not holds
