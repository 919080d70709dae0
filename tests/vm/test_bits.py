# SPDX-License-Identifier: Apache-2.0
"""The same bits from builds of different compilers and for different processors.

The release build is g++'s, that of the sanitizers clang's. A build for aarch64 is made by
`./dev aarch64` and runs under qemu.
"""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST, COUNT = 5_000_000, 200


def vm_bits(preset: str) -> Path:
    program = ROOT / "build" / preset / "src" / "vm" / "runtime" / "vm_bits"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    return program


def digests(*command: str | Path) -> list[str]:
    done = subprocess.run(
        [*map(str, command), str(FIRST), str(COUNT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == COUNT // 50
    return lines


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return digests(vm_bits("release"))


def test_clang_and_gcc(expected: list[str]) -> None:
    assert digests(vm_bits("asan-ubsan")) == expected


def test_aarch64(expected: list[str]) -> None:
    program = vm_bits("aarch64")
    if program.stat().st_mtime < vm_bits("release").stat().st_mtime:
        pytest.skip("build/aarch64 is older than build/release: ./dev aarch64")
    root = ROOT / "build" / "aarch64" / "root"
    assert digests("qemu-aarch64", "-L", root, program) == expected
