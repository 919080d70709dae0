# SPDX-License-Identifier: Apache-2.0
"""The wheel that users install: built from the repository, in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from machine import ROOT, clean_environment, walkable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_the_wheel_carries_sdk_and_program(tmp_path: Path) -> None:
    pytest.importorskip("scikit_build_core", reason="needs scikit-build-core to build the wheel")
    walkable(tmp_path)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    done = subprocess.run([*build, "-w", tmp_path, ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (wheel,) = tmp_path.glob("bcai-*.whl")
    # For one Python, as its extension module is.
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}-linux" in wheel.name or f"-{tag}-{tag}-manylinux" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert {"bcai/py.typed", "bcai/sdk.py", "bcai/_vm.pyi", "bcai/vm/__init__.py"} <= set(names)
    assert len([name for name in names if name.startswith("bcai/_vm.cpython-")]) == 1
    assert [name for name in names if name.endswith("scripts/bcai")]
    assert not [name for name in names if name.startswith(("tests/", "src/", "lib/", "include/"))]

    # httpx comes from this environment; the wheel alone is installed in the fresh one.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"]
    done = subprocess.run([*install, wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    program = tmp_path / "venv" / "bin" / "bcai"
    environment = clean_environment(tmp_path)
    version = subprocess.run([program, "version"], env=environment, capture_output=True, text=True)
    assert version.returncode == 0 and "0.1.0" in version.stdout
    site = next(path for path in sys.path if path.endswith("site-packages"))
    code = "import bcai, bcai.config as c; print(bcai.__version__, c.find_program())"
    done = subprocess.run(
        [python, "-c", f"import sys; sys.path.append({site!r}); {code}"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"0.1.0 {program}\n", done.stderr
    code = (
        "from bcai import Model, Tensor, vm\n"
        "b = vm.Builder()\n"
        "x = b.argument('x', 'float32', [b.symbol('B', 1, 4), 2])\n"
        "model = b.model(y=b.TensorMatMul(x, b.weight('w', Tensor.create([2, 2], fill=2))))\n"
        "model.save('m.bcvm')\n"
        "print(Model.load('m.bcvm').run([[1, 2]])['y'].tolist())\n"
    )
    done = subprocess.run(
        [python, "-c", f"import sys; sys.path.append({site!r}); {code}"],
        cwd=tmp_path,
        env={**environment, "BCAI_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[[6.0, 6.0]]\n", done.stderr
