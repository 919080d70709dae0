# SPDX-License-Identifier: Apache-2.0
"""What the package shows: help, names, what importing it costs, what it says when parts lack."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcai
import pytest
from bcai import vm
from built_module import MODULE, ROOT

PUBLIC = [bcai.Tensor, bcai.Model, *(getattr(vm, name) for name in vm.__all__)]
# Those of object, and of dataclasses, say nothing that is not known.
SPOKEN = {"__init__", "__repr__", "__eq__", "__hash__", "__getitem__", "__iter__", "__len__"}


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    yield thing.__name__, thing
    if not inspect.isclass(thing):
        return
    for base in thing.__mro__:
        if not base.__module__.startswith("bcai"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") and (name not in SPOKEN or base.__name__ in ("Dim", "Value")):
                continue
            if inspect.isroutine(member) or isinstance(member, property | classmethod):
                yield f"{thing.__name__}.{name}", member


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_help_tells_of_everything(thing: Any) -> None:
    silent = [
        name for name, member in members(thing)
        if not (inspect.getdoc(member) or "").strip()
        and not getattr(member, "__qualname__", "").endswith(("__eq__", "__hash__", "__repr__"))
    ]  # fmt: skip
    assert silent == []
    assert thing.__name__ in pydoc.render_doc(thing)


def test_help_of_an_instruction_has_shapes_and_rule() -> None:
    text = pydoc.plain(pydoc.render_doc(vm.Builder.TensorMatMul))
    for word in ("``a`` [..,M,K]", "``transpose_b`` b is [..,N,K]", "Shape rule:", "Dtypes: f32"):
        assert word in text


def run(code: str, *path: Path | str) -> subprocess.CompletedProcess[str]:
    search = [str(each) for each in (*path, ROOT / "python")]
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {search!r}\n{code}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_import_bcai_loads_nothing_of_the_vm() -> None:
    done = run(
        "import bcai\n"
        "lazy = {'numpy', 'bcai._vm', 'bcai.vm', 'bcai.tensor', 'bcai.model'}\n"
        "print(sorted(lazy & set(sys.modules)), 'Tensor' in dir(bcai))"
    )
    assert done.stdout == "[] True\n", done.stderr


def test_a_missing_module_says_how_to_get_it() -> None:
    for name in ("from bcai import Tensor", "from bcai import Model", "import bcai; bcai.vm"):
        done = run(name)
        assert "ImportError: bcai._vm, the VM for Python, cannot be loaded" in done.stderr
        assert "pip install" in done.stderr
    done = run("import bcai; bcai.Frobnicate")
    assert "module 'bcai' has no attribute 'Frobnicate'" in done.stderr


def test_without_numpy(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('no numpy here')")
    done = run(
        f"import bcai; bcai.__path__.append({str(MODULE)!r})\n"
        "from bcai import Tensor\n"
        "t = Tensor([[1.0, 2.0]]) @ Tensor([[3.0], [4.0]])\n"
        "print(t, t.tolist())\n"
        "t.to_numpy()",
        tmp_path,
    )
    assert done.stdout == "Tensor([[11.0]], shape=(1, 1), dtype=float32) [[11.0]]\n", done.stderr
    assert "ImportError: to_numpy needs numpy: pip install 'bcai[numpy]'" in done.stderr


def test_nothing_is_left_at_exit() -> None:
    """nanobind tells of objects that outlive the interpreter."""
    done = run(
        f"import bcai; bcai.__path__.append({str(MODULE)!r})\n"
        "import numpy; from bcai import Tensor\nx = Tensor(numpy.ones(3, 'f4')) + 1\n"
        "y = x.to_numpy(); print(y.sum())"
    )
    assert (done.stdout, done.stderr) == ("6.0\n", "")


PAGES = [ROOT / "README.md", ROOT / "docs" / "python_vm.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_snippets_of_the_documentation_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, as a reader would try them. Those of jobs run elsewhere."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    ours = [block for block in blocks if "SDK" not in block]
    assert ours
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in ours:
        exec(compile(block, str(page), "exec"), names)
    if page.name == "README.md":
        assert names["model"].predict([[1, 2, 3, 4]]).tolist() == [[0.5, 0.5]]
