# SPDX-License-Identifier: Apache-2.0
"""Each way around the import policy that works (tests/policy/ways.py), in the sandbox: the job
holds a module that the policy refuses, and gets no further with it than any other job."""
import socket
import sys
from pathlib import Path

import pytest
from sandbox_program import lines, run_tasks

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
from ways import CAUGHT, WAYS

# With any import at hand, for a way that works once works again.
THEN = """
import builtins, json, os
real = builtins.__import__
ctypes, socket = real("ctypes"), real("socket")
libc = ctypes.CDLL(None, use_errno=True)
def connect():
    with socket.socket() as s: s.connect(("127.0.0.1", PORT))
def unix():
    with socket.socket(socket.AF_UNIX) as s: s.connect("\\0" + ABSTRACT)
def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]
def must(result):
    if result != 0: raise OSError(ctypes.get_errno(), "")
    return True
tried = {
    "a file of the host": lambda: open(CANARY).read(),
    "passwords": lambda: open("/etc/shadow").read(),
    "a socket of the host": connect,
    "an abstract socket": unix,
    "a name": lambda: socket.getaddrinfo("name.example", 80),
    "a mount": lambda: must(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None)),
    "a namespace": lambda: must(libc.unshare(0x10000000)),
    "another user": lambda: must(libc.setuid(0)),
    "the host's processes": lambda: must(len(processes()) < 5),
}
worked = []
for name, attempt in tried.items():
    try:
        attempt()
    except OSError:
        continue
    worked.append(name)
os.write(1, (json.dumps({"tried": len(tried), "worked": worked}) + "\\n").encode())
"""
RUN = [name for name, way in WAYS.items() if way[2] is not CAUGHT]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ways")
    canary = directory / "canary"
    canary.write_text("canary")
    server = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0bcai-ways-{id(server)}")
    abstract.listen()
    told = (f"CANARY, PORT = {str(canary)!r}, {server.getsockname()[1]}\n"
            f"ABSTRACT = 'bcai-ways-{id(server)}'\n")
    tasks = [{"code": f"{told}{WAYS[name][0]}\n{THEN}", "limits": {"processes_max": 32}}
             for name in RUN]
    done = run_tasks(directory, tasks, python=sys.executable, parallel=2)
    server.close()
    abstract.close()
    return dict(zip(RUN, done, strict=True))


@pytest.mark.parametrize("way", RUN)
def test_what_gets_past_the_policy_gets_no_further(way, runs):
    run = runs[way]
    if way == "another interpreter":  # by a shell, which the sandbox has not
        assert "assert os.system" in run["stderr"]
        return
    assert lines(run) == [{"tried": 9, "worked": []}], run["stderr"]
    assert run["report"]["outcome"] == "finished"
    assert run["report"]["denied_calls"] == {"mount": 1, "unshare": 1}
