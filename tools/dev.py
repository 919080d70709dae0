# SPDX-License-Identifier: Apache-2.0
"""./dev: sets up, builds, tests, checks, measures. `./dev COMMAND --help` tells more."""

import argparse
import os
import subprocess
import sys

import aarch64
import checks
import setup

import tests

ROOT = setup.ROOT
# What benchmarks have in common.
SHARED = ("measure", "peers", "vm_cases")


def build(preset: str, targets: list[str] | None = None) -> None:
    directory = ROOT / "build" / preset
    if not (directory / "build.ninja").exists():
        quiet = subprocess.run(
            ["cmake", "--preset", preset], cwd=ROOT, capture_output=True, text=True
        )
        if quiet.returncode != 0:
            raise SystemExit(quiet.stdout + quiet.stderr)
    command = ["cmake", "--build", str(directory)]
    if targets:
        command += ["--target", *targets]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise SystemExit(f"build: preset {preset} failed")


def python() -> str:
    return str(setup.VENV / "bin" / "python")


def run_python(arguments: list[str]) -> int:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "python"),
        "BCAI_PROGRAM": str(ROOT / "build" / "release" / "src" / "cli" / "bcai"),
        "BCAI_PYTHON": python(),
    }
    return subprocess.run([python(), *arguments], cwd=ROOT, env=environment).returncode


def command_setup(_: argparse.Namespace) -> int:
    setup.ensure()
    return 0


def command_build(options: argparse.Namespace) -> int:
    setup.ensure()
    build(options.preset, options.target)
    return 0


def command_test(options: argparse.Namespace) -> int:
    setup.ensure()
    return tests.run(options.stage, build, run_python)


def command_check(options: argparse.Namespace) -> int:
    setup.ensure()
    return checks.run(deep=not options.quick, build=build, run_python=run_python)


def command_fmt(_: argparse.Namespace) -> int:
    setup.ensure()
    return checks.format_code()


def command_fuzz(options: argparse.Namespace) -> int:
    setup.ensure()
    build("asan-ubsan")
    return tests.fuzz(options.seconds, options.name)


def command_bench(options: argparse.Namespace, rest: list[str]) -> int:
    setup.ensure()
    names = sorted(path.stem for path in (ROOT / "bench").glob("*.py")
                   if path.stem not in SHARED)
    if options.name not in names:
        print(f"./dev bench NAME, one of: {', '.join(names)}", file=sys.stderr)
        return 2
    build("release", ["bcai", "_vm", "kernel_bench", "sandbox_run"])
    return run_python([f"bench/{options.name}.py", *rest])


def command_aarch64(_: argparse.Namespace) -> int:
    setup.ensure()
    build("release", ["vm_bits"])
    aarch64.build()
    return run_python(["-m", "pytest", "-v", "tests/vm/test_bits.py", "-k", "aarch64"])


def command_quickstart(_: argparse.Namespace) -> int:
    setup.ensure()
    print("quickstart: building bcai (some minutes the first time)", file=sys.stderr)
    build("release", ["bcai"])
    return run_python(["tools/quickstart.py"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("setup", help="install system packages and the virtual environment")
    one = commands.add_parser("build", help="build with a preset of CMakePresets.json")
    one.add_argument("preset", nargs="?", default="release")
    one.add_argument("target", nargs="*", help="targets; all when none is named")
    one = commands.add_parser("test", help="build and run every test")
    one.add_argument("stage", nargs="*", help=f"only these stages: {', '.join(tests.STAGES)}")
    one = commands.add_parser("check", help="format, layers, rules, linters, OpenAPI")
    one.add_argument("--quick", action="store_true", help="without clang-tidy and the server")
    commands.add_parser("fmt", help="format C++ and Python in place")
    one = commands.add_parser("fuzz", help="build and run the fuzz targets")
    one.add_argument("name", nargs="?", default="", help="only targets whose name contains this")
    one.add_argument("--seconds", type=int, default=30, help="for each target")
    one = commands.add_parser("bench", help="run bench/NAME.py on a release build")
    one.add_argument("name", nargs="?", default="")
    commands.add_parser("aarch64", help="the virtual machine for aarch64, its bits under qemu")
    commands.add_parser("quickstart", help="a one-machine network trains a model and shows it")

    options, rest = parser.parse_known_args()
    if options.command == "bench":
        return command_bench(options, rest)
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return globals()[f"command_{options.command}"](options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
