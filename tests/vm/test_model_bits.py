# SPDX-License-Identifier: Apache-2.0
"""Whole models: the same bits at every SIMD level, with one thread and two, in a batch and alone.

MiniLM, PP-OCR and Silero-VAD have their real weights; GPT-2 and ResNet-50 their shapes and random
weights.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from native_program import bcai_vm, run_saved
from whole_models import minilm, ocr, page, silero_vad, speech

LEVELS = ["portable", "avx2", "avx512"]
BATCH = 8
Arrays = dict[str, np.ndarray]
Run = Callable[..., Arrays]


def has_level(level: str) -> bool:
    flags = Path("/proc/cpuinfo").read_text()
    return level == "portable" or (" avx2 " in flags and " fma " in flags and level == "avx2") or (
        level == "avx512" and all(f" avx512{part} " in flags for part in ("f", "vl", "dq", "bw"))
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda program, inputs, *options: run_saved(tmp_path, program, inputs, *options)


def not_in_kernels(directory: Path, program: str) -> set[str]:
    """The instructions of the program that run on the reference backend, by the compiler's word."""
    rows = bcai_vm(directory, "compile", program, "--explain").splitlines()
    backends = [re.match(r" +\d+ +\d+ +\d+ +[\d.]+ (cpu|reference) +(\w+)", row) for row in rows]
    assert any(backends)
    return {row[2] for row in backends if row and row[1] == "reference"}


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


def rows_alone(
    run: Run, program: str, inputs: Arrays, results: Arrays, axes: dict[str, int] | None = None
) -> None:
    """Each row of the batch gives, alone, the bits that it has in the batch.

    The batch is the first axis, but for what `axes` names.
    """
    def row_of(arrays: Arrays, row: int) -> Arrays:
        return {name: np.ascontiguousarray(array.take([row], (axes or {}).get(name, 0)))
                for name, array in arrays.items()}

    for row in range(BATCH):
        expected = row_of(results, row)
        for name, array in run(program, row_of(inputs, row)).items():
            assert array.tobytes() == expected[name].tobytes(), (name, row)


def test_minilm(run: Run, tmp_path: Path) -> None:
    bcai_vm(tmp_path, "import", minilm(), "-o", "minilm.bcvm")
    generator = np.random.default_rng(5)
    inputs = {
        "input_ids": generator.integers(1000, 30000, (8, 24), dtype=np.int32),
        "attention_mask": (np.arange(24) < np.arange(3, 27, 3)[:, None]).astype(np.int32),
        "token_type_ids": np.zeros((8, 24), np.int32),
    }
    rows_alone(run, "minilm.bcvm", inputs, same_everywhere(run, "minilm.bcvm", inputs))
    assert not not_in_kernels(tmp_path, "minilm.bcvm")


@pytest.mark.parametrize(("part", "height", "width"), [
    ("det", 64, 96), ("rec", 48, 80), ("cls", 48, 192)])
def test_ocr(run: Run, tmp_path: Path, part: str, height: int, width: int) -> None:
    for batch in (BATCH, 1):
        bcai_vm(tmp_path, "import", ocr(part), "-o", f"batch_{batch}.bcvm",
                "--shape", f"x={batch},3,{height},{width}")
    noise = np.random.default_rng(6).normal(0, 0.2, (BATCH, 3, height, width))
    inputs = {"x": (page(BATCH, 3, height, width, scale=2) + noise).astype(np.float32)}
    results = same_everywhere(run, f"batch_{BATCH}.bcvm", inputs)
    rows_alone(run, "batch_1.bcvm", inputs, results)
    assert not not_in_kernels(tmp_path, "batch_1.bcvm")


def test_silero_vad(run: Run, tmp_path: Path) -> None:
    for batch in (BATCH, 1):
        bcai_vm(tmp_path, "import", silero_vad(), "-o", f"batch_{batch}.bcvm",
                "--value", "sr=16000", "--shape", f"input={batch},576",
                "--shape", f"state=2,{batch},128")
    sound = speech("ae")[8000:]
    state = np.random.default_rng(9).normal(0, 0.5, (2, BATCH, 128)).astype(np.float32)
    inputs = {"input": np.stack([sound[512 * i : 512 * i + 576] for i in range(BATCH)]),
              "state": state}
    results = same_everywhere(run, f"batch_{BATCH}.bcvm", inputs)
    rows_alone(run, "batch_1.bcvm", inputs, results, {"state": 1, "stateN": 1})
    assert not not_in_kernels(tmp_path, "batch_1.bcvm")


@pytest.mark.filterwarnings("ignore")  # the exporter's, of shapes that are constants
def test_resnet_50(run: Run, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(1)
    model = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=10))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.onnx.export(model.eval(), (torch.zeros(2, 3, 40, 56),), tmp_path / "resnet.onnx",
                      input_names=["x"], output_names=["scores"], opset_version=17, dynamo=False,
                      dynamic_axes={"x": {0: "B"}, "scores": {0: "B"}})
    bcai_vm(tmp_path, "import", "resnet.onnx", "-o", "resnet.bcvm")
    pictures = np.random.default_rng(10).standard_normal((BATCH, 3, 40, 56)).astype(np.float32)
    rows_alone(run, "resnet.bcvm", {"x": pictures},
               same_everywhere(run, "resnet.bcvm", {"x": pictures}))
    assert not not_in_kernels(tmp_path, "resnet.bcvm")


def test_a_decoder_of_gpt2s_shape(run: Run, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(7)
    config = transformers.GPT2Config(n_layer=3, n_embd=96, n_head=6, n_positions=64, vocab_size=500)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    bcai_vm(tmp_path, "import", "gpt2", "-o", "gpt2.bcvm", "--cache", "32")
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
    # The tokens' positions: as many integers as tokens.
    assert not_in_kernels(tmp_path, "gpt2.bcvm") == {"Iota"}
