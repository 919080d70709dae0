# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest
from native_program import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the program keeps weights and measurements in these tests."""
    os.environ["BCAI_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
