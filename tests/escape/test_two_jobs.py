# SPDX-License-Identifier: Apache-2.0
"""Two live jobs try to see or touch each other, of one zygote or in two gVisors. Each lays out what
could be found, waits until the other has, looks for it, and stays until the other has looked."""
import sys
from pathlib import Path

import pytest
from sandbox_host import has_runsc
from sandbox_program import lines, run_tasks

PRELUDE = (Path(__file__).parent / "prelude.py").read_text()
CODE = r"""
import fcntl, glob, mmap, socket, time

ROLE, OTHER = os.environ["ROLE"], {"a": "b", "b": "a"}[os.environ["ROLE"]]
BEGAN = time.time()
MARK = "mark-of-" + ROLE
signalled = []
signal.signal(signal.SIGUSR1, lambda *_: signalled.append(1))

# What the other could find.
PLACES = ("/work", "/tmp", "/dev/shm")
IPC_NEW = 0o3666  # refused when there is one
listening = []
for place in PLACES:
    with open(f"{place}/file_{ROLE}", "w") as file:
        file.write(MARK)
for address in (f"/tmp/socket_{ROLE}", f"/work/socket_{ROLE}", f"\0cross_{ROLE}"):
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    listening.append(server)
shared = mmap.mmap(-1, 4096)
shared[:len(MARK)] = MARK.encode()
LOCKED = ["/", "/usr", "/etc", "/opt", "/opt/bcai", "/in", "/work", "/tmp", "/dev", "/dev/shm",
          "/proc", "/usr/bin/python3", "/etc/passwd", "/opt/bcai/runner.py", "/dev/null",
          "/dev/zero", "/dev/urandom", "/dev/full", "/proc/version", "/proc/self/exe",
          "/proc/sys/kernel/ostype", "/proc/1", *glob.glob("/usr/lib/*/libc.so.6"),
          *glob.glob("/opt/venv/lib/*/site-packages"), os.path.dirname(os.__file__), os.__file__]


def openable(path):
    for flags in (os.O_RDWR, os.O_RDONLY):
        try:
            return os.open(path, flags)
        except OSError:
            pass
    return None


files = {path: openable(path) for path in LOCKED}
if ROLE == "a":
    for path, fd in files.items():
        for lock in (fcntl.flock, fcntl.lockf) if fd is not None else ():
            try:
                lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # it cannot be written, or gVisor has no locks there
say(began=BEGAN, role=ROLE)
time.sleep(max(0, 1.5 - (time.time() - BEGAN)))


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def file_of(fd):
    return os.fstat(fd).st_dev, os.fstat(fd).st_ino


def locked_by_the_other():
    found, seen = [], set()
    for path, fd in files.items():
        if fd is None or ROLE == "a" or file_of(fd) in seen:
            continue
        seen.add(file_of(fd))
        for lock in (fcntl.flock, fcntl.lockf):
            try:
                lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append((path, lock.__name__))
            except OSError:
                pass
    return found or False


def connect(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def signal_everybody():
    reached = []
    for target in [-1, *range(1, 500), *(-n for n in range(3, 500))]:
        if target in (os.getpid(), -os.getpgrp()):
            continue
        try:
            os.kill(target, signal.SIGUSR1)
            reached.append(target)
        except OSError:
            pass
    return [target for target in reached if target not in (1, -1)] or False


def numbers_that_jump():
    numbers = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        numbers.append(child)
    return numbers if numbers[-1] - numbers[0] != 19 else False


def others():
    return [pid for pid in range(1, 500) if pid != os.getpid()]


def read_others(name):
    for pid in others():
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                if ("mark-of-" + OTHER).encode() in file.read(1 << 16) or name == "mem":
                    return pid
        except OSError:
            pass
    return False


def any_of(function):
    for pid in others():
        try:
            return function(pid)
        except OSError:
            pass
    return False


attack("processes", lambda: len(processes()) > 2 and processes())
for place in PLACES:
    attack(f"files in {place}", lambda: os.path.exists(f"{place}/file_{OTHER}"))
attack("a socket in /tmp", lambda: connect(f"/tmp/socket_{OTHER}"))
attack("a socket in /work", lambda: connect(f"/work/socket_{OTHER}"))
attack("an abstract socket", lambda: connect(f"\0cross_{OTHER}"))
attack("shared memory, System V", lambda: syscall("shmget", 4711, 4096, IPC_NEW))
attack("shared memory, POSIX", lambda: os.listdir("/dev/shm") != ["file_" + ROLE])
attack("a key in a keyring", lambda: syscall("add_key", b"user", b"cross", b"x", 1, -4))
attack("a keyring's search", lambda: syscall("keyctl", 10, -4, b"user", b"cross", 0))
attack("signals to others", signal_everybody)
attack("the numbers of new processes", numbers_that_jump)
attack("ptrace", lambda: any_of(lambda pid: (syscall("ptrace", 16, pid, 0, 0), True)[1]))
attack("another's memory", lambda: any_of(
    lambda pid: (syscall("process_vm_readv", pid, None, 0, None, 0, 0), True)[1]))
attack("pidfd of another, and its descriptors", lambda: any_of(
    lambda pid: (syscall("pidfd_getfd", syscall("pidfd_open", pid, 0), 0, 0), True)[1]))
for name in ("environ", "cmdline", "mem", "maps"):
    attack(f"/proc/…/{name}", lambda: read_others(name))
attack("file locks", locked_by_the_other)
attack("/proc/locks", lambda: open("/proc/locks").read() != "")
attack("control groups' files", lambda: os.listdir("/sys/fs/cgroup") or False)
attack("control groups' names", lambda: [
    line for line in open("/proc/self/cgroup").read().splitlines()
    if not line.endswith(":/")] or False)
time.sleep(max(0, 3 - (time.time() - BEGAN)))
attack("was signalled by the other", lambda: bool(signalled))
twin("own locks", lambda: files["/work"] is not None and fcntl.flock(files["/work"], fcntl.LOCK_EX))
twin("own file", lambda: open(f"/work/file_{ROLE}").read() == MARK)
twin("own socket", lambda: connect(f"\0cross_{ROLE}"))
say(ended=time.time(), addresses=hex(id(object)), opened=sum(
    fd is not None for fd in files.values()))
"""


def run_both(directory, preload="", python=None, **more):
    """What they said, when they ran at the same time and each opened what the other did."""
    tasks = [{"code": PRELUDE + preload + CODE, "imports_restricted": False,
              "environment": {"ROLE": role}, **more,
              "limits": {"wall_ms_max": 30_000, "denied_calls_max": 1000}} for role in "ab"]
    runs = run_tasks(directory, tasks, parallel=2, start="warm", python=python)
    told = [lines(run) for run in runs]
    for said, run in zip(told, runs, strict=True):
        assert [line for line in said if line.get("works") is False] == []
        assert sum("attack" in line for line in said) >= 23, (said, run["stderr"])
    last = [said[-1] for said in told]
    began = [said[0]["began"] for said in told]
    assert max(began) - min(began) < 1 < min(line["ended"] for line in last) - max(began)
    assert min(line["opened"] for line in last) >= 12
    return told


def worked(said):
    return [line["attack"] for line in said if line.get("worked")]


@pytest.mark.parametrize("preload", ["", "import torch\n"])
def test_two_jobs_of_one_zygote_know_nothing_of_each_other(tmp_path, preload):
    python = None
    if preload:
        pytest.importorskip("torch")
        python = sys.executable
    told = run_both(tmp_path, preload, python)
    assert [worked(said) for said in told] == [[], []]
    assert told[0][-1]["addresses"] == told[1][-1]["addresses"]  # one zygote's


@pytest.mark.skipif(not has_runsc(), reason="needs runsc: apt-get install runsc")
def test_two_jobs_of_the_high_level_know_nothing_of_each_other(tmp_path):
    told = run_both(tmp_path, security_level="high")
    # Each kernel has memory by this key of its own, and makes it new.
    assert [worked(said) for said in told] == [["shared memory, System V"]] * 2
