# SPDX-License-Identifier: Apache-2.0
"""Makes the module that the build made part of the package, as the wheel does."""

from __future__ import annotations

from pathlib import Path

import bcai
import pytest
from built_module import MODULE

bcai.__path__.append(str(MODULE))


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is read from or written to the user's own store and models."""
    monkeypatch.setenv("BCAI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    for name in ("BCAI_MODELS", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
