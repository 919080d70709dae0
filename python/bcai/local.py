# SPDX-License-Identifier: Apache-2.0
"""The private network on this machine: ``bcai local`` as a child process.

Jobs see the packages of this interpreter unless another one is configured.

One for each process, shared by all clients and started by the first that needs it. It listens on
a unix socket in a directory of its own, and ends when its standard input closes: when the last
client is closed, or when this process ends, however it ends.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from bcai.config import Target, find_program, local_python
from bcai.errors import FailedPrecondition

# The first start on a machine prepares the sandbox and tests it.
_START_S_MAX = 120.0
_STOP_S_MAX = 15.0

_lock = threading.Lock()
_shared: LocalNetwork | None = None
_users = 0


def acquire() -> Target:
    """Starts the network unless it runs, and counts its users. Blocks; safe from any thread."""
    global _shared, _users
    with _lock:
        if _shared is not None and not _shared.alive():
            _shared.stop()
            _shared, _users = None, 0
        if _shared is None:
            _shared = LocalNetwork(find_program())
            _users = 0
        _users += 1
        return _shared.target


def release() -> None:
    global _shared, _users
    with _lock:
        _users -= 1
        if _users <= 0 and _shared is not None:
            _shared.stop()
            _shared, _users = None, 0


@atexit.register
def _stop_at_exit() -> None:
    global _shared
    with _lock:
        if _shared is not None:
            _shared.stop()
            _shared = None


class LocalNetwork:
    """The child process. ``target`` says how to reach it."""

    def __init__(self, program: str) -> None:
        self._owner = os.getpid()
        self._directory = Path(tempfile.mkdtemp(prefix="bcai-"))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                [program, "local", "--socket", str(self._directory / "socket")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "BCAI_PYTHON": local_python()},
                start_new_session=True,
            )
            self.target = self._ready(self._process)
        except OSError as error:
            self.stop()
            raise FailedPrecondition(f"{program}: {error.strerror}") from None
        except BaseException:
            self.stop()
            raise

    def alive(self) -> bool:
        process = self._process
        return self._owner == os.getpid() and process is not None and process.poll() is None

    def stop(self) -> None:
        """Ends the network with all its jobs. In a forked child this leaves it to the parent."""
        if self._owner != os.getpid():
            return
        process = self._process
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            try:
                process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _ready(self, process: subprocess.Popen[bytes]) -> Target:
        assert process.stdout is not None
        line = _first_line(process.stdout, time.monotonic() + _START_S_MAX)
        try:
            said = json.loads(line)
            return Target(said["endpoint"], said["api_key"])
        except (ValueError, KeyError, TypeError):
            pass
        try:
            code = process.wait(1.0)
            ended = f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            ended = f"said nothing usable within {_START_S_MAX:.0f} s"
        self._log.seek(0)
        text = self._log.read()[-4000:].decode("utf-8", "replace").strip()
        raise FailedPrecondition(
            f"the network on this machine did not start: bcai local {ended}\n{text}".rstrip()
        )


def _first_line(stream: IO[bytes], deadline: float) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(stream.fileno(), 4096) if ready else b""
        if not piece:
            break
        line += piece
    return line
