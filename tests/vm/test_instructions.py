# SPDX-License-Identifier: Apache-2.0
"""Every instruction against numpy or PyTorch in float64, with a stated bound.

`ulps` bounds |y - exact| / ulp(exact) for one rounding or function; `gamma` bounds the error of n
accumulated terms by gamma_n * sum(|terms|), the classical bound of a chain of n roundings.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from native_program import BCAI, Machine

RANDOM = np.random.default_rng(1)
U = 2.0**-24


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return (np.abs(normal(*shape)) + 0.01).astype(np.float32)


def indices(high: int, *shape: int) -> np.ndarray:
    return RANDOM.integers(0, high, shape).astype(np.int64)


@dataclass
class Case:
    name: str
    inputs: list[np.ndarray | None]
    exact: Callable[..., np.ndarray | list[np.ndarray]]  # of float64 inputs
    attributes: str = ""
    ulps: float = 0.5001
    terms: int = 0  # accumulated: bounded by gamma instead of ulps
    magnitude: Callable[..., np.ndarray] | None = None  # sum(|terms|) for gamma
    label: str = field(default="")

    def __str__(self) -> str:
        return f"{self.name}{'-' + self.label if self.label else ''}"


def t64(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array))


def torch_case(function: Callable[..., torch.Tensor]) -> Callable[..., np.ndarray]:
    def exact(*arrays: np.ndarray) -> np.ndarray:
        return function(*(t64(a) for a in arrays if a is not None)).numpy()

    return exact


def abs_of(exact: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda *arrays: exact(*(np.abs(a) for a in arrays))


def unary(name: str, exact: Callable, ulps: float, values: np.ndarray | None = None, **more):
    return Case(name, [normal(5, 77) * 4 if values is None else values], exact, ulps=ulps, **more)


MATMUL = np.matmul


def einsum(text: str) -> Callable[..., np.ndarray]:
    return lambda *arrays: np.einsum(text, *arrays)


def conv(**options) -> Callable[..., np.ndarray]:
    def exact(x, w, b=None):
        dims = x.ndim - 2
        function = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
        return function(t64(x), t64(w), None if b is None else t64(b), **options).numpy()

    return exact


def conv_transpose(**options) -> Callable[..., np.ndarray]:
    def exact(x, w, b=None):
        return F.conv_transpose2d(
            t64(x), t64(w), None if b is None else t64(b), **options
        ).numpy()

    return exact


def attention(heads: int, kv_heads: int, scale: float, causal: bool = False):
    def exact(q, k, v, mask=None):
        split = lambda x, h: t64(x).unflatten(2, (h, -1)).transpose(1, 2)  # noqa: E731
        y = F.scaled_dot_product_attention(
            split(q, heads),
            split(k, kv_heads),
            split(v, kv_heads),
            attn_mask=None if mask is None else t64(mask),
            is_causal=causal,
            scale=scale,
            enable_gqa=True,
        )
        return y.transpose(1, 2).flatten(2).numpy()

    return exact


def recurrent(kind: str, reverse: bool = False, bidirectional: bool = False):
    """torch's gates are i, f, g, o and r, z, n; ours i, o, f, c and z, r, h."""
    order = {"LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}[kind]

    def exact(x, w, r, b, *states):
        hidden, gates = r.shape[2], len(order)
        net = getattr(torch.nn, kind)(
            x.shape[2], hidden, bidirectional=bidirectional, dtype=torch.float64
        )
        for d in range(w.shape[0]):
            suffix = "_l0" + ("_reverse" if d else "")
            rows = lambda m: t64(m.reshape(gates, hidden, -1)[order].reshape(gates * hidden, -1))  # noqa: E731
            half = gates * hidden
            with torch.no_grad():
                getattr(net, "weight_ih" + suffix).copy_(rows(w[d]))
                getattr(net, "weight_hh" + suffix).copy_(rows(r[d]))
                getattr(net, "bias_ih" + suffix).copy_(rows(b[d][:half]).flatten())
                getattr(net, "bias_hh" + suffix).copy_(rows(b[d][half:]).flatten())
        start = tuple(t64(s) for s in states)
        steps = t64(np.ascontiguousarray(x[::-1]) if reverse else x)
        with torch.no_grad():
            y, last = net(steps, start if kind == "LSTM" else start[0])
        y = y.unflatten(2, (w.shape[0], hidden)).transpose(1, 2).numpy()
        y = y[::-1] if reverse else y
        lasts = [s.numpy() for s in (last if kind == "LSTM" else (last,))]
        return [np.ascontiguousarray(y), *lasts]

    return exact


def resize(mode: str, size: tuple[int, ...], **options):
    def exact(x):
        return F.interpolate(t64(x), size=size, mode=mode, **options).numpy()

    return exact


def batch_norm(x, s, b, m, v):
    return F.batch_norm(t64(x), t64(m), t64(v), t64(s), t64(b), eps=float(np.float32(1e-5))).numpy()


X = normal(2, 3, 4)
IMAGE = normal(2, 6, 9, 11)
ANGLES = (RANDOM.random((5, 8)) * 6).astype(np.float32)


def rotate(x, c, s):
    h = x.reshape(2, 5, 4, 16)
    a, b = h[..., :8], h[..., 8:]
    c, s = c[None, :, None, :], s[None, :, None, :]
    return np.concatenate([a * c - b * s, b * c + a * s], -1).reshape(x.shape)


CASES = [
    # Shape and movement: exact.
    Case("Transpose", [X], lambda x: x.transpose(2, 0, 1), "permutation=[2, 0, 1]"),
    Case("Reshape", [X], lambda x: x.reshape(6, 4)),
    Case("Broadcast", [normal(3, 1)], lambda x: np.broadcast_to(x, (2, 3, 5)).copy()),
    Case("Slice", [X], lambda x: x[1:2, 0:3:2, 1:3], "starts=[1, 0, 1], steps=[1, 2, 1]"),
    Case("Concat", [X, normal(2, 5, 4)], lambda a, b: np.concatenate([a, b], 1), "axis=1"),
    Case("Split", [X], lambda x: [x[:, :1], x[:, 1:]], "axis=1, sizes=[1, 2]"),
    Case("Pad", [X], lambda x: np.pad(x, [(0, 1), (2, 0), (1, 1)], constant_values=1.5),
         "low=[0, 2, 1], high=[1, 0, 1], value=1.5"),
    Case("Pad", [X], lambda x: np.pad(x, [(0, 0), (2, 1), (1, 3)], mode="reflect"),
         "low=[0, 2, 1], high=[0, 1, 3], mode=reflect", label="reflect"),
    Case("Pad", [X], lambda x: np.pad(x, [(0, 0), (2, 1), (1, 3)], mode="edge"),
         "low=[0, 2, 1], high=[0, 1, 3], mode=edge", label="edge"),
    Case("Reverse", [X], lambda x: x[::-1, :, ::-1].copy(), "axes=[0, 2]"),
    Case("Iota", [], lambda: np.broadcast_to(np.arange(5.0)[:, None], (5, 3)).copy()),
    Case("Fill", [], lambda: np.full((2, 2), 2.5), "value=2.5"),
    # One operand.
    unary("Neg", lambda x: -x, 0),
    unary("Abs", np.abs, 0),
    unary("Sign", np.sign, 0),
    unary("Exp", np.exp, 2),
    unary("Log", np.log, 2, positive(5, 77)),
    unary("Sqrt", np.sqrt, 0.5001, positive(5, 77)),
    unary("Rsqrt", lambda x: 1 / np.sqrt(x), 1.5, positive(5, 77)),
    unary("Recip", lambda x: 1 / x, 0.5001),
    unary("Sin", np.sin, 2, normal(5, 77) * 100),
    unary("Cos", np.cos, 2, normal(5, 77) * 100),
    unary("Tanh", np.tanh, 2),
    unary("Erf", torch_case(torch.erf), 2),
    unary("Sigmoid", torch_case(torch.sigmoid), 2),
    unary("Relu", lambda x: np.maximum(x, 0), 0),
    unary("Gelu", torch_case(F.gelu), 4, np.abs(normal(5, 77))),
    unary("Gelu", torch_case(lambda x: F.gelu(x, approximate="tanh")), 4, np.abs(normal(5, 77)),
          attributes="approximate=tanh", label="tanh"),
    unary("Silu", torch_case(F.silu), 3),
    unary("Floor", np.floor, 0),
    unary("Ceil", np.ceil, 0),
    unary("Round", np.round, 0),
    unary("Trunc", np.trunc, 0),
    unary("HardSigmoid", lambda x: np.clip(np.float64(np.float32(0.3)) * x + 0.5, 0, 1), 0.5001,
          attributes="alpha=0.3"),
    unary("HardSwish", torch_case(F.hardswish), 3, np.abs(normal(5, 77))),
    unary("LeakyRelu", lambda x: np.where(x >= 0, x, np.float64(np.float32(0.1)) * x), 0.5001,
          attributes="alpha=0.1"),
    unary("Softplus", torch_case(F.softplus), 3),
    unary("Clamp", lambda x: np.clip(x, -1, 2), 0, attributes="min=-1, max=2"),
    # Two and three operands.
    Case("Add", [normal(4, 1, 5), normal(3, 1)], np.add),
    Case("Sub", [normal(4, 5), normal(5)], np.subtract),
    Case("Mul", [normal(4, 5), normal(4, 1)], np.multiply),
    Case("Div", [normal(4, 5), normal(4, 5)], np.divide),
    Case("Pow", [positive(4, 5), normal(4, 5) * 3], np.power, ulps=4),
    Case("Max", [normal(4, 5), normal(5)], np.maximum),
    Case("Min", [normal(4, 5), normal(5)], np.minimum),
    Case("Compare", [normal(4, 5), normal(5)], np.less, "predicate=lt"),
    Case("Select", [normal(4, 1) > 0, normal(4, 5), normal(5)], np.where),
    Case("Add", [indices(9, 4, 5), indices(9, 5)], np.add, label="i64"),
    Case("Div", [indices(9, 4, 5) - 4, indices(3, 4, 5) + 1],
         lambda a, b: np.trunc(a / b).astype(np.int64), label="i64"),
    Case("Mod", [indices(9, 4, 5) - 4, indices(3, 4, 5) + 1], np.mod),
    Case("And", [indices(9, 4), indices(9, 4)], np.bitwise_and),
    Case("Or", [indices(9, 4), indices(9, 4)], np.bitwise_or),
    Case("Xor", [indices(9, 4), indices(9, 4)], np.bitwise_xor),
    Case("Not", [normal(9) > 0], np.logical_not),
    Case("IsNan", [np.array([1, np.nan, np.inf], np.float32)], np.isnan),
    Case("Cast", [normal(9) * 100], lambda x: np.trunc(x).astype(np.int32)),
    # Along axes.
    Case("ReduceSum", [normal(3, 5000)], lambda x: x.sum(1), "axes=[1]", terms=300,
         magnitude=lambda x: np.abs(x).sum(1)),
    Case("ReduceSum", [normal(3, 40, 5)], lambda x: x.sum((0, 2), keepdims=True),
         "axes=[0, 2], keep_dims=1", terms=20, label="outer",
         magnitude=lambda x: np.abs(x).sum((0, 2), keepdims=True)),
    Case("ReduceMean", [normal(7, 100)], lambda x: x.mean(0), "axes=[0]", terms=20,
         magnitude=lambda x: np.abs(x).mean(0)),
    Case("ReduceMax", [X], lambda x: x.max((1, 2)), "axes=[1, 2]"),
    Case("ReduceMin", [X], lambda x: x.min(0), "axes=[0]"),
    Case("ReduceProd", [X], lambda x: x.prod(1), "axes=[1]", ulps=3),
    Case("ArgMax", [X], lambda x: x.argmax(1), "axis=1"),
    Case("ArgMin", [X], lambda x: x.argmin(2), "axis=2"),
    Case("CumSum", [normal(3, 50)], lambda x: x.cumsum(1), "axis=1", terms=50,
         magnitude=lambda x: np.abs(x).cumsum(1)),
    Case("TopK", [normal(3, 20)],
         lambda x: [-np.sort(-x, 1)[:, :4], np.argsort(-x, 1, kind="stable")[:, :4]],
         "axis=1, k=4"),
    # Linear algebra.
    Case("TensorMatMul", [normal(2, 1, 7, 33), normal(3, 33, 5)], MATMUL, terms=33,
         magnitude=abs_of(MATMUL)),
    Case("TensorMatMul", [normal(33, 7), normal(5, 33), normal(5)],
         lambda a, b, c: a.T @ b.T + c, "transpose_a=1, transpose_b=1", terms=34, label="turned",
         magnitude=lambda a, b, c: abs(a).T @ abs(b).T + abs(c)),
    Case("TensorMatMul", [normal(7, 33), normal(33, 5), normal(5)],
         lambda a, b, c: np.maximum(a @ b + c, 0), "activation=relu", terms=34, label="relu",
         magnitude=lambda a, b, c: abs(a) @ abs(b) + abs(c)),
    # Convolution.
    Case("ConvolutionForward", [IMAGE, normal(8, 6, 3, 3), normal(8)], conv(stride=2, padding=1),
         "strides=[2, 2], pads_low=[1, 1], pads_high=[1, 1]", terms=55,
         magnitude=abs_of(conv(stride=2, padding=1))),
    Case("ConvolutionForward", [IMAGE, normal(6, 1, 3, 3)], conv(groups=6, dilation=2),
         "groups=6, dilations=[2, 2]", terms=9, label="depthwise",
         magnitude=abs_of(conv(groups=6, dilation=2))),
    Case("ConvolutionForward", [normal(2, 4, 20), normal(6, 2, 5)], conv(groups=2), "groups=2",
         terms=10, label="1d", magnitude=abs_of(conv(groups=2))),
    Case("ConvolutionForward", [normal(1, 2, 5, 6, 7), normal(3, 2, 2, 3, 2)], conv(), terms=24,
         label="3d", magnitude=abs_of(conv())),
    Case("ConvolutionTranspose", [IMAGE, normal(6, 4, 3, 2), normal(8)],
         conv_transpose(stride=2, padding=1, groups=2, output_padding=1),
         "strides=[2, 2], pads_low=[1, 1], pads_high=[1, 1], groups=2, output_padding=[1, 1]",
         terms=30,
         magnitude=abs_of(conv_transpose(stride=2, padding=1, groups=2, output_padding=1))),
    Case("MaxPool", [IMAGE], torch_case(lambda x: F.max_pool2d(x, 3, 2, 1)),
         "kernel=[3, 3], strides=[2, 2], pads_low=[1, 1], pads_high=[1, 1]"),
    Case("MaxPool", [IMAGE], torch_case(lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True)),
         "kernel=[2, 2], strides=[2, 2], rounding=ceil", label="ceil"),
    Case("AveragePool", [IMAGE],
         torch_case(lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
         "kernel=[3, 3], strides=[2, 2], pads_low=[1, 1], pads_high=[1, 1]", terms=10,
         magnitude=torch_case(lambda x: F.avg_pool2d(x.abs(), 3, 2, 1, count_include_pad=False))),
    Case("AveragePool", [IMAGE], torch_case(lambda x: F.avg_pool2d(x, 3, 2, 1)),
         "kernel=[3, 3], strides=[2, 2], pads_low=[1, 1], pads_high=[1, 1], count_include_pad=1",
         terms=10, label="padded", magnitude=torch_case(lambda x: F.avg_pool2d(x.abs(), 3, 2, 1))),
    Case("Resize", [IMAGE], resize("nearest", (18, 22)),
         "coordinates=asymmetric, rounding=floor"),
    Case("Resize", [IMAGE], resize("bilinear", (14, 30), align_corners=False), "mode=linear",
         terms=8, label="linear", magnitude=lambda x: np.full((2, 6, 14, 30), 4.0)),
    Case("Resize", [IMAGE], resize("bilinear", (14, 30), align_corners=True),
         "mode=linear, coordinates=align_corners", terms=8, label="corners",
         magnitude=lambda x: np.full((2, 6, 14, 30), 4.0)),
    # Normalisation.
    # x - max, up to 40 here, rounds by as much as that times half an ulp of e^(x - max).
    Case("Softmax", [normal(3, 40) * 5], torch_case(lambda x: F.softmax(x, 1)), "axis=1", ulps=40),
    Case("Softmax", [normal(3, 40, 2)], torch_case(lambda x: F.log_softmax(x, 1)), "axis=1, log=1",
         ulps=16, label="log"),
    Case("LayerNorm", [normal(3, 96), normal(96), normal(96)],
         lambda x, s, b: F.layer_norm(t64(x), (96,), t64(s), t64(b),
                                      float(np.float32(1e-5))).numpy(),
         terms=40, magnitude=lambda x, s, b: 4 * np.abs(s) + np.abs(b)),
    Case("RMSNorm", [normal(3, 96), normal(96)],
         lambda x, s: F.rms_norm(t64(x), (96,), t64(s), float(np.float32(1e-5))).numpy(),
         terms=20, magnitude=lambda x, s: 4 * np.abs(s) + 0 * x),
    Case("BatchNormInfer", [IMAGE, normal(6), normal(6), normal(6), positive(6)], batch_norm,
         terms=8, magnitude=lambda x, s, b, m, v: np.abs(batch_norm(x, s, 0 * b, m, v))
         + np.abs(b)[:, None, None] + np.abs(s * m / np.sqrt(v))[:, None, None]),
    Case("GroupNorm", [IMAGE, normal(6), normal(6)],
         lambda x, s, b: F.group_norm(t64(x), 3, t64(s), t64(b), float(np.float32(1e-5))).numpy(),
         "groups=3", terms=60,
         magnitude=lambda x, s, b: 4 * np.abs(s)[:, None, None] + np.abs(b)[:, None, None] + 0 * x),
    # Transformers.
    Case("TransformerAttention", [normal(2, 5, 48), normal(2, 9, 48), normal(2, 9, 48)],
         attention(3, 3, 0.25), "heads=3, scale=0.25", terms=60,
         magnitude=lambda q, k, v: np.full((2, 5, 48), 3.0)),
    Case("TransformerAttention",
         [normal(2, 9, 64), normal(2, 9, 32), normal(2, 9, 32)], attention(4, 2, 0.25, True),
         "heads=4, kv_heads=2, scale=0.25, causal=1", terms=60, label="grouped",
         magnitude=lambda q, k, v: np.full((2, 9, 64), 3.0)),
    Case("TransformerAttention",
         [normal(2, 5, 48), normal(2, 9, 48), normal(2, 9, 48), normal(2, 1, 1, 9)],
         attention(3, 3, 0.25), "heads=3, scale=0.25", terms=60, label="mask",
         magnitude=lambda q, k, v, m: np.full((2, 5, 48), 3.0)),
    Case("RotaryEmbed", [normal(2, 5, 64), np.cos(ANGLES), np.sin(ANGLES)], rotate, "heads=4",
         terms=3, magnitude=lambda x, c, s: np.full(x.shape, 6.0)),
    Case("EmbeddingLookup", [normal(20, 6), indices(20, 2, 3)], lambda x, i: x[i]),
    # By index.
    Case("Gather", [X, indices(3, 5)], lambda x, i: x.take(i, 1), "axis=1"),
    Case("GatherElements", [X, indices(4, 2, 3, 2)], lambda x, i: np.take_along_axis(x, i, 2),
         "axis=2"),
    # Recurrent.
    Case("LSTM", [normal(5, 2, 7), normal(1, 16, 7), normal(1, 16, 4), normal(1, 32),
                  normal(1, 2, 4), normal(1, 2, 4)], recurrent("LSTM"), "hidden_size=4", terms=600,
         magnitude=lambda *_: 1.0),
    Case("LSTM", [normal(5, 2, 7), normal(2, 16, 7), normal(2, 16, 4), normal(2, 32),
                  normal(2, 2, 4), normal(2, 2, 4)], recurrent("LSTM", bidirectional=True),
         "hidden_size=4, direction=bidirectional", terms=600, label="bidirectional",
         magnitude=lambda *_: 1.0),
    Case("GRU", [normal(5, 2, 7), normal(1, 12, 7), normal(1, 12, 4), normal(1, 24),
                 normal(1, 2, 4)], recurrent("GRU", reverse=True),
         "hidden_size=4, direction=reverse, linear_before_reset=1", terms=600,
         magnitude=lambda *_: 1.0),
]

# Tested elsewhere: what needs files, states or regions.
ELSEWHERE = {
    "Param", "Const", "KVCacheAppend", "KVCacheRead", "Repeat", "Cond", "Call", "Return",
}  # fmt: skip


def test_every_instruction_has_a_case() -> None:
    listed = json.loads(subprocess.check_output([BCAI, "vm", "isa", "--json"]))
    names = {instruction["name"] for instruction in listed["instructions"]}
    assert names == {case.name for case in CASES} | ELSEWHERE


def as_list(results: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
    return list(results) if isinstance(results, list) else [np.asarray(results)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_instruction(case: Case, machine: Machine) -> None:
    wide = [
        a.astype(np.float64) if a is not None and a.dtype == np.float32 else a for a in case.inputs
    ]
    with np.errstate(all="ignore"):
        exact = as_list(case.exact(*wide))
    typed = [e.astype(np.float32) if e.dtype == np.float64 else e for e in exact]
    found = machine.instruction(case.name, case.inputs, typed, case.attributes)
    for mine, true in zip(found, exact, strict=True):
        if true.dtype != np.float64:
            np.testing.assert_array_equal(mine, true)
            continue
        error = np.abs(mine.astype(np.float64) - true)
        if case.terms:
            gamma = case.terms * U / (1 - case.terms * U)
            bound = gamma * np.broadcast_to(case.magnitude(*wide), true.shape) + U * np.abs(true)
        else:
            bound = case.ulps * np.spacing(np.abs(true).astype(np.float32)).astype(np.float64)
        assert (error <= bound).all(), f"worst {np.max(error / np.maximum(bound, 1e-300))} of bound"
