# SPDX-License-Identifier: Apache-2.0
"""The same bits from builds of different compilers and for different processors.

The release build is g++'s, that of the sanitizers clang's. A build for aarch64 is made by
`./dev aarch64` and runs under qemu.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from native_program import bcai_vm
from whole_models import minilm, ocr, page, silero_vad, speech

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST, COUNT = 5_000_000, 200


def built(preset: str, program: str) -> Path:
    path = ROOT / "build" / preset / "src" / program
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


def vm_bits(preset: str) -> Path:
    return built(preset, "vm/runtime/vm_bits")


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


SENTENCE = {"input_ids": np.array([[101, 7592, 1010, 2088, 999, 102]], np.int32),
            "attention_mask": np.ones((1, 6), np.int32),
            "token_type_ids": np.zeros((1, 6), np.int32)}
SOUND = {"input": speech("a")[None, 9000:9576], "state": np.zeros((2, 1, 128), np.float32)}
MODELS = {
    "minilm": (minilm, [], SENTENCE),
    "det": (lambda: ocr("det"), ["--shape", "x=1,3,64,64"], {"x": page(1, 3, 64, 64, scale=2)}),
    "rec": (lambda: ocr("rec"), ["--shape", "x=1,3,48,168"], {"x": page(1, 3, 48, 168, scale=5)}),
    "silero": (silero_vad, ["--value", "sr=16000", "--shape", "input=1,576",
                            "--shape", "state=2,1,128"], SOUND),
}


@pytest.mark.parametrize("name", MODELS)
def test_whole_models_of_clang_and_gcc(name: str, tmp_path: Path) -> None:
    """Both import the same program and run it with the same bits, widest level and portable."""
    find, options, inputs = MODELS[name]
    words: list[str | Path] = []
    for key, array in inputs.items():
        np.save(tmp_path / f"{key}.npy", array)
        words += ["--input", f"{key}={key}.npy"]
    programs, results = set(), set()
    for preset in ("release", "asan-ubsan"):
        bcai = built(preset, "cli/bcai")
        bcai_vm(tmp_path, "import", find(), "-o", f"{preset}.bcvm", *options, program=bcai)
        programs.add((tmp_path / f"{preset}.bcvm").read_bytes())
        if (weights := tmp_path / f"{preset}.safetensors").exists():
            words += ["--weights", weights]
        for level in ([], ["--simd-level", "portable"]):
            results.add(bcai_vm(tmp_path, "run", f"{preset}.bcvm", "--json", *words, *level,
                                program=bcai))
    assert len(programs) == 1
    assert len(results) == 1, results


def test_aarch64(expected: list[str]) -> None:
    program = vm_bits("aarch64")
    if program.stat().st_mtime < vm_bits("release").stat().st_mtime:
        pytest.skip("build/aarch64 is older than build/release: ./dev aarch64")
    root = ROOT / "build" / "aarch64" / "root"
    assert digests("qemu-aarch64", "-L", root, program) == expected
