# SPDX-License-Identifier: Apache-2.0
"""The runner inside the sandbox, run outside of one: real processes, real torch. Safetensors files
are read back by the safetensors package, not by our own code."""
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
SITE_PACKAGES = next(p for p in sys.path if p.endswith("site-packages"))


class Ran:
    def __init__(self, directory, process, stdout, stderr, control):
        self.directory = directory
        self.exit_code = process.returncode
        self.stdout = stdout.decode()
        self.stderr = stderr.decode()
        self.control = control.decode()
        self.messages = [json.loads(line) for line in self.control.splitlines()]
        report = directory / "work/.bcai/outputs.json"
        self.report = json.loads(report.read_text()) if report.exists() else None
        if self.report is not None:
            self.outputs = self.report["outputs"]
            self.left_out = {item["name"]: item["reason"] for item in self.report["left_out"]}
            self.error = self.report["error"]

    def tensors(self, framework="pt"):
        from safetensors import safe_open
        path = self.directory / "work/.bcai/outputs.safetensors"
        with safe_open(path, framework) as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


class Job:
    def __init__(self, directory, runner):
        self.directory = directory
        self.runner = runner
        (directory / "in").mkdir()
        (directory / "work").mkdir()

    def start(self, code, filename="main.py", arguments=(), restricted=False, allowed=(),
              carried_bytes_max=64_000_000, secrets=None, sent=None, **popen):
        """sent: what of the secrets comes; else all."""
        code = textwrap.dedent(code).encode() if isinstance(code, str) else code
        (self.directory / "in/main.py").write_bytes(code)
        (self.directory / "work" / filename).write_bytes(code)
        task = {
            "filename": filename, "arguments": list(arguments),
            "imports": {"restricted": restricted, "allowed": list(allowed)},
            "carried_bytes_max": carried_bytes_max}
        if secrets is not None:
            task["secrets"] = list(secrets)
            popen["stdin"] = self._secrets(secrets if sent is None else sent)
        (self.directory / "in/task.json").write_text(json.dumps(task))
        self.control_read, control_write = os.pipe()
        # The control pipe is number 3 inside, as in the sandbox.
        script = f'exec 3>&{control_write}; exec "$@"'
        process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", PYTHON, "-I", "-S", "-B", "-u", str(self.runner),
             str(self.directory / "in"), str(self.directory / "work"), SITE_PACKAGES],
            stdin=popen.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=[control_write], start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, **popen)
        os.close(control_write)
        return process

    def _secrets(self, secrets):
        """A pipe that holds them, as the engine makes it."""
        read, write = os.pipe()
        os.write(write, b"".join(part.encode() + b"\0" for pair in secrets.items()
                                 for part in pair))
        os.close(write)
        return read

    def end(self, process, timeout=60):
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        control = b""
        while part := os.read(self.control_read, 65536):
            control += part
        os.close(self.control_read)
        return Ran(self.directory, process, stdout, stderr, control)

    def run(self, code, **options):
        return self.end(self.start(code, **options))


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """As it lies in a sandbox, with the import policy beside it."""
    directory = tmp_path_factory.mktemp("opt") / "bcai"
    shutil.copytree(ROOT / "src/sandbox/python", directory)
    shutil.copy(ROOT / "src/policy/imports.json", directory)
    return directory / "runner.py"


@pytest.fixture
def job(tmp_path, runner):
    return Job(tmp_path, runner)
