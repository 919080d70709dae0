# SPDX-License-Identifier: Apache-2.0
"""Silero-VAD from the command line hears speech as it does in onnxruntime, chunk after chunk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from native_program import bcai_vm, run_saved
from whole_models import RATE, silero_vad, speech

CHUNK, CONTEXT = 512, 64  # samples; the context is the end of the chunk before


def test_as_onnxruntime(tmp_path: Path, tell: Callable[[str], None]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: ./dev setup")
    model = silero_vad()
    bcai_vm(tmp_path, "import", model, "-o", "vad.bcvm", "--value", f"sr={RATE}",
            "--shape", f"input=1,{CONTEXT + CHUNK}", "--shape", "state=2,1,128")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    sound = speech("ae", "oi", "aio")
    state = expected_state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros(CONTEXT, np.float32)
    heard, differences = [], []
    for at in range(0, len(sound) - CHUNK, CHUNK):
        chunk = np.concatenate([context, sound[at : at + CHUNK]])[None]
        context = chunk[0, -CONTEXT:]
        found = run_saved(tmp_path, "vad.bcvm", {"input": chunk, "state": state})
        state = found["stateN"]
        expected, expected_state = session.run(
            None, {"input": chunk, "state": expected_state, "sr": np.array(RATE)})
        heard.append(float(found["output"][0, 0]))
        differences.append(float(np.abs(found["output"] - expected).max()))
        differences.append(float(np.abs(state - expected_state).max()))
    assert max(differences) < 1e-4
    spoken = "".join("#" if probability > 0.5 else "." for probability in heard)
    assert len(spoken.replace(".", " ").split()) == 3, f"three words are said: {spoken}"
    tell(f"{len(sound) / RATE:.1f} s, largest difference {max(differences):.2g}: {spoken}")
