# SPDX-License-Identifier: Apache-2.0
"""The memory of a quote against what a run takes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from native_program import BCAI
from safetensors.numpy import save_file

NOTHING = """bcvm 1.0 profile n1
func @main(%x: f32[1]) -> (%y: f32[1]) {
  %y = Abs %x : f32[1]
  return %y
}
"""

# A table that is read as it lies, a matrix that is packed, and small weights between them.
MODEL = """bcvm 1.0 profile n1
weights w sha256:{digest} size {size}
func @main(%ids: i32[64]) -> (%y: f32[64,2048]) {{
  %table = Param w "b_table" : f32[8192,2048]
  %matrix = Param w "c_matrix" : f32[2048,2048]
  %bias = Param w "d_bias" : f32[2048]
  %rows = EmbeddingLookup %table, %ids : f32[64,2048]
  %product = TensorMatMul %rows, %matrix : f32[64,2048]
  %y = Add %product, %bias : f32[64,2048]
  return %y
}}
"""


BCAI_PATH = str(Path(BCAI).resolve())

# A child begins with the memory of the process that forks it: so a small one does.
WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def most_memory(directory: Path, *words: str) -> int:
    """Bytes that a run had at most, with one thread."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WATCH, BCAI_PATH, "vm", "run", *words, "--threads", "1"],
        cwd=directory, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_run_takes_what_was_quoted(tmp_path: Path) -> None:
    weights = {"b_table": np.ones((8192, 2048), np.float32), "d_bias": np.ones(2048, np.float32),
               "c_matrix": np.ones((2048, 2048), np.float32)}
    save_file(weights, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "model.bcasm").write_text(MODEL.format(digest=digest, size=len(content)))
    (tmp_path / "nothing.bcasm").write_text(NOTHING)
    np.save(tmp_path / "ids.npy", np.arange(64, dtype=np.int32))
    np.save(tmp_path / "x.npy", np.zeros(1, np.float32))
    run = ["model.bcasm", "--input", "ids=ids.npy"]
    most_memory(tmp_path, *run, "--weights", "w.safetensors")  # into the store, and packed
    base = most_memory(tmp_path, "nothing.bcasm", "--input", "x=x.npy")
    taken = most_memory(tmp_path, *run) - base
    done = subprocess.run([BCAI_PATH, "vm", "quote", "model.bcasm", "--threads", "1", "--json"],
                          cwd=tmp_path, capture_output=True, text=True, check=True)
    quoted = json.loads(done.stdout)["memory_bytes"]
    assert quoted > 4 * (8192 + 2048) * 2048
    assert abs(taken - quoted) < 0.02 * quoted, f"quoted {quoted}, taken {taken}"
