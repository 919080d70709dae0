# SPDX-License-Identifier: Apache-2.0
"""Each script of attacks/ is a job that tries to leave its sandbox or its limits, and does next to
that what a job may do. Every attack must fail, every twin must work, and the outcome must be the
right one. Without seccomp several attacks work: the suite can see when a border is missing."""
import hashlib
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
from sandbox_host import has_runsc
from sandbox_program import lines, run_tasks

HERE = Path(__file__).parent
PRELUDE = (HERE / "prelude.py").read_text()
LIMITS = {"memory_bytes_max": 200_000_000, "disk_bytes_max": 8_000_000, "inodes_max": 500,
          "processes_max": 64, "wall_ms_max": 20_000, "output_bytes_max": 200_000, "grace_ms": 0,
          "denied_calls_max": 1_000_000}  # each attack is to be seen to its end


class Expected(NamedTuple):
    outcome: str = "finished"
    exit_code: int = 0
    limits: dict = {}
    twins: int = 1


ATTACKS = {
    "a01_fork_bomb": Expected("over_processes", 3, {"processes_max": 32}),
    "a02_memory_bomb": Expected("out_of_memory", 137, {"memory_bytes_max": 100_000_000}),
    "a03_disk_fill": Expected(limits={"file_bytes_max": 100_000_000}, twins=3),
    "a04_zip_bomb": Expected(limits={"memory_bytes_max": 100_000_000}, twins=2),
    "a05_inode_bomb": Expected(twins=3),
    "a06_read_host": Expected(twins=3),
    "a07_write_system": Expected(twins=4),
    "a08_mount": Expected(twins=2),
    "a09_roots_and_handles": Expected(),
    "a10_namespaces": Expected(twins=2),
    "a11_other_processes": Expected(twins=2),
    "a12_proc": Expected(twins=3),
    "a13_keyring": Expected(),
    "a14_host_sockets": Expected(twins=3),
    "a15_descriptors": Expected(twins=2),
    "a16_terminal": Expected(twins=2),
    "a17_supervisor": Expected(),
    "a18_outputs": Expected(),
    "a18b_outputs_link": Expected(),
    "a18c_outputs_swap": Expected(),
    "a19_log_flood": Expected("over_output", 137, {"output_bytes_max": 10_000,
                                                   "output_bytes_kill": 1_000_000}),
    "a20_endless_line": Expected("over_output", 137, {"output_bytes_max": 10_000,
                                                      "output_bytes_kill": 1_000_000}),
    "a21_daemons": Expected(),
    "a22_clock_and_names": Expected(twins=2),
    "a23_core_dump": Expected(),
    "a24_kernel": Expected(),
    "a25_network": Expected(),
    "a26_kernel_interfaces": Expected(twins=2),
    "a27_privileges": Expected(twins=2),
    "a28_other_architectures": Expected(),
    "a30_deaf": Expected("timed_out", 137, {"wall_ms_max": 500, "grace_ms": 200}),
    "a31_shares": Expected(twins=2),
    "a33_kernel_memory": Expected("out_of_memory", 137, {"memory_bytes_max": 64_000_000}),
    "a34_forged_results": Expected(exit_code=5),
    "a36_fingerprint": Expected(),
    "a37_oom_score": Expected(),
}
# At the high level: where the outcome is another. gVisor counts processes in its own way and its
# memory is in the job's group, so the bomb meets that first; process 1 can be killed from inside,
# which cannot be told from gVisor's own end.
HIGH = {
    "a01_fork_bomb": Expected("out_of_memory", 137, {"processes_max": 32}),
    "a17_supervisor": Expected("node_failure", 137, twins=0),
    "a30_deaf": Expected("timed_out", 137, {"wall_ms_max": 2500, "grace_ms": 200}),
    "a31_shares": Expected(twins=1),
    "a37_oom_score": Expected(twins=0),
}
# What works there because gVisor's kernel does it, for its own processes, in its own namespaces, in
# memory of the job's: nothing of this machine's is reached.
EMULATED = {
    "a05_inode_bomb": {"more files in /tmp than allowed", "more files in /dev/shm than allowed"},
    "a06_read_host": {"list /sys"},
    "a10_namespaces": {"unshare user", "unshare mount", "unshare cgroup", "unshare time",
                       "unshare pid", "unshare ipc", "unshare uts", "unshare net",
                       "unshare user and net", "clone user", "clone user and mount"},
    "a11_other_processes": {"ptrace traceme", "ptrace seize"},
    "a12_proc": {"write /proc/self/oom_score_adj", "read /proc/cmdline", "control groups"},
    "a15_descriptors": {"descriptors of the supervisor"},
    "a16_terminal": {"/dev/ptmx"},
    "a24_kernel": {"syslog", "System V shared memory", "System V messages", "System V semaphores",
                   "a POSIX message queue"},
    "a25_network": {"socket INET 1", "socket INET 2", "socket INET6 1", "socket INET6 2",
                    "socket NETLINK 2", "socket NETLINK 3", "socket with high bits"},
    "a26_kernel_interfaces": {"io_uring_setup", "io_setup", "/dev/fuse", "/dev/net/tun"},
    "a27_privileges": {"keep capabilities"},
    "a31_shares": {"a higher priority"},
    "a36_fingerprint": {"the kernel's command line", "block devices"},
    "a37_oom_score": {"be spared when the machine runs out of memory",
                      "be spared before the node itself"},
}
EMULATED_TWINS = {"a31_shares": {"a lower priority"}, "a37_oom_score": {"the score can be read"}}
# Of gVisor's own, beside the job's, and some pages that the machine's kernel counts beyond a limit.
GUEST_KERNEL_BYTES = 64_000_000 + 65_536
# Attacks that only seccomp holds back, in whole or in part.
TEETH = ["a08_mount", "a09_roots_and_handles", "a10_namespaces", "a11_other_processes",
         "a13_keyring", "a16_terminal", "a22_clock_and_names", "a24_kernel", "a25_network",
         "a26_kernel_interfaces", "a28_other_architectures"]


def expectation(name, start):
    expected = ATTACKS.get(name, Expected())
    return HIGH.get(name, expected) if start == "high" else expected


class Host:
    """What the attacks are after: a file, a secret, sockets. All of it open to every user."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="bcai-escape-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        self.canary = self.directory + "/canary"
        Path(self.canary).write_text("canary " + uuid.uuid4().hex)
        os.chmod(self.canary, 0o644)
        self.secret = "secret-" + uuid.uuid4().hex
        self.mark = "mark-" + uuid.uuid4().hex
        self.abstract = "bcai-escape-" + uuid.uuid4().hex
        self.listening = [self.listen(address) for address in
                          ("\0" + self.abstract, self.directory + "/socket")]
        os.chmod(self.directory + "/socket", 0o777)
        self.tcp = socket.create_server(("127.0.0.1", 0))

    def listen(self, address):
        server = socket.socket(socket.AF_UNIX)
        server.bind(address)
        server.listen()
        return server

    def task(self, name, start):
        constants = {"CANARY": self.canary, "SECRET": self.secret, "ABSTRACT": self.abstract,
                     "SOCKET_PATH": self.directory + "/socket",
                     "PORT": self.tcp.getsockname()[1], "HOST_NAME": os.uname().nodename}
        told = "".join(f"{key} = {value!r}\n" for key, value in constants.items())
        code = PRELUDE + told + (HERE / "attacks" / f"{name}.py").read_text()
        # The secret is told to the attack so that it can look for it: not by its own code.
        code = code.replace(repr(self.secret), repr(self.secret[:7]) + "+" + repr(self.secret[7:]))
        expected = expectation(name, start)
        return {"code": code, "filename": f"{name}.py", "imports_restricted": False,
                "environment": {"BCAI_MARK": self.mark}, "limits": {**LIMITS, **expected.limits}}

    def run(self, directory, names, start="cold", **options):
        return run_tasks(directory, [self.task(name, start) for name in names], start=start,
                         environment={"BCAI_SECRET": self.secret}, **options)

    def close(self):
        for server in [*self.listening, self.tcp]:
            server.close()
        shutil.rmtree(self.directory)


@pytest.fixture(scope="session")
def host():
    made = Host()
    yield made
    made.close()


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("escape")


@pytest.fixture(scope="session", params=["cold", "warm", "high"])
def start(request):
    if request.param == "high" and not has_runsc():
        pytest.skip("needs runsc: apt-get install runsc")
    return request.param


@pytest.fixture(scope="session")
def runs(host, directory, start):
    """One run of each attack."""
    done = host.run(directory, list(ATTACKS), parallel=2, start=start)
    return dict(zip(ATTACKS, done, strict=True))


def assert_held(run, twins, emulated=(), emulated_twins=()):
    said = lines(run)
    worked = [line for line in said if line.get("worked") and line["attack"] not in emulated]
    assert not worked, worked
    assert any("attack" in line or "twin" in line for line in said), run
    broken = [line for line in said
              if line.get("works") is False and line["twin"] not in emulated_twins]
    assert not broken, broken
    assert sum(1 for line in said if line.get("works")) >= twins, said


def test_what_is_open_goes_no_further(runs, start):
    if start == "high":
        pytest.skip("gVisor has a score of its own, which the machine's kernel does not read")
    worked = [line["attack"] for line in lines(runs["a37_oom_score"]) if line.get("worked")]
    assert set(worked) <= {"be spared when the machine runs out of memory"}



CAP_SYS_RESOURCE = 24


def has_capability(number):
    status = Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> number & 1)


def test_every_script_is_run():
    scripts = {path.stem for path in (HERE / "attacks").glob("*.py")}
    assert scripts == set(ATTACKS) | {"a32_leftovers"}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name, runs, start):
    run, expected = runs[name], expectation(name, start)
    if name == "a37_oom_score" and not has_capability(CAP_SYS_RESOURCE):
        pytest.skip("this root lacks CAP_SYS_RESOURCE: no process can set a floor of the score")
    high = start == "high"
    # One prints no more than that after its first line, the other has ended itself by then.
    if name != "a20_endless_line" and not (high and name == "a17_supervisor"):
        assert_held(run, expected.twins, EMULATED.get(name, ()) if high else (),
                    EMULATED_TWINS.get(name, ()) if high else ())
    seen = (run["report"]["outcome"], run["report"]["exit_code"])
    assert seen == (expected.outcome, expected.exit_code), (run["report"], run["stderr"][-2000:])


@pytest.mark.parametrize("name", ATTACKS)
def test_caps_hold_to_the_byte(name, runs, start):
    limits = {**LIMITS, **expectation(name, start).limits}
    if start == "high":
        limits["memory_bytes_max"] += GUEST_KERNEL_BYTES
        limits["processes_max"] = 1024  # of this machine's
    run = runs[name]
    usage = run["report"]["usage"]
    assert usage["memory_peak_bytes"] <= limits["memory_bytes_max"]
    assert usage["processes_peak"] <= limits["processes_max"]
    kept = usage["output_bytes"] - usage["output_bytes_dropped"]
    assert kept <= limits["output_bytes_max"]
    assert len(run["stdout"]) + len(run["stderr"]) <= limits["output_bytes_max"]


def test_the_bombs_reach_their_caps(runs):
    """Else the test above would say nothing."""
    def usage(name):
        return runs[name]["report"]["usage"]

    assert usage("a01_fork_bomb")["processes_peak"] >= 32
    assert usage("a02_memory_bomb")["memory_peak_bytes"] > 99_000_000
    assert usage("a33_kernel_memory")["memory_peak_bytes"] > 60_000_000
    for name in ("a19_log_flood", "a20_endless_line"):
        kept = usage(name)["output_bytes"] - usage(name)["output_bytes_dropped"]
        assert kept == 10_000 and usage(name)["output_bytes"] >= 1_000_000


def artifacts(run):
    return {item["name"]: Path(item["path"]) for item in run["report"]["artifacts"]}


def test_outputs_are_collected_from_regular_files_only(host, runs, start):
    run = runs["a18_outputs"]
    found = artifacts(run)
    secret = Path(host.canary).read_bytes()
    for item in run["report"]["artifacts"]:
        content = Path(item["path"]).read_bytes()
        assert secret not in content and b"root:" not in content
        assert hashlib.sha256(content).hexdigest() == item["sha256"]
        assert len(content) == item["bytes"]
        assert not Path(item["path"]).is_symlink()
    assert found["outputs/alone.txt"].read_bytes() == b"alone"
    assert found["outputs/deep/alone.txt"].read_bytes() == b"deep"
    # Two names of one file: whose it is cannot be told, so neither is taken.
    for name in ("link", "etc", "etc/passwd", "environ", "inner", "fifo", "socket", "new\nline",
                 "\x1b[31mred", "good.txt", "hard", "deep/" + "/".join("d" * 20) + "/buried"):
        assert "outputs/" + name not in found
    named = {"link", "environ", "good.txt", "hard"}
    if start != "high":  # gVisor's kernel keeps these two to itself
        named |= {"fifo", "socket"}
    assert {"outputs/" + name for name in named} <= left_out(run)


def left_out(run):
    return {item["name"] for item in run["report"]["left_out"]}


def test_links_for_directories_are_not_followed(host, runs):
    assert not artifacts(runs["a18b_outputs_link"])


def test_a_swapped_file_is_never_the_hosts(host, runs):
    for path in artifacts(runs["a18c_outputs_swap"]).values():
        assert path.read_bytes() == b"mine"


def test_a_forged_result_is_data(runs):
    run = runs["a34_forged_results"]
    assert run["report"]["usage"]["cpu_ms"] > 0
    assert run["report"]["outputs"]["outputs"] == {"forged": 1}
    assert all(isinstance(message, dict | str) for message in run["messages"])
    assert len(run["messages"]) <= 200


def test_nothing_is_left_for_the_next_job(host, directory):
    for run in host.run(directory, ["a32_leftovers", "a32_leftovers"]):
        assert_held(run, 4)
        assert run["report"]["outcome"] == "finished"


def test_no_process_outlives_its_job(host, runs):
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if host.mark.encode() in (process / "environ").read_bytes():
                left.append((process.name, (process / "cmdline").read_bytes()))
        except OSError:
            continue
    assert left == []


def test_the_supervisor_still_works(host, directory, runs):
    ended = run_tasks(directory, [{"code": "print('ok')"}])[0]
    assert ended["stdout"] == "ok\n" and ended["report"]["outcome"] == "finished"


TRAINING = """
import multiprocessing, os, subprocess, sys, tempfile
import torch
from torch.utils.data import DataLoader, TensorDataset

def square(x):
    return x * x

def train():
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    data = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for epoch in range(5):
        for batch, target in DataLoader(data, batch_size=16, num_workers=2):
            loss = torch.nn.functional.mse_loss(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    return model, losses

if __name__ == "__main__":
    model, losses = train()
    falls = losses[-1] < losses[0]
    scripted = torch.jit.script(model)(torch.ones(64, 4)).shape[0]
    with multiprocessing.Pool(2) as pool:
        squares = pool.map(square, range(4))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        spawned = pool.map(square, range(4))
    ran = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout
    torch.save(model.state_dict(), "outputs/model.pt")
    probe = torch.ones(3)
    with tempfile.TemporaryFile() as file:
        temporary = file.write(b"x" * 1000)
"""


def test_training_works_inside(directory, start):
    """The positive twin of the whole: what a practitioner's job does."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch in the base environment: ./dev setup")
    run = run_tasks(directory, [{
        "code": TRAINING, "imports_restricted": False,
        "limits": {"memory_bytes_max": 2_000_000_000, "cpu_millicores": 2000,
                   "wall_ms_max": 240_000}}],
        python=sys.executable, start=start)[0]
    report = run["report"]
    assert (report["outcome"], report["exit_code"]) == ("finished", 0), run["stderr"]
    outputs = report["outputs"]["outputs"]
    assert outputs["falls"] is True and outputs["scripted"] == 64
    assert outputs["squares"] == outputs["spawned"] == [0, 1, 4, 9]
    assert outputs["ran"] == "7\n" and outputs["temporary"] == 1000
    assert not report["denied_calls"]  # what libraries try is not counted
    assert sorted(artifacts(run)) == ["outputs.safetensors", "outputs/model.pt"]


def test_the_suite_has_teeth(host, directory, runs, tell):
    """Run after all others: without seccomp, attacks work that it holds back."""
    bare = dict(zip(TEETH, host.run(directory, TEETH, parallel=2, seccomp=False), strict=True))
    flipped = [name for name, run in bare.items() if any(line.get("worked") for line in lines(run))]
    tell(f"without seccomp {len(flipped)} of {len(TEETH)} work: {', '.join(flipped)}")
    assert len(flipped) >= 8, flipped
