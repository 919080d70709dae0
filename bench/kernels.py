# SPDX-License-Identifier: Apache-2.0
"""Kernels on one thread against PyTorch and, where they are installed, ONNX Runtime and NumPy.

    python bench/kernels.py [--samples 15] [--filter matmul]

Each sample is ours, then each peer, in CPU seconds of the one thread that computes, so that a busy
machine disturbs both alike; a ratio is the median of the samples' ratios. `% of peak` compares with
a loop of FMAs, `% of read` with a loop of loads, taken beside each sample.
"""

import argparse
import functools
import importlib.util
import os
import pathlib
import statistics
import subprocess
import time
from collections.abc import Callable

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import torch  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/src/vm/backend/cpu/kernel_bench"
COPIES_BYTES = 256 << 20

CASES = [
    "matmul 1024 1024 1024",
    "matmul 512 512 512",
    "matmul 128 768 768",
    "matmul 128 3072 768",
    "matmul 128 768 3072",
    "matmul 32 4096 4096",
    "matmul 8 4096 4096",
    "matmul 1 4096 4096",
    "attention 12 12 64 128 128 0",
    "attention 12 12 64 512 512 0",
    "attention 12 12 64 512 512 1",
    "attention 12 12 64 1 2048 0",
    "attention 32 8 128 1 2048 0",
    "convolution 224 224 3 64 7 2 1",
    "convolution 56 56 64 64 3 1 1",
    "convolution 28 28 128 128 3 1 1",
    "convolution 14 14 256 256 3 1 1",
    "convolution 7 7 512 512 3 1 1",
    "convolution 56 56 64 256 1 1 1",
    "convolution 14 14 1024 256 1 1 1",
    "convolution 56 56 128 128 3 1 128",
    "softmax 1536 128",
    "softmax 12 1024",
    "layer_norm 128 768",
    "gelu 128 3072",
    "chain 1024 1024",
]

# Their rate is that of the arrays read and written, and has no limit to compare with.
ROWS = ("softmax", "layer_norm", "gelu", "chain")

Peers = dict[str, Callable[[], object]]


def turns(calls: list[Callable[[], object]]) -> Callable[[], object]:
    """Each call in turn, so that operands larger than the caches come from memory."""
    at = [0]

    def call() -> object:
        at[0] += 1
        return calls[at[0] % len(calls)]()

    return call


def onnx_call(op: str, inputs: dict, weights: dict, **attributes: object) -> Callable[[], object]:
    """One node in ONNX Runtime, its weights initializers, its input bound once."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, shape: tuple | None) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    node = helper.make_node(op, [*inputs, *weights], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [value(name, x.shape) for name, x in inputs.items()],
        [value("y", None)],
        [numpy_helper.from_array(x, name) for name, x in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, x in inputs.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_output("y")
    return lambda: session.run_with_iobinding(binding)


def has_onnx() -> bool:
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def matmul_peers(m: int, n: int, k: int) -> Peers:
    copies = 1 + COPIES_BYTES // (4 * n * k) if m <= 32 else 1
    x = torch.rand(m, k)
    weights = [torch.rand(k, n) for _ in range(copies)]
    transposed = [w.t().contiguous() for w in weights]
    arrays = [w.numpy() for w in weights]
    peers: Peers = {
        "torch linear": turns([lambda w=w: torch.nn.functional.linear(x, w) for w in transposed]),
        "torch mm": turns([lambda w=w: torch.mm(x, w) for w in weights]),
        "numpy": turns([lambda w=w: x.numpy() @ w for w in arrays]),
    }
    if has_onnx():
        calls = [onnx_call("MatMul", {"x": x.numpy()}, {"w": w}) for w in arrays]
        peers["onnxruntime"] = turns(calls)
    return peers


def attention_peers(h: int, kv: int, d: int, s: int, t: int, causal: int) -> Peers:
    copies = 1 + COPIES_BYTES // (8 * t * kv * d) if s <= 4 else 1
    q = torch.rand(1, s, h, d).transpose(1, 2)
    caches = [torch.rand(2, 1, t, kv, d).transpose(2, 3) for _ in range(copies)]
    attention = torch.nn.functional.scaled_dot_product_attention

    def call(cache: torch.Tensor) -> torch.Tensor:
        return attention(q, cache[0], cache[1], is_causal=bool(causal), enable_gqa=h != kv)

    return {"torch": turns([lambda c=c: call(c) for c in caches])}


def convolution_peers(
    height: int, width: int, c: int, o: int, kernel: int, stride: int, groups: int
) -> Peers:
    x = torch.rand(1, c, height, width)
    w = torch.rand(o, c // groups, kernel, kernel)
    b = torch.rand(o)
    last = torch.channels_last
    xl, wl = x.contiguous(memory_format=last), w.contiguous(memory_format=last)

    def call(image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(image, weights, b, stride, kernel // 2, 1, groups).relu_()

    peers: Peers = {"torch nhwc": lambda: call(xl, wl), "torch nchw": lambda: call(x, w)}
    if has_onnx():
        peers["onnxruntime"] = onnx_call(
            "Conv",
            {"x": x.numpy()},
            {"w": w.numpy(), "b": b.numpy()},
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=groups,
        )
    return peers


def rows_peers(kind: str, rows: int, n: int) -> Peers:
    x, weight, bias = torch.rand(rows, n), torch.rand(n), torch.rand(n)
    calls: dict[str, Callable[[], object]] = {
        "softmax": lambda: torch.nn.functional.softmax(x, -1),
        "layer_norm": lambda: torch.nn.functional.layer_norm(x, (n,), weight, bias),
        "gelu": lambda: torch.nn.functional.gelu(x),
        "chain": lambda: torch.relu(x * x + x),
    }
    return {"torch": calls[kind]}


def flops_of(kind: str, n: list[int]) -> float:
    if kind == "matmul":
        return 2.0 * n[0] * n[1] * n[2]
    if kind in ROWS:
        return 20.0 * n[0] * n[1]
    if kind == "attention":
        return 4.0 * n[0] * n[2] * n[3] * (n[4] - n[5] * (n[3] - 1) / 2)
    height, width = (n[0] - 1) // n[5] + 1, (n[1] - 1) // n[5] + 1
    return 2.0 * height * width * n[3] * n[2] // n[6] * n[4] ** 2


def bytes_of(kind: str, n: list[int]) -> float:
    """What streams from memory where the case is bound by that, else 0."""
    if kind == "matmul" and n[0] <= 8:
        return 4.0 * n[1] * n[2]
    if kind == "attention" and n[3] <= 4:
        return 8.0 * n[4] * n[1] * n[2]
    return 0


def seconds_of(call: Callable[[], object], runs: int) -> float:
    start = time.thread_time()
    for _ in range(runs):
        call()
    return (time.thread_time() - start) / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--filter", default="")
    parser.add_argument("--level", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = [str(PROGRAM), *([options.level] if options.level else [])]
    bench = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert bench.stdin and bench.stdout

    def ask(line: str) -> float:
        bench.stdin.write(line + "\n")
        bench.stdin.flush()
        return float(bench.stdout.readline())

    kinds = {
        "matmul": matmul_peers,
        "attention": attention_peers,
        "convolution": convolution_peers,
        **{kind: functools.partial(rows_peers, kind) for kind in ROWS},
    }
    for case in (case for case in CASES if options.filter in case):
        kind, *words = case.split()
        sizes = [int(word) for word in words]
        flops, streamed = flops_of(kind, sizes), bytes_of(kind, sizes)
        runs = max(1, min(200, int(3e8 / flops)))
        ours: list[float] = []
        limits: list[float] = []
        peers = kinds[kind](*sizes)
        samples: dict[str, list[float]] = {name: [] for name in peers}
        with torch.no_grad():
            for call in peers.values():
                call()
            ask(case)
            for _ in range(options.samples):
                limit = ask("read" if streamed else "peak") * 1e9
                ours.append(ask(case))
                limits.append((streamed or flops) / ours[-1] / limit)
                for name, call in peers.items():
                    samples[name].append(seconds_of(call, runs))
        ratios = {
            name: statistics.median(p / o for p, o in zip(times, ours, strict=True))
            for name, times in samples.items()
        }
        median = statistics.median(ours)
        if kind in ROWS:
            streamed, limits = 8.0 * sizes[0] * sizes[1], [float("nan")]
        rate = (
            f"{streamed / median * 1e-9:6.1f} GB/s"
            if streamed
            else f"{flops / median * 1e-9:6.1f} GF/s"
        )
        print(
            f"{case:36} {median * 1e6:9.1f} us {rate} {100 * statistics.median(limits):4.0f} % "
            + "  ".join(f"{name} x{ratio:.2f}" for name, ratio in ratios.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
