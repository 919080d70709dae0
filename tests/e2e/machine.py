# SPDX-License-Identifier: Apache-2.0
"""Starting the real program, and counting what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from bcai import SDK

ROOT = Path(__file__).parents[2]
MARK = "BCAI_TEST_RUN"
START_S_MAX = 120.0
STOP_S_MAX = 30.0


def lacking() -> str:
    """Why nothing can run here, or ``""``."""
    if os.geteuid() != 0:
        return "needs root: sandboxes are made with runc"
    if shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return "needs runc: apt-get install runc"
    if find_program() is None:
        return "needs the bcai program: ./dev build"
    return ""


def find_program() -> Path | None:
    if chosen := os.environ.get("BCAI_PROGRAM"):
        return Path(chosen)
    for preset in ("release", "dev", "asan-ubsan"):
        path = ROOT / "build" / preset / "src" / "cli" / "bcai"
        if path.exists():
            return path
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def clean_environment(directory: Path, **more: str) -> dict[str, str]:
    """An environment in which no configuration but the test's own is seen."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "XDG_STATE_HOME": str(directory / "state"),
        "XDG_DATA_HOME": str(directory / "share"),
        "LANG": "C.UTF-8",
        **more,
    }


def run_command(
    directory: Path,
    arguments: list[str],
    input: str | None = None,
    cwd: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Runs a ``bcai`` command to its end, with the directory as its home."""
    program = find_program()
    assert program is not None
    return subprocess.run(
        [str(program), *arguments],
        env=clean_environment(directory, **environment),
        input=input,
        cwd=cwd or directory,
        capture_output=True,
        text=True,
        timeout=120,
    )


def walkable(directory: Path) -> None:
    """The sandbox's users walk through the directories above their root."""
    for path in (directory, *directory.parents):
        mode = path.stat().st_mode
        if mode & 0o011 != 0o011:
            path.chmod(mode | 0o011)


class Program:
    """A ``bcai`` process that runs until it is stopped. Its output goes to a file."""

    def __init__(self, directory: Path, name: str, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.log = directory / f"{name}.log"
        program = find_program()
        assert program is not None
        environment = clean_environment(directory, **{MARK: self.mark})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"it did not stop:\n{self.text()[-4000:]}") from None
        return self.process.returncode


class OneMachine:
    """``bcai up`` on a free port with a data directory of its own."""

    def __init__(self, directory: Path, *more: str) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.program = Program(
            directory,
            "up",
            "up",
            "--listen",
            f"127.0.0.1:{self.port}",
            "--data-dir",
            str(self.data),
            "--python",
            sys.executable,
            *more,
        )
        try:
            wait_until(self._ready, START_S_MAX, "the network is ready")
        except AssertionError:
            self.program.kill()
            raise AssertionError(f"bcai up:\n{self.program.text()[-4000:]}") from None
        self.key = (self.data / "key").read_text().strip()

    def client(self, timeout: float = 30) -> SDK:
        return SDK(self.endpoint, self.key, timeout=timeout)

    def command(
        self, *arguments: str, input: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a ``bcai`` command against this network."""
        return run_command(
            self.directory,
            list(arguments),
            input=input,
            cwd=cwd,
            BCAI_ENDPOINT=self.endpoint,
            BCAI_API_KEY=self.key,
        )

    def stop(self) -> None:
        """Stops it and fails when anything is left of it."""
        code = self.program.stop()
        assert code in (0, 130, 143), f"exit code {code}:\n{self.program.text()[-4000:]}"
        assert_nothing_left(self.data, [self.program.mark])

    def _ready(self) -> bool:
        assert self.program.process.poll() is None, "it ended"
        if not (self.data / "key").exists():
            return False
        key = (self.data / "key").read_text().strip()
        with SDK(self.endpoint, key, auto_retry=False) as client:
            try:
                return any(node.state == "online" for node in client.nodes())
            except Exception:
                return False


def group_names(data: Path) -> list[str]:
    """The control groups of the sandboxes whose state lies in the directory: each is named by its
    state directory's digest."""
    states = [path.parent.resolve() for path in data.rglob("bundles") if path.is_dir()]
    return [hashlib.sha256(str(state).encode()).hexdigest()[:12] for state in states]


def groups_of(data: Path) -> list[str]:
    names = group_names(data)
    found: list[str] = []
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        if any(name in directory for name in names):
            found.append(directory)
    return found


def processes_of(data: Path, marks: list[str]) -> list[str]:
    """Processes that were started by these runs, sit in their control groups, or see their data
    directory mounted."""
    found = []
    needles = [f"{MARK}={mark}".encode() for mark in marks]
    names = group_names(data)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            mounts = (entry / "mountinfo").read_text("utf-8", "replace")
            groups = (entry / "cgroup").read_text("utf-8", "replace")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        ours = (
            any(needle in environment for needle in needles)
            or any(name in groups for name in names)
            or sees_mount(mounts, data)
        )
        if state != "Z" and ours:
            found.append(f"{entry.name} {command[:200]}")
    return found


def sees_mount(mountinfo: str, data: Path) -> bool:
    """Root or mount point of some mount lies in the directory."""
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and any(
            field == str(data) or field.startswith(f"{data}/") for field in fields[3:5]
        ):
            return True
    return False


def kept_namespaces() -> set[str]:
    """Those that a mount keeps, by what is mounted: ``net:[4026532240]``."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    return {line.split(" ")[3] for line in lines if " - nsfs " in line}


NAMESPACES_BEFORE = kept_namespaces()


def leftovers(data: Path, marks: list[str]) -> list[str]:
    found = [f"process {line}" for line in processes_of(data, marks)]
    mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    found += [f"mount {line}" for line in mounts.splitlines() if sees_mount(line, data)]
    # A namespace lives as long as a process or a mount of it.
    found += [f"namespace {line}" for line in sorted(kept_namespaces() - NAMESPACES_BEFORE)]
    found += [f"cgroup {group}" for group in groups_of(data)]
    return found


def assert_nothing_left(data: Path, marks: list[str]) -> None:
    deadline = time.monotonic() + 10
    while found := leftovers(data, marks):
        if time.monotonic() > deadline:
            raise AssertionError("left behind:\n" + "\n".join(found))
        time.sleep(0.1)
