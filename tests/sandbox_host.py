# SPDX-License-Identifier: Apache-2.0
"""What tests of sandboxes need of the machine, and the built programs that they run."""
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def built(program):
    """Of the first preset that has it, by its path below src/; None when there is none."""
    for preset in ("release", "dev", "asan-ubsan"):
        path = ROOT / "build" / preset / "src" / program
        if path.exists():
            return path
    return None


def lacking(program, name):
    """Why nothing can run here, or ""."""
    if os.geteuid() != 0:
        return "needs root: sandboxes are made with runc"
    if shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return "needs runc: apt-get install runc"
    if program is None:
        return f"needs the {name} program: ./dev build"
    return ""


def has_runsc():
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return shutil.which("runsc", path=path) is not None


def skip_below(directory, items, reason):
    for item in items:
        if reason and str(item.path).startswith(str(directory)):
            item.add_marker(pytest.mark.skip(reason=reason))
