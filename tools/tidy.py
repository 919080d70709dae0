# SPDX-License-Identifier: Apache-2.0
"""The rules of style that a machine can hold, each with its reason in the message."""

import pathlib
import re
import subprocess

LINE_COLUMNS_MAX = 100
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

BANNED_CALLS = {
    r"\bco_(await|return|yield)\b": "g++ 12 miscompiles coroutines; use callbacks",
    r"\bthrow\b(?!\()": "errors are values: return a Result (base/result.h)",
    r"\bgetenv\(": "configuration is read in one place of each program",
    r"\bchrono::\w*clock::now\(": "time comes from a Clock (base/clock.h)",
    r"\b(sprintf|strcpy|strcat|gets)\(": "unbounded; use fmt::format or std::string",
    r"\bstd::regex\b": "slow to compile and to run; parse by hand",
}
# Where a banned call is the one place that may make it.
ALLOWED = {
    r"\bgetenv\(": ("src/cli/", "src/node/config"),
}
BANNED_NAMES = re.compile(r"(^|/)(utils?|helpers?|common|misc|manager)[^/]*\.(cc|h|py)$")
BANNED_WORDS = re.compile(
    r"\b(seamless|blazing|robust|powerful|enterprise-grade|production-ready|next-generation|"
    r"cutting-edge|world-class)\b", re.IGNORECASE)
NAMED_PATH = re.compile(
    r"`((?:src|tools|docs|tests|schema|bench|python|examples)/[\w./-]+)`")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked(root: pathlib.Path) -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout
    return [name for name in listing.splitlines() if (root / name).is_file()]


def long_functions(name: str, lines: list[str]) -> list[str]:
    """Bodies that begin at column 0 or in a class and end at the matching indentation."""
    bad = []
    start, indent = 0, ""
    for number, line in enumerate(lines, 1):
        opens = re.match(r"^( {0,2})[\w:~].*\)[^;=]*\{$", line)
        if opens and not start and not re.match(r"^\s*(namespace|struct|class|enum)\b", line):
            start, indent = number, opens[1]
        elif start and line == indent + "}":
            if number - start > FUNCTION_LINES_MAX:
                bad.append(f"{name}:{start}: a function of {number - start} lines, "
                           f"at most {FUNCTION_LINES_MAX}")
            start = 0
    return bad


def check_cpp(name: str, text: str) -> list[str]:
    bad = []
    lines = text.splitlines()
    if not lines or not lines[0].startswith("// SPDX-License-Identifier:"):
        bad.append(f"{name}:1: the first line is the SPDX licence line")
    if name.endswith(".h") and (len(lines) < 2 or not lines[1].startswith("//")):
        bad.append(f"{name}:2: a header says what it is for, in its first lines")
    if len(lines) > FILE_LINES_MAX and not name.endswith("_test.cc"):
        bad.append(f"{name}: {len(lines)} lines, at most {FILE_LINES_MAX}: split by noun")
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        if len(line) > LINE_COLUMNS_MAX:
            bad.append(f"{name}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}")
        for pattern, instead in BANNED_CALLS.items():
            if name.endswith("_test.cc") or name.startswith(ALLOWED.get(pattern, ("\0",))):
                continue
            if name.startswith("src/base/clock"):
                continue
            if re.search(pattern, code) and not re.search(r'"[^"]*' + pattern, code):
                bad.append(f"{name}:{number}: {instead}")
    return bad + long_functions(name, lines)


def check_markdown(root: pathlib.Path, name: str, text: str) -> list[str]:
    bad = []
    for number, line in enumerate(text.splitlines(), 1):
        if BANNED_WORDS.search(line):
            bad.append(f"{name}:{number}: says how good it is instead of what it does")
        for path in NAMED_PATH.findall(line):
            if not (root / path).exists():
                bad.append(f"{name}:{number}: {path} does not exist")
    return bad


def check(root: pathlib.Path) -> list[str]:
    bad = []
    names = tracked(root)
    headers = {name for name in names if name.startswith("src/") and name.endswith(".h")}
    included: set[str] = set()
    for name in names:
        path = root / name
        if BANNED_NAMES.search(name):
            bad.append(f"{name}: name the noun instead (no util, helper, common, manager)")
        if path.suffix not in {".cc", ".h", ".py", ".md"}:
            continue
        text = path.read_text()
        included.update("src/" + found for found in re.findall(r'#include "([^"]+)"', text))
        if path.suffix in {".cc", ".h"}:
            bad += check_cpp(name, text)
        if path.suffix == ".md":
            bad += check_markdown(root, name, text)
        if path.suffix != ".md" and name != "tools/tidy.py":
            bad += [f"{name}:{number}: unfinished: {found[0]}"
                    for number, line in enumerate(text.splitlines(), 1)
                    if (found := UNFINISHED.search(line))]
    bad += [f"{name}: no file includes it" for name in sorted(headers - included)]
    return bad
