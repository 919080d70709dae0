# SPDX-License-Identifier: Apache-2.0
"""The static check, and what both halves of the import policy catch of 31 ways around it."""
import importlib.util
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ways import CAUGHT, WAYS

ROOT = Path(__file__).resolve().parents[2]
POLICY_TEXT = (ROOT / "src/policy/imports.json").read_text()
POLICY = json.loads(POLICY_TEXT)
PYTHON = "/usr/bin/python3"


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_module = load("check", ROOT / "src/policy/python/check.py")
check_module.load_policy(POLICY_TEXT)


def check(code, restricted=True, allowed=(), job_modules=()):
    code = code.encode() if isinstance(code, str) else code
    return check_module.check(code, {"restricted": restricted, "allowed": list(allowed),
                                     "job_modules": list(job_modules)})


def messages(code, **options):
    return [(f["line"], f["column"], f["message"]) for f in check(code, **options)["findings"]]


# --- the check -------------------------------------------------------------------------------


def test_imports_wherever_they_stand():
    code = """\
import a1, a2.sub as x
from b1.sub import y
if 1:
    import c1
else:
    import c2
for i in ():
    import d1
while 0:
    import d2
else:
    import d3
try:
    import e1
except E:
    import e2
else:
    import e3
finally:
    import e4
with z:
    import f1
def f():
    async def g():
        async with z:
            import g1
class C:
    import h1
match x:
    case 1:
        import i1
from . import relative
from .other import relative
"""
    assert check(code, restricted=False) == {"findings": [], "imports": [
        "a1", "a2", "b1", "c1", "c2", "d1", "d2", "d3", "e1", "e2", "e3", "e4", "f1", "g1", "h1",
        "i1"]}
    assert len(check(code)["findings"]) == 16


def refusal(name):
    return (f"import of '{name}' is not allowed by the import policy; "
            f"ask for it with --allow-import {name}")


@pytest.mark.parametrize("code, place, name", [
    ("import ctypes", (1, 8), "ctypes"),
    ("x = 1; import os, ctypes.util as c", (1, 19), "ctypes"),
    ("'é'; import ctypes", (1, 13), "ctypes"),
    ("from socket import socket", (1, 1), "socket"),
    ("from multiprocessing import Pool, managers", (1, 1), "multiprocessing.managers"),
    ("import multiprocessing.managers", (1, 8), "multiprocessing.managers"),
    ("import urllib.request", (1, 8), "urllib.request"),
    ("import nosuchmodule.x", (1, 8), "nosuchmodule"),
    ("\ufeffimport ctypes", (1, 8), "ctypes"),
])
def test_refused(code, place, name):
    assert messages(code) == [(*place, refusal(name))]
    assert messages(code, restricted=False) == []
    assert messages(code, allowed=[name]) == []


@pytest.mark.parametrize("code", [
    "import torch, numpy as np, transformers.models, sklearn.svm, PIL.Image, bcai, tqdm.auto",
    "import os, sys, json, re, math, multiprocessing, threading, asyncio, pickle, urllib.parse",
    "from __future__ import annotations",
    "from multiprocessing import Pool",
    "import logging, http, concurrent.futures",
])
def test_allowed(code):
    assert messages(code) == []


def test_own_modules():
    assert messages("import helper, socket", job_modules=["helper", "socket"]) == []


@pytest.mark.parametrize("code, finding", [
    ("a = (\n", (1, 5, "syntax error: '(' was never closed")),
    ("return 1", (1, 1, "syntax error: 'return' outside function")),
    ("def f():\n  nonlocal x\n", (2, 3, "syntax error: no binding for nonlocal 'x' found")),
    ("if 1:\nx", (2, 1, "indentation error: expected an indented block after 'if' statement "
                        "on line 1")),
    ("print 'x'", (1, 1, "syntax error: Missing parentheses in call to 'print'. "
                         "Did you mean print(...)?")),
])
def test_syntax_errors(code, finding):
    assert messages(code) == [finding]


@pytest.mark.parametrize("code, part", [
    (b"a\n\0", "NUL byte"),
    (b"\xff\xfea\0", "UTF-16"),
    (b"x = '\xe9'", "not UTF-8: invalid continuation byte 0xe9"),
    (b"x = '\xed\xa0\x80'", "not UTF-8"),
    (b"# -*- coding: latin-1 -*-", "encoding 'latin-1'"),
    (b"#!/usr/bin/python\n# vim: set fileencoding=utf-7 :", "encoding 'utf-7'"),
    (b"\xef\xbb\xbf# coding=cp1252", "encoding 'cp1252'"),
    (b"\r# coding: rot13\rimport os", "encoding 'rot13'"),
    (b"\n" * ((1 << 20) + 1), "1048577 bytes"),
])
def test_unreadable(code, part):
    findings = messages(code)
    assert len(findings) == 1 and part in findings[0][2]


@pytest.mark.parametrize("code", [
    b"# coding: utf-8", b"# -*- coding: UTF8 -*-", b"\xef\xbb\xbfx = 1",
    b"x = 1\n\n# coding: latin-1",
    b"x = 1\n# coding: latin-1", b"", b"import os\r\nx = 1\r\n", "é = 'ü'".encode(),
])
def test_readable(code):
    assert messages(code) == []


@pytest.mark.parametrize("code", [
    "(" * 300, "-" * 500_000 + "1", "not " * 200_000 + "1", "lambda:" * 100_000 + "1",
    "a" + ".a" * 400_000, "1" + "+1" * 400_000, "a" + "()" * 400_000, "f'" + "{f\"" * 3,
    "if 1: pass\n" + "elif 1: pass\n" * 70_000, "x = " + "9" * 1_000_000,
    "".join(" " * i + "if 1:\n" for i in range(200)) + " " * 200 + "x",
])
def test_bombs_are_findings(code):
    request = subprocess.run(
        [PYTHON, "-I", "-S", "-B", str(ROOT / "src/policy/python/check.py"), POLICY_TEXT],
        input=frame(code), capture_output=True, check=False)
    ready, answer = unframe(request.stdout)
    assert ready == {} and len(answer["findings"]) == 1


def frame(code):
    header = json.dumps({"restricted": True, "allowed": [], "job_modules": []}).encode()
    code = code.encode()
    return (len(header).to_bytes(4, "little") + len(code).to_bytes(4, "little") + header + code)


def unframe(data):
    answers = []
    while data:
        size = int.from_bytes(data[:4], "little")
        answers.append(json.loads(data[4:4 + size]))
        data = data[4 + size:]
    return answers


def test_the_parser_can_only_parse():
    probe = """
import sys
sys.argv = ["check", "{}"]
source = open(CHECK).read().replace('if __name__ == "__main__":', "if False:")
exec(compile(source, "check", "exec"))
import os, socket
give_up_rights()
for name, attempt in {"open": lambda: os.open("/etc/passwd", 0), "fork": os.fork,
                      "socket": lambda: socket.socket(), "kill": lambda: os.kill(1, 0),
                      "exec": lambda: os.execv("/bin/true", ["true"])}.items():
    try:
        attempt()
    except OSError:
        continue
    print(name, "worked")
print("done")
"""
    ran = subprocess.run(
        [PYTHON, "-I", "-S", "-c",
         probe.replace("CHECK", repr(str(ROOT / "src/policy/python/check.py")))],
        capture_output=True, text=True, check=False)
    assert ran.stdout == "done\n", ran.stderr


def test_both_halves_judge_alike(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(runner_at(tmp_path)))
    monkeypatch.setitem(sys.modules, "bcai", None)
    del sys.modules["bcai"]
    runner = importlib.import_module("bcai._imports")
    inside = runner.Policy()
    inside.allow(["http.client", "asked"])
    outside = check_module.Rules({"allowed": ["http.client", "asked"], "job_modules": []})
    names = [*POLICY["denied"], *POLICY["packages"], *sys.stdlib_module_names, "nosuch",
             "asked.sub", "torch.nn", "ctypes.util", "http", "http.client", "http.server",
             "multiprocessing.pool"]
    assert len(names) > 450
    for name in names:
        assert inside.refused(name) == outside.refused(name), name
    for name in list(sys.modules):
        if name.partition(".")[0] == "bcai":
            monkeypatch.delitem(sys.modules, name)


# --- 31 ways around it: ways.py ---------------------------------------------------------------


def runner_at(directory):
    """As it lies in the sandbox: the lists beside it."""
    runner = directory / "runner"
    shutil.copytree(ROOT / "src/sandbox/python", runner)
    (runner / "imports.json").write_text(POLICY_TEXT)
    return runner


def run_inside(tmp_path, code):
    (tmp_path / "in").mkdir()
    (tmp_path / "work").mkdir()
    for path in ("in/main.py", "work/main.py"):
        (tmp_path / path).write_text(code + "\nprint('RAN')\n")
    (tmp_path / "in/task.json").write_text(json.dumps({
        "filename": "main.py", "arguments": [], "carried_bytes_max": 0,
        "imports": {"restricted": True, "allowed": []}}))
    site_packages = next(path for path in sys.path if path.endswith("site-packages"))
    return subprocess.run(
        [PYTHON, "-I", "-S", "-B", "-u", str(runner_at(tmp_path) / "runner.py"),
         str(tmp_path / "in"), str(tmp_path / "work"), site_packages],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("way", WAYS)
def test_ways_around(way, tmp_path):
    code, before_start, at_run_time = WAYS[way]
    assert bool(messages(code)) is before_start
    ran = run_inside(tmp_path, code)
    if at_run_time is CAUGHT:
        assert ran.stdout == "" and "ImportPolicyError" in ran.stderr
    else:
        assert ran.stdout == "RAN\n", ran.stderr


def row_of(way):
    _, *caught = WAYS[way]
    cells = ["caught" if one else "runs" for one in caught]
    # tests/escape/test_import_ways.py: with what it then holds it gets no further.
    return f"| {way} | {' | '.join([*cells, 'not there' if caught[1] else 'held'])} |"


def test_the_documentation_tells_what_is_caught():
    before_start = sum(way[1] for way in WAYS.values())
    at_run_time = sum(way[2] for way in WAYS.values())
    neither = sum(not way[1] and not way[2] for way in WAYS.values())
    text = (ROOT / "docs/import_policy.md").read_text()
    assert (f"Of {len(WAYS)} ways around it that we test, the check before the start catches "
            f"{before_start}, the\nfinder at run time {at_run_time}, and {neither} get past both"
            ) in text
    rows = [row for row in text.splitlines() if row.startswith("| ")][1:]
    assert rows == [row_of(way) for way in WAYS]


@pytest.mark.filterwarnings("ignore")
def test_damaged_sources_never_break_the_check():
    """2000 sources with bytes changed, cut and doubled, by seed: each gets an answer."""
    generator = random.Random(7)
    sources = [Path(module.__file__).read_bytes()[:3000] for module in (json, random, subprocess)]
    outcomes = set()
    for _ in range(2000):
        data = bytearray(generator.choice(sources))
        for _ in range(generator.randrange(1, 6)):
            at = generator.randrange(len(data))
            kind = generator.randrange(4)
            if kind == 0:
                data[at] = generator.randrange(256)
            elif kind == 1:
                del data[at:at + generator.randrange(200)]
            elif kind == 2:
                data[at:at] = data[at:at + generator.randrange(200)]
            else:
                data[at:at] = generator.choice(
                    [b"(", b"'''", b"\t", b"import ", b"f'{", b"\\", b"\r"])
            if not data:
                data = bytearray(b"\n")
        report = check(bytes(data))
        assert set(report) == {"findings", "imports"}
        for finding in report["findings"]:
            assert finding["message"] and finding["line"] >= 0 and finding["column"] >= 0
        outcomes.add(bool(report["findings"]))
    assert outcomes == {True, False}
