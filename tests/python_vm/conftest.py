# SPDX-License-Identifier: Apache-2.0
"""Makes the module that the build made part of the package, as the wheel does."""

from __future__ import annotations

import os
from pathlib import Path

import bcai
import pytest

ROOT = Path(__file__).parents[2]


def module_directory() -> Path:
    """Beside the program that is tested, or in the first build there is."""
    chosen = os.environ.get("BCAI_PROGRAM")
    builds = [Path(chosen).parents[2]] if chosen else []
    builds += [ROOT / "build" / preset for preset in ("release", "dev")]
    for build in builds:
        if list((build / "python" / "bcai").glob("_vm.*")):
            return build / "python" / "bcai"
    raise pytest.UsageError("needs bcai._vm: ./dev build release _vm")


MODULE = module_directory()
bcai.__path__.append(str(MODULE))


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is read from or written to the user's own store and models."""
    monkeypatch.setenv("BCAI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    for name in ("BCAI_MODELS", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
