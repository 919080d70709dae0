# SPDX-License-Identifier: Apache-2.0
"""A coordinator and a node as two processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK
from machine import (
    Program,
    assert_nothing_left,
    free_port,
    run_command,
    wait_until,
    walkable,
)


class NodeNetwork:
    """A coordinator and a node with the configuration that a test gives."""

    def __init__(self, directory: Path, config: str) -> None:
        self.directory = directory
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        data = str(directory / "coordinator")
        create_key = ["coordinator", "create-key", "--name", "test", "--role", "owner"]
        made = run_command(directory, [*create_key, "--data-dir", data])
        assert made.returncode == 0, made.stderr
        self.key = next(word for word in made.stdout.split() if word.startswith("bcai_"))
        listen = self.endpoint.removeprefix("http://")
        self.programs = [
            Program(directory, "c", "coordinator", "--data-dir", data, "--listen", listen)
        ]
        path = directory / "production.yaml"
        path.write_text(
            f"coordinator: {self.endpoint}\nkey: {self.key}\npython: {sys.executable}\n"
            f"data_directory: {directory / 'node'}\n{config}"
        )
        self.programs.append(Program(directory, "n", "node", "deploy", "--config", str(path)))
        with self.client() as client:
            wait_until(lambda: self.ready(client), 60, "the node is there")

    def client(self) -> SDK:
        return SDK(self.endpoint, self.key)

    def ready(self, client: SDK) -> bool:
        for program in self.programs:
            assert program.process.poll() is None, program.text()
        try:
            return any(node.state == "online" for node in client.nodes())
        except Exception:
            return False

    def log_of_node(self) -> str:
        return self.programs[1].text()

    def stop(self) -> None:
        for program in reversed(self.programs):
            program.stop()
        assert_nothing_left(self.directory / "node", [p.mark for p in self.programs])


def started(factory: pytest.TempPathFactory, name: str, config: str) -> Iterator[NodeNetwork]:
    """For a fixture to yield from: in a directory of its own, stopped at the end."""
    directory = factory.mktemp(name)
    walkable(directory)
    network = NodeNetwork(directory, config)
    yield network
    network.stop()
