# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: rows, percentiles, where a result came from, a one-machine network."""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("BCAI_PROGRAM", str(ROOT / "build/release/src/cli/bcai"))
PYTHON = os.environ.get("BCAI_PYTHON", sys.executable)


@dataclasses.dataclass
class Row:
    """One figure. ratio is value / peer; goal says what the product promises."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: str | None = None

    def fields(self) -> dict[str, object]:
        out: dict[str, object] = {"name": self.name, "value": self.value, "unit": self.unit}
        if self.peer is not None and self.peer_value:
            out |= {"peer": self.peer, "peer_value": self.peer_value,
                    "ratio": round(self.value / self.peer_value, 4)}
        if self.goal:
            out["goal"] = self.goal
        return out


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", action="store_true", help="one JSON object a line")
    made.add_argument("--keep", action="store_true", help="write bench/results/<name>.json too")
    return made


def origin() -> dict[str, object]:
    """Machine, commit and command of a result."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    model = next((line.split(":")[1].strip() for line in
                  pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {
        "machine": f"{model}, {os.cpu_count()} cores, Linux {platform.release()}",
        "commit": commit.stdout.strip() or "unknown",
        "command": " ".join(["./dev", "bench", pathlib.Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
    }


def report(rows: list[Row], options: argparse.Namespace) -> None:
    if options.json:
        for row in rows:
            print(json.dumps(row.fields()))
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            text = f"{row.name:{width}}  {row.value:10.4g} {row.unit:6}"
            if row.peer is not None and row.peer_value:
                text += f"  {row.value / row.peer_value:8.3g} × {row.peer} ({row.peer_value:.4g})"
            if row.goal:
                text += f"  goal {row.goal}"
            print(text)
    if options.keep:
        path = ROOT / "bench" / "results" / f"{pathlib.Path(sys.argv[0]).stem}.json"
        path.parent.mkdir(exist_ok=True)
        kept = origin() | {"rows": [row.fields() for row in rows]}
        path.write_text(json.dumps(kept, indent=2) + "\n")


def progress(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass
class Network:
    """A coordinator, or a coordinator and a node, each in a process of its own."""

    endpoint: str
    key: str
    directory: pathlib.Path
    coordinator: subprocess.Popen[bytes]
    node: subprocess.Popen[bytes] | None = None

    def request(self, method: str, path: str, body: object = None) -> dict[str, object]:
        request = urllib.request.Request(
            self.endpoint + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            read: dict[str, object] = json.load(answer)
            return read

    def environment(self) -> dict[str, str]:
        return {**os.environ, "BCAI_ENDPOINT": self.endpoint, "BCAI_API_KEY": self.key}


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def network(with_node: bool = True, slots: int = 2) -> Iterator[Network]:
    """Starts what `bcai coordinator` and `bcai node deploy` start; stops both at the end."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bcai-")))
        directory.chmod(0o711)
        listen = f"127.0.0.1:{free_port()}"
        data = directory / "coordinator"
        log = stack.enter_context((directory / "log").open("wb"))

        def create_key(role: str) -> str:
            made = subprocess.run(
                [PROGRAM, "coordinator", "create-key", "--data-dir", data, "--name", role,
                 "--role", role], capture_output=True, text=True, check=True)
            return made.stdout.split()[-1]

        def start(*command: str | pathlib.Path) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([PROGRAM, *command], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.send_signal, signal.SIGTERM)
            return process

        key, node_key = create_key("owner"), create_key("node")
        coordinator = start("coordinator", "--data-dir", data, "--listen", listen)
        made = Network(f"http://{listen}", key, directory, coordinator)
        wait_for(lambda: made.request("GET", "/v1/whoami"), "the coordinator", directory / "log")
        if with_node:
            config = directory / "node.yaml"
            config.write_text(
                f"name: bench\ncoordinator: {made.endpoint}\nkey: {node_key}\n"
                f"data_directory: {directory / 'node'}\npython: {PYTHON}\nslots: {slots}\n"
                f"cpu_cores: {max(slots, os.cpu_count() or 1)}\nstrangers: true\n")
            made.node = start("node", "deploy", "--config", config)
            wait_for(lambda: made.request("GET", "/v1/nodes")["nodes"][0], "the node",
                     directory / "log")
        yield made


def wait_for(ask: object, what: str, log: pathlib.Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask()  # type: ignore[operator]
            return
        except (OSError, IndexError, KeyError):
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} did not come up:\n{log.read_text()[-4000:]}") from None
            time.sleep(0.05)
