# SPDX-License-Identifier: Apache-2.0
"""./dev check: format, layers, rules, linters for C++ and Python, OpenAPI."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import layers
import setup
import tidy

ROOT = setup.ROOT
PYTHON_DIRECTORIES = ["python", "tools", "tests", "bench", "examples", "src"]


def tool(name: str) -> str:
    return str(setup.VENV / "bin" / name)


def cpp_files() -> list[str]:
    return [name for name in tidy.tracked(ROOT) if re.search(r"\.(cc|h)$", name)]


def lines_of(command: list[str]) -> list[str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).strip().splitlines() or [f"{command[0]} failed"]


def check_format() -> list[str]:
    return lines_of([tool("clang-format"), "--dry-run", "-Werror", *cpp_files()])


def check_ruff() -> list[str]:
    return lines_of([tool("ruff"), "check", "--quiet", *existing(PYTHON_DIRECTORIES)])


def check_mypy() -> list[str]:
    return lines_of([tool("mypy"), "--strict", "--no-error-summary", "python/bcai"])


def check_openapi() -> list[str]:
    return lines_of([tool("openapi-spec-validator"), "schema/openapi.yaml"])


def existing(names: list[str]) -> list[str]:
    return [name for name in names if (ROOT / name).exists()]


def tidy_one(name: str, database: pathlib.Path, cache: pathlib.Path) -> list[str]:
    """clang-tidy on one file, unless the same bytes, headers and rules were clean before."""
    entry = next(item for item in json.loads((database / "compile_commands.json").read_text())
                 if item["file"] == str(ROOT / name))
    command = entry["command"].split()
    command = command[next(i for i, part in enumerate(command) if part.endswith("++")):]
    command = command[: command.index("-o")] + ["-E", "-P", str(ROOT / name)]
    source = subprocess.run(command, cwd=entry["directory"], capture_output=True).stdout
    rules = (ROOT / ".clang-tidy").read_bytes()
    stamp = cache / hashlib.sha256(rules + source).hexdigest()
    if stamp.exists():
        return []
    done = subprocess.run(
        ["clang-tidy-14", "--quiet", "-p", str(database), str(ROOT / name)],
        cwd=ROOT, capture_output=True, text=True,
    )
    if done.returncode == 0:
        stamp.touch()
        return []
    return done.stdout.strip().splitlines()


def check_clang_tidy() -> list[str]:
    database = ROOT / "build" / "dev"
    quiet = subprocess.run(["cmake", "--preset", "dev"], cwd=ROOT, capture_output=True, text=True)
    if quiet.returncode != 0:
        return [quiet.stderr]
    cache = ROOT / "build" / "clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    names = [name for name in cpp_files()
             if name.endswith(".cc") and not name.endswith(("_fuzz.cc", "_test.cc"))]
    bad: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(tidy_one, name, database, cache) for name in names]
        for index, future in enumerate(futures, 1):
            bad += future.result()
            if sys.stderr.isatty():
                print(f"\r  clang-tidy {index}/{len(futures)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return bad


QUICK: dict[str, Callable[[], list[str]]] = {
    "format": check_format,
    "layers": lambda: layers.check(ROOT),
    "rules": lambda: tidy.check(ROOT),
    "ruff": check_ruff,
    "mypy": check_mypy,
    "openapi": check_openapi,
}


def quick() -> tuple[int, int]:
    """Runs the checks that need no build. Returns how many passed and failed."""
    passed = failed = 0
    for name, check in QUICK.items():
        bad = check()
        print(f"check {name}: {'ok' if not bad else f'{len(bad)} findings'}")
        for line in bad[:50]:
            print(f"  {line}")
        passed += not bad
        failed += bool(bad)
    return passed, failed


def run(deep: bool, build: Callable[..., None], run_python: Callable[[list[str]], int]) -> int:
    passed, failed = quick()
    if deep:
        bad = check_clang_tidy()
        print(f"check clang-tidy: {'ok' if not bad else f'{len(bad)} lines'}")
        for line in bad[:80]:
            print(f"  {line}")
        failed += bool(bad)
        passed += not bad
        build("release", ["bcai"])
        served = run_python(["-m", "pytest", "-q", "tests/api"])
        print(f"check openapi against the server: {'ok' if served == 0 else 'failed'}")
        failed += served != 0
        passed += served == 0
    print(f"check: {passed} passed, {failed} failed")
    return 1 if failed else 0


def format_code() -> int:
    subprocess.run([tool("clang-format"), "-i", *cpp_files()], cwd=ROOT, check=True)
    subprocess.run([tool("ruff"), "check", "--quiet", "--fix", *existing(PYTHON_DIRECTORIES)],
                   cwd=ROOT, check=False)
    return 0
