# SPDX-License-Identifier: Apache-2.0
import os
import shutil
from pathlib import Path

import pytest
from package_index import Index

ROOT = Path(__file__).resolve().parents[2]


def find_program():
    for preset in ("release", "dev", "asan-ubsan"):
        path = ROOT / "build" / preset / "src/environment/environment_run"
        if path.exists():
            return path
    return None


def find_uv():
    return shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".venv/bin"))


def lacking():
    """Why nothing can run here, or ""."""
    if os.geteuid() != 0:
        return "needs root: sandboxes are made with runc"
    if shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return "needs runc: apt-get install runc"
    if find_program() is None:
        return "needs the environment_run program: ./dev build"
    if find_uv() is None:
        return "needs uv: pip install uv"
    return ""


def pytest_collection_modifyitems(items):
    reason = lacking()
    here = str(Path(__file__).parent)
    for item in items:
        if reason and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def index():
    index = Index()
    yield index
    index.close()
