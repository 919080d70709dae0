# SPDX-License-Identifier: Apache-2.0
"""System calls that no library tries and an attack does: refused, counted by name, and too many
end the job."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sandbox_host import has_runsc
from sandbox_program import find_program, lines, run_tasks

PRELUDE = (Path(__file__).parent / "prelude.py").read_text()
# Of src/sandbox/seccomp.cc those that the prelude has a number for.
COUNTED = ["mount", "umount2", "pivot_root", "chroot", "swapon", "fsopen", "open_tree",
           "move_mount", "fspick", "mount_setattr", "unshare", "setns", "ptrace",
           "process_vm_readv", "process_vm_writev", "pidfd_getfd", "bpf", "perf_event_open",
           "userfaultfd", "add_key", "request_key", "keyctl", "open_by_handle_at", "init_module",
           "finit_module", "kexec_load", "reboot"]
LIBRARIES_TRY = ["io_uring_setup", "name_to_handle_at", "kcmp", "mbind", "personality",
                 "memfd_secret", "sched_setscheduler", "syslog"]
TRY = """
def denied(name):
    try:
        syscall(name, -1, -1, -1, -1, -1, -1)
    except OSError as error:
        return error.errno == 1
    return False
"""


@pytest.fixture(scope="module", params=["cold", "warm"])
def start(request):
    return request.param


def run_one(tmp_path, code, start="cold", **limits):
    task = {"code": PRELUDE + TRY + code, "imports_restricted": False,
            "limits": {"wall_ms_max": 30_000, **limits}}
    return run_tasks(tmp_path, [task], start=start)[0]


def test_each_is_refused_and_counted(tmp_path, start):
    code = f"say(refused=[name for name in {COUNTED + LIBRARIES_TRY} if denied(name)])"
    run = run_one(tmp_path, code, start, denied_calls_max=1000)
    assert lines(run)[-1]["refused"] == COUNTED + LIBRARIES_TRY
    assert run["report"]["outcome"] == "finished"
    assert run["report"]["denied_calls"] == dict.fromkeys(COUNTED, 1)


def test_ten_end_the_job(tmp_path, start):
    code = """
for i in range(9): denied("mount")
say(made=9)
for i in range(9): denied("ptrace")
say(made=18)
"""
    report = (run := run_one(tmp_path, code, start))["report"]
    assert lines(run) == [{"made": 9}]
    assert report["outcome"] == "policy_violation"
    assert report["exit_code"] == 137
    assert report["denied_calls"] == {"mount": 9, "ptrace": 1}
    assert report["detail"] == \
        "tried system calls that no job may make: mount (9), ptrace (1)"


def test_nine_do_not(tmp_path, start):
    run = run_one(tmp_path, "for i in range(9): denied('keyctl')\nsay(made=9)", start)
    assert lines(run) == [{"made": 9}]
    assert run["report"]["outcome"] == "finished"
    assert run["report"]["detail"] == ""
    assert run["report"]["denied_calls"] == {"keyctl": 9}


@pytest.mark.skipif(not has_runsc(), reason="needs runsc: apt-get install runsc")
def test_nobody_counts_at_the_high_level(tmp_path):
    run = run_one(tmp_path, "for i in range(20): denied('mount')\nsay(made=20)", "high")
    assert lines(run) == [{"made": 20}]
    assert run["report"]["outcome"] == "finished"
    assert run["report"]["denied_calls"] is None


def test_a_flood_from_many_threads_and_processes_ends_the_job(tmp_path, start):
    code = """
import threading
for _ in range(8):
    if os.fork() == 0: break
def flood():
    while True: denied("unshare")
for _ in range(4): threading.Thread(target=flood).start()
"""
    report = run_one(tmp_path, code, start, processes_max=60)["report"]
    assert report["outcome"] == "policy_violation"
    assert sum(report["denied_calls"].values()) >= 10
    assert report["run_ms"] < 20_000


def switches(process):
    status = (process / "status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def process_with(mark):
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "comm").read_text():
                return process
        except OSError:
            continue
    return None


def moves(process):
    before = switches(process)
    time.sleep(1)
    return switches(process) > before + 10


def test_without_a_supervisor_a_call_fails_and_the_job_goes_on(tmp_path):
    """While the supervisor is stopped the call waits; when it is gone the kernel refuses."""
    mark = f"denied{os.getpid()}"
    code = PRELUDE + TRY + f"""
import time
LIBC.prctl(15, b"{mark}", 0, 0, 0)
while True:
    denied("mount")
    time.sleep(0.01)
"""
    request = tmp_path / "request.json"
    request.write_text(json.dumps({
        "state_directory": str(tmp_path / "state"), "code": code, "imports_restricted": False,
        "limits": {"denied_calls_max": 1_000_000, "wall_ms_max": 60_000}}))
    supervisor = subprocess.Popen([find_program(), request], stdout=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + 30
        while (job := process_with(mark)) is None and time.monotonic() < give_up:
            time.sleep(0.1)
        assert moves(job)
        supervisor.send_signal(signal.SIGSTOP)
        assert not moves(job)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert moves(job)
    ended = run_tasks(tmp_path, [{"code": "print('ok')"}])[0]  # its engine sweeps what is left
    assert ended["stdout"] == "ok\n" and process_with(mark) is None


def test_what_a_training_job_does_is_not_counted(tmp_path, start):
    pytest.importorskip("torch")
    code = "import torch, numpy\nwith torch.profiler.profile() as p:\n    torch.ones(9).sum()\n" \
           "say(ok=True)"
    run = run_tasks(tmp_path, [{"code": PRELUDE + code, "imports_restricted": False,
                                "limits": {"cpu_millicores": 2000, "wall_ms_max": 120_000}}],
                    start=start, python=sys.executable)[0]
    assert lines(run) == [{"ok": True}], run["stderr"]
    assert run["report"]["denied_calls"] == {}
