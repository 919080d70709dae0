# SPDX-License-Identifier: Apache-2.0
"""Matmul, convolution and attention on virtual machines that know only scalars, beside ours.

WebAssembly is compiled by clang -O2 without vectors and run by node; CPython runs plain loops over
lists on a small part of the work, and the rest is worked out by proportion. A matmul written by
hand for WebAssembly's 128-bit vectors is shown as well. All on one thread.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import measure
import peers

peers.enter()

import numpy as np  # noqa: E402
import vm_cases  # noqa: E402

HERE = measure.ROOT / "bench" / "traditional"
BUILD = measure.ROOT / "build" / "bench-traditional"


def numbers(*shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    values = (np.arange(count, dtype=np.int64) * 7919 % 1000) / 1000 - 0.5
    return values.astype(np.float32).reshape(shape)


def compile_module(name: str, flags: list[str]) -> str:
    BUILD.mkdir(parents=True, exist_ok=True)
    module = str(BUILD / f"{name}.wasm")
    subprocess.run(["clang-14", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry",
                    "-Wl,--export-all", *flags, "-o", module, str(HERE / "kernels.c")], check=True)
    return module


def node(module: str, case: str) -> tuple[float, float]:
    done = subprocess.run(["node", str(HERE / "run.mjs"), module, case], capture_output=True,
                          text=True, check=True)
    read = json.loads(done.stdout)
    return read["milliseconds"], read["sum"]


def best(call: Callable[[], object], runs: int = 20) -> float:
    call()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def python_matmul() -> float:
    """128³ in CPython, as 1024³."""
    n = 128
    a, b = numbers(n, n).tolist(), numbers(n, n).tolist()
    began = time.perf_counter()
    for row in a:
        [sum(row[p] * b[p][j] for p in range(n)) for j in range(n)]
    return 1000 * (time.perf_counter() - began) * (1024 / n) ** 3


def python_convolution() -> float:
    """One output channel of 64, without the rows and columns at the edge."""
    x, w = numbers(64, 56, 56).tolist(), numbers(64, 3, 3).tolist()
    began = time.perf_counter()
    for i in range(1, 9):
        for j in range(1, 55):
            total = 0.0
            for plane, taps in zip(x, w, strict=True):
                for p in range(3):
                    row, weights = plane[i + p - 1], taps[p]
                    total += (row[j - 1] * weights[0] + row[j] * weights[1]
                              + row[j + 1] * weights[2])
    return 1000 * (time.perf_counter() - began) * 64 * 56 * 56 / (8 * 54)


def python_attention() -> float:
    """One query of one head against 128 keys; there are 128 times 12 of them."""
    import math

    q, k, v = numbers(64).tolist(), numbers(128, 64).tolist(), numbers(128, 64).tolist()
    began = time.perf_counter()
    for _ in range(4):
        scores = [0.125 * sum(a * b for a, b in zip(q, key, strict=True)) for key in k]
        most = max(scores)
        weights = [math.exp(score - most) for score in scores]
        total = sum(weights)
        [sum(a * row[d] for a, row in zip(weights, v, strict=True)) / total for d in range(64)]
    return 1000 * (time.perf_counter() - began) * 128 * 12 / 4


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    scalar, simd = compile_module("scalar", []), compile_module("simd", ["-msimd128"])
    a, b = numbers(1024, 1024), numbers(1024, 1024)
    x, w = numbers(1, 64, 56, 56), numbers(64, 64, 3, 3)
    q = numbers(1, 128, 768)

    def attention(builder: object) -> object:
        given = [builder.argument(name, "float32", [1, 128, 768]) for name in "qkv"]  # type: ignore
        return builder.TransformerAttention(*given, heads=12, scale=0.125)  # type: ignore

    ours = {
        "matmul": vm_cases.bcai_call(vm_cases.built(lambda m: m.TensorMatMul(
            m.argument("a", "float32", [1024, 1024]), m.weight("b", b))), 1, a),
        "convolution": vm_cases.bcai_call(vm_cases.built(lambda m: m.ConvolutionForward(
            m.argument("x", "float32", [1, 64, 56, 56]), m.weight("w", w), pads_low=[1, 1],
            pads_high=[1, 1])), 1, x),
        "attention": vm_cases.bcai_call(vm_cases.built(attention), 1, q, q, q),
    }
    python = {"matmul": python_matmul, "convolution": python_convolution,
              "attention": python_attention}
    rows = []
    for name, call in ours.items():
        measure.progress(name)
        milliseconds, checksum = node(scalar, name)
        expected = float(np.abs(call()).astype(np.float64).sum())
        if abs(checksum - expected) > 1e-3 * expected:
            raise SystemExit(f"{name}: WebAssembly's sum is {checksum}, ours {expected}")
        own = best(call)
        goal = "≥ 50" if name == "matmul" else "≥ 21"
        rows.append(measure.Row(f"{name}: scalar WebAssembly / ours", milliseconds / own, "×",
                                goal=goal))
        rows.append(measure.Row(f"{name}: CPython / ours", python[name]() / own, "×", goal=goal))
        if name == "matmul":
            milliseconds, _ = node(simd, "matmul_blocked")
            rows.append(measure.Row("matmul: WebAssembly by hand for vectors / ours",
                                    milliseconds / own, "×"))
    measure.report(rows, options)


if __name__ == "__main__":
    main()
