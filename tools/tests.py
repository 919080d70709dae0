# SPDX-License-Identifier: Apache-2.0
"""./dev test: every test there is, in stages, with one closing line that counts them."""

import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import checks
import setup

ROOT = setup.ROOT
STAGES = ["check", "unit", "fuzz", "python", "escape", "limits", "environment", "docs", "e2e",
          "crash"]
# Only when named: one compiles everything once more, the other fetches 400 MB.
ON_REQUEST = ["wheel", "frameworks"]
PATHS = {
    "python": ["tests/tools", "tests/runner", "tests/policy", "tests/sdk", "tests/api", "tests/vm",
               "tests/python_vm"],
    "escape": ["tests/escape", "--ignore=tests/escape/test_limits.py"],
    # Alone: it measures times.
    "limits": ["tests/escape/test_limits.py"],
    "environment": ["tests/environment"],
    # Alone: it starts the network of the README, with nothing else on the machine.
    "docs": ["tests/e2e/test_docs.py"],
    "e2e": ["tests/e2e", *(f"--ignore=tests/e2e/test_{name}.py"
                           for name in ("crash", "docs", "frameworks", "wheel"))],
    "crash": ["tests/e2e/test_crash.py", "--dist=load"],
    "wheel": ["tests/e2e/test_wheel.py"],
    "frameworks": ["tests/e2e/test_frameworks.py"],
}
FUZZ_SECONDS = 3
# Test programs at a time, whatever the machine has: the limits of sandboxes and the times within
# which jobs must answer are tested beside little else.
WORKERS = 2


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Count") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        for reason, number in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + number


def count_report(report: pathlib.Path) -> Count:
    """Reads a JUnit file, as GoogleTest and pytest write it."""
    count = Count()
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
        elif skipped is not None:
            count.skipped += 1
            reason = (skipped.get("message") or "no reason given").splitlines()[0]
            count.reasons[reason] = count.reasons.get(reason, 0) + 1
        elif case.get("status") != "notrun":
            count.passed += 1
    return count


def unit(build: Callable[..., None]) -> Count:
    """The C++ tests, under address and undefined-behaviour sanitizers."""
    build("asan-ubsan")
    return each_of("test", run_unit)


def each_of(kind: str, run: Callable[[pathlib.Path], tuple[Count, str]], name: str = "") -> Count:
    """Runs the programs *_KIND of the sanitizer build whose name contains this, WORKERS at a time;
    what one printed stays together."""
    programs = sorted(path for path in (ROOT / "build" / "asan-ubsan").rglob(f"*_{kind}")
                      if path.is_file() and name in path.name)
    total = Count()
    with ThreadPoolExecutor(WORKERS) as pool:
        for count, text in pool.map(run, programs):
            print(text, flush=True)
            total.add(count)
    return total


def run_unit(program: pathlib.Path) -> tuple[Count, str]:
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.xml"
        done = subprocess.run(
            [program, f"--gtest_output=xml:{report}", "--gtest_brief=1"],
            cwd=ROOT, capture_output=True, text=True, errors="replace",
        )
        count = count_report(report) if report.exists() else Count(failed=1)
    text = ""
    if done.returncode != 0:
        text = done.stdout[-20_000:] + done.stderr[-20_000:]
        count.failed = max(count.failed, 1)
    return count, (f"{text}  {program.name}: {count.passed} passed, {count.failed} failed, "
                   f"{count.skipped} skipped")


def fuzz(seconds: int, name: str = "") -> int:
    count = run_fuzzers(seconds, name)
    print(f"fuzz: {count.passed} passed, {count.failed} failed")
    return 1 if count.failed else 0


def run_fuzzers(seconds: int, name: str = "") -> Count:
    """Each target for some seconds, from its corpus in tests/fuzz: a directory of what was written
    by hand, an archive of what long runs found to reach new code."""
    def run(target: pathlib.Path) -> tuple[Count, str]:
        corpus = ROOT / "tests" / "fuzz" / target.name
        with tempfile.TemporaryDirectory() as scratch:
            command = [target, f"-max_total_time={seconds}", "-rss_limit_mb=1024", "-timeout=5",
                       f"-artifact_prefix={ROOT / 'build' / 'asan-ubsan'}/", scratch]
            if corpus.is_dir():
                command.append(corpus)
            if (found := corpus.with_suffix(".zip")).exists():
                zipfile.ZipFile(found).extractall(scratch)
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                  errors="replace")
        runs = re.findall(r"Done (\d+) runs", done.stderr)
        told = f"  {target.name}: {runs[0] if runs else 'failed after ?'} runs"
        if done.returncode == 0:
            return Count(passed=1), told
        return Count(failed=1), done.stderr[-8000:] + told

    return each_of("fuzz", run, name)


def pytest(run_python: Callable[[list[str]], int], paths: list[str]) -> Count:
    present = [path for path in paths if path.startswith("-") or (ROOT / path).exists()]
    if all(path.startswith("-") for path in present):
        return Count()
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.xml"
        code = run_python(["-m", "pytest", "-q", "-rs", "-n", str(WORKERS),
                           "--dist", "loadfile", f"--junitxml={report}", *present])
        count = count_report(report) if report.exists() else Count(failed=1)
    if code not in (0, 5):
        count.failed = max(count.failed, 1)
    return count


def run(stages: list[str], build: Callable[..., None],
        run_python: Callable[[list[str]], int]) -> int:
    unknown = [stage for stage in stages if stage not in STAGES + ON_REQUEST]
    if unknown:
        known = ", ".join(STAGES + ON_REQUEST)
        print(f"no stage {', '.join(unknown)}; there are {known}", file=sys.stderr)
        return 2
    # A shell starts what it runs in the background with SIGINT ignored, bcai leaves it so, and
    # tests end it with SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    total = Count()
    for stage in stages or STAGES:
        began = time.monotonic()
        print(f"== {stage}", flush=True)
        count = Count()
        if stage == "check":
            count.passed, count.failed = checks.quick()
        elif stage == "unit":
            count = unit(build)
        elif stage == "fuzz":
            build("asan-ubsan")
            count = run_fuzzers(FUZZ_SECONDS)
        else:
            build("release", ["bcai", "sandbox_run", "environment_run", "onnx_run", "_vm",
                              "vm_bits"])
            count = pytest(run_python, PATHS[stage])
        print(f"== {stage}: {count.passed} passed, {count.failed} failed, "
              f"{count.skipped} skipped in {time.monotonic() - began:.0f} s", flush=True)
        total.add(count)
    if not stages:
        print(f"not run: {', '.join(ON_REQUEST)} (./dev test {' '.join(ON_REQUEST)})")
    for reason, number in sorted(total.reasons.items()):
        print(f"skipped {number}: {reason}")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0
