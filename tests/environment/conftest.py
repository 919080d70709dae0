# SPDX-License-Identifier: Apache-2.0
import shutil
from pathlib import Path

import pytest
from package_index import Index
from sandbox_host import ROOT, built, lacking, skip_below


def find_program():
    return built("environment/environment_run")


def find_uv():
    return shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".venv/bin"))


def pytest_collection_modifyitems(items):
    reason = lacking(find_program(), "environment_run")
    if not reason and find_uv() is None:
        reason = "needs uv: pip install uv"
    skip_below(Path(__file__).parent, items, reason)


@pytest.fixture
def index():
    index = Index()
    yield index
    index.close()
