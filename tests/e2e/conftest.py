# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK
from machine import OneMachine, lacking, walkable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = lacking()
    here = str(Path(__file__).parent)
    for item in items:
        if reason and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneMachine]:
    """A one-machine network for all tests that do not stop it."""
    directory = tmp_path_factory.mktemp("machine")
    walkable(directory)
    made = OneMachine(directory, "--slots", "4")
    yield made
    made.stop()


@pytest.fixture
def client(machine: OneMachine) -> Iterator[SDK]:
    with machine.client() as client:
        yield client


@pytest.fixture(scope="session")
def torch_required(machine: OneMachine) -> None:
    with machine.client() as client:
        packages = client.nodes()[0].capabilities.get("packages", {})
    if "torch" not in packages:
        pytest.skip("needs torch in the base environment: ./dev setup")
