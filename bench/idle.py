# SPDX-License-Identifier: Apache-2.0
"""What coordinator and node cost while nothing happens, and what 10 000 idle long polls cost."""

import os
import pathlib
import resource
import subprocess
import sys
import time
import urllib.parse

import measure

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and its children: the coordinator's checker counts too."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def resident_mb(pid: int) -> float:
    """Proportional set size: shared pages count once."""
    total = 0.0
    for member in family(pid):
        for line in pathlib.Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024 / 1e6
    return total


def cpu_seconds(pid: int) -> float:
    total = 0
    for member in family(pid):
        fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


POLLER = """
import socket, sys, time
host, port, key, job, count, source = sys.argv[1:7]
held = []
for number in range(int(count)):
    s = socket.socket()
    s.bind((source, 0))
    s.connect((host, int(port)))
    s.sendall(f"GET /v1/jobs/{job}?wait=60 HTTP/1.1\\r\\nHost: x\\r\\n"
              f"Authorization: Bearer {key}\\r\\n\\r\\n".encode())
    held.append(s)
print("held", flush=True)
sys.stdin.readline()
"""


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--polls", type=int, default=10_000)
    chosen = options.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with measure.network() as network:
        assert network.node is not None
        network.request("POST", "/v1/jobs", {"code": "print(1)"})
        measure.progress(f"idle for {chosen.seconds} s")
        time.sleep(3)
        before = cpu_seconds(network.coordinator.pid), cpu_seconds(network.node.pid)
        time.sleep(chosen.seconds)
        after = cpu_seconds(network.coordinator.pid), cpu_seconds(network.node.pid)
        share = [(b - a) / chosen.seconds * 100 for a, b in zip(before, after, strict=True)]
        coordinator_mb = resident_mb(network.coordinator.pid)
        node_mb = resident_mb(network.node.pid)

        measure.progress(f"{chosen.polls} idle long polls")
        # A job that no node can take, so that its waiters wait.
        job = network.request("POST", "/v1/jobs", {"code": "print(1)",
                                                   "hardware": {"memory": "90TB"}})
        address = urllib.parse.urlsplit(network.endpoint)
        pollers = []
        for part in range(4):
            poller = subprocess.Popen(
                [sys.executable, "-c", POLLER, str(address.hostname), str(address.port),
                 network.key, str(job["id"]), str(chosen.polls // 4), f"127.0.0.{10 + part}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            pollers.append(poller)
        for poller in pollers:
            assert poller.stdout
            poller.stdout.readline()
        time.sleep(2)
        polls_mb = resident_mb(network.coordinator.pid) - coordinator_mb
        polls_before = cpu_seconds(network.coordinator.pid)
        time.sleep(10)
        polls_share = (cpu_seconds(network.coordinator.pid) - polls_before) / 10 * 100
        for poller in pollers:
            poller.kill()
            poller.wait()
    measure.report([
        measure.Row("coordinator_idle_mb", coordinator_mb, "MB", goal="<= 40"),
        measure.Row("node_idle_mb", node_mb, "MB", goal="<= 30"),
        measure.Row("coordinator_idle_cpu_percent", share[0], "%", goal="< 1"),
        measure.Row("node_idle_cpu_percent", share[1], "%", goal="< 1"),
        measure.Row(f"polls_{chosen.polls}_mb", polls_mb, "MB", goal="<= 100"),
        measure.Row(f"polls_{chosen.polls}_cpu_percent", polls_share, "%"),
    ], chosen)


if __name__ == "__main__":
    sys.exit(main())
