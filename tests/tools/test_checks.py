# SPDX-License-Identifier: Apache-2.0
"""The checks find what they are for: each on a tree with one fault."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import layers  # noqa: E402
import tidy  # noqa: E402

LAYERS = """
[rooms]
"base" = []
"net" = []
"jobs" = ["net"]
[fences]
"sqlite3.h" = "jobs"
"""


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "layers.toml").write_text(LAYERS)
    for room in ("base", "net", "jobs"):
        (tmp_path / "src" / room).mkdir(parents=True)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def put(tree: pathlib.Path, name: str, text: str) -> None:
    (tree / name).write_text(text)


def test_an_orderly_tree_passes(tree: pathlib.Path) -> None:
    put(tree, "src/net/a.h", "// SPDX-License-Identifier: Apache-2.0\n// A.\n")
    put(tree, "src/jobs/b.cc", '// SPDX-License-Identifier: Apache-2.0\n#include "net/a.h"\n')
    assert layers.check(tree) == []
    assert tidy.check(tree) == []


@pytest.mark.parametrize(("name", "line", "told"), [
    ("src/net/a.cc", '#include "jobs/b.h"', "net may not include jobs"),
    ("src/net/a.cc", "#include <sqlite3.h>", "sqlite3.h belongs to jobs alone"),
    ("src/other.cc", "", "in no room"),
])
def test_layers(tree: pathlib.Path, name: str, line: str, told: str) -> None:
    put(tree, name, line + "\n")
    assert any(told in finding for finding in layers.check(tree))


@pytest.mark.parametrize("name", ["src/net/a_test.cc", "src/net/a_fuzz.cc"])
def test_layers_let_tests_include_any_room(tree: pathlib.Path, name: str) -> None:
    put(tree, name, '#include "jobs/b.h"\n')
    assert layers.check(tree) == []


@pytest.mark.parametrize(("name", "text", "told"), [
    ("src/net/a.cc", "int x;\n", "SPDX"),
    ("src/net/a.cc", "// SPDX-License-Identifier: x\n  co_await f();\n", "coroutines"),
    ("src/net/a.cc", "// SPDX-License-Identifier: x\n  throw 1;\n", "errors are values"),
    ("src/net/a.cc", "// SPDX-License-Identifier: x\n" + "x" * 101, "101 columns"),
    ("src/net/a.cc", "// SPDX-License-Identifier: x\n" + "\n" * 600, "split by noun"),
    ("src/net/a.cc", "// SPDX-License-Identifier: x\nint f() {\n" + "  g();\n" * 71 + "}\n",
     "a function of"),
    ("src/net/a.h", "// SPDX-License-Identifier: x\n// A.\n", "no file includes it"),
    ("src/net/util.cc", "// SPDX-License-Identifier: x\n", "name the noun"),
    ("notes.md", "See `docs/nowhere.md`.\n", "does not exist"),
    ("notes.md", "A powerful engine.\n", "how good it is"),
    ("tool.py", "# TO" + "DO: later\n", "unfinished"),
])
def test_rules(tree: pathlib.Path, name: str, text: str, told: str) -> None:
    put(tree, name, text)
    assert any(told in finding for finding in tidy.check(tree))
