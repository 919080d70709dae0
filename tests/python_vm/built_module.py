# SPDX-License-Identifier: Apache-2.0
"""Where the build put bcai._vm."""

from __future__ import annotations

import os
from pathlib import Path

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
