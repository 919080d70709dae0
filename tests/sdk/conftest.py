# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK
from fake_coordinator import KEY, FakeCoordinator, FakeJob, Network, Plan


def quick(job: FakeJob) -> None:
    """The plan of a job that prints two lines and succeeds."""
    job.start()
    job.log("one\n")
    job.log("two\n")
    job.end(outputs={"loss": 2.25})


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("BCAI_ENDPOINT", "BCAI_API_KEY", "BCAI_CA_FILE", "BCAI_PROGRAM", "BCAI_PYTHON"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def network() -> Iterator[Network]:
    """Makes fake coordinators; afterwards none may have seen anything against the schema."""
    made: list[FakeCoordinator] = []

    def make(plan: Plan = quick, **options: str) -> FakeCoordinator:
        made.append(FakeCoordinator(plan, **options))
        return made[-1]

    yield make
    for fake in made:
        fake.close()
    assert [line for fake in made for line in fake.wrong] == []


@pytest.fixture
def fake(network: Network) -> FakeCoordinator:
    return network()


@pytest.fixture
def client(fake: FakeCoordinator) -> Iterator[SDK]:
    with SDK(fake.endpoint, KEY) as client:
        yield client
