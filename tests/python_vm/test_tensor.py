# SPDX-License-Identifier: Apache-2.0
"""Tensor against numpy, in float64 where arithmetic rounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bcai import InvalidArgument, Tensor
from bcai.vm import eager

RNG = np.random.default_rng(7)
A = RNG.standard_normal((3, 4)).astype(np.float32)
B = RNG.standard_normal((3, 4)).astype(np.float32)
ROW = RNG.standard_normal(4).astype(np.float32)
COLUMN = RNG.standard_normal((3, 1)).astype(np.float32)
I = RNG.integers(-9, 9, (3, 4), dtype=np.int32)  # noqa: E741
J = RNG.integers(1, 9, (3, 4), dtype=np.int32)
F = RNG.random((3, 4)) < 0.5


def assert_close(found: Any, exact: np.ndarray, ulps: float = 4) -> None:
    found = np.asarray(found)
    assert found.shape == exact.shape
    if exact.dtype != np.float64:
        assert found.dtype == exact.dtype
        np.testing.assert_array_equal(found, exact)
        return
    assert found.dtype == np.float32
    magnitude = np.maximum(np.abs(exact), np.finfo(np.float32).tiny)
    bound = ulps * np.spacing(magnitude.astype(np.float32)).astype(np.float64)
    assert (np.abs(found.astype(np.float64) - exact) <= bound).all()


def wide(array: Any) -> Any:
    is_float = isinstance(array, np.ndarray) and array.dtype == np.float32
    return array.astype(np.float64) if is_float else array


@pytest.mark.parametrize("operation", [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b,
    lambda a, b: abs(a) ** b, lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a > b,
    lambda a, b: a >= b, lambda a, b: a == b, lambda a, b: a != b,
])  # fmt: skip
@pytest.mark.parametrize("other", [B, ROW, COLUMN, A, 2.5, -3], ids=str)
def test_two_operands(operation: Callable[[Any, Any], Any], other: Any) -> None:
    mine = other if isinstance(other, float | int) else Tensor(other)
    assert_close(operation(Tensor(A), mine), operation(wide(A), wide(other)))
    if not isinstance(other, np.ndarray):
        assert_close(operation(mine, Tensor(abs(A))), operation(wide(other), wide(abs(A))))


def test_an_array_on_either_side_is_taken() -> None:
    assert_close(Tensor(A) + B, wide(A) + wide(B))
    assert isinstance(A - Tensor(B), Tensor)
    assert_close(A - Tensor(B), wide(A) - wide(B))


@pytest.mark.parametrize("operation", [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a % b,
    lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b, lambda a, b: a < b,
    lambda a, b: a == b, lambda a, b: -a, lambda a, b: abs(a), lambda a, b: 7 - a,
])  # fmt: skip
def test_integers(operation: Callable[[Any, Any], Any]) -> None:
    assert_close(operation(Tensor(I), Tensor(J)), operation(I, J))


def test_integers_wrap_and_div_truncates() -> None:
    assert (Tensor([127], dtype="int8") + 1).tolist() == [-128]
    assert Tensor([-7, 7, 5]).div(Tensor([2, -2, 0])).tolist() == [-3, -3, 0]


def test_bools() -> None:
    t = Tensor(F)
    assert_close(~t, ~F)
    assert_close(t & ~t, F & ~F)
    assert_close(Tensor.where(t, Tensor(A), Tensor(B)), np.where(F, A, B))
    assert_close(Tensor.where(t, Tensor(A), 0), np.where(F, A, np.float32(0)))
    assert t.any() == F.any() and t.all() == F.all()


@pytest.mark.parametrize(("mine", "exact"), [
    (lambda t: -t, lambda a: -a), (lambda t: t.exp(), np.exp),
    (lambda t: abs(t).log(), lambda a: np.log(abs(a))),
    (lambda t: abs(t).sqrt(), lambda a: np.sqrt(abs(a))), (lambda t: t.sin(), np.sin),
    (lambda t: t.cos(), np.cos), (lambda t: t.tanh(), np.tanh),
    (lambda t: t.relu(), lambda a: np.maximum(a, 0)), (lambda t: t.floor(), np.floor),
    (lambda t: t.ceil(), np.ceil), (lambda t: t.round(), np.round), (lambda t: t.sign(), np.sign),
    (lambda t: t.sigmoid(), lambda a: 1 / (1 + np.exp(-a))),
    (lambda t: t.silu(), lambda a: a / (1 + np.exp(-a))),
    (lambda t: t.softplus(), lambda a: np.log1p(np.exp(a))),
    (lambda t: t.leaky_relu(0.25), lambda a: np.where(a >= 0, a, 0.25 * a)),
    (lambda t: t.clamp(-0.5, 0.5), lambda a: np.clip(a, -0.5, 0.5)),
    (lambda t: t.maximum(0.25), lambda a: np.maximum(a, 0.25)),
    (lambda t: t.minimum(0.25), lambda a: np.minimum(a, 0.25)),
])  # fmt: skip
def test_one_operand(mine: Callable[[Tensor], Tensor], exact: Callable[[Any], Any]) -> None:
    assert_close(mine(Tensor(A)), exact(wide(A)))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
def test_reductions(name: str, axis: Any, keep: bool) -> None:
    found = getattr(Tensor(abs(A)), name)(axis=axis, keepdims=keep)
    assert_close(found, np.asarray(getattr(wide(abs(A)), name)(axis=axis, keepdims=keep)), 12)


def test_along_an_axis() -> None:
    e = np.exp(wide(A) - wide(A).max(0))
    assert_close(Tensor(A).softmax(axis=0), e / e.sum(0), 8)
    np.testing.assert_allclose(Tensor(A).log_softmax(0).to_numpy(), np.log(e / e.sum(0)), 1e-5)
    assert_close(Tensor(A).argmax(1), A.argmax(1))
    assert_close(Tensor(A).argmin(), A.argmin(1))
    assert_close(Tensor(I).cumsum(0), I.cumsum(0, dtype=np.int32))
    values, indices = Tensor(A).topk(2)
    assert_close(indices, np.argsort(-A, 1)[:, :2])
    assert_close(values, -np.sort(-A, 1)[:, :2])


@pytest.mark.parametrize(("a", "b"), [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2)),
    ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((0, 4), (4, 2)),
])  # fmt: skip
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = (RNG.standard_normal(shape).astype(np.float32) for shape in (a, b))
    exact = wide(x) @ wide(y)
    found = Tensor(x) @ Tensor(y)
    assert found.shape == exact.shape
    np.testing.assert_allclose(found.to_numpy(), exact, 1e-5, 1e-6)


def test_the_first_tensor() -> None:
    t = Tensor.create([1000, 1000], dtype="float32")
    assert t.matmul(t).to_numpy().sum() == 0
    ones = Tensor.create([1000, 1000], fill=1)
    assert (ones.matmul(ones).to_numpy() == 1000).all()


X = np.arange(2 * 3 * 5, dtype=np.int64).reshape(2, 3, 5)


@pytest.mark.parametrize("index", [
    0, -1, (1, 2), (slice(None), 1), slice(0, 1), (..., 2), (0, ..., slice(1, 4)),
    (slice(None), slice(None, None, 2)), (slice(None), slice(None), slice(None, None, -1)),
    (slice(None), slice(None), slice(4, 0, -2)), None, (None, 0, None, ..., None), (),
    (slice(5, 9),), (1, 2, 4), (..., slice(-3, -1)), slice(1, None),
], ids=str)  # fmt: skip
def test_basic_indexing(index: Any) -> None:
    assert_close(Tensor(X)[index], X[index])


def test_shape_and_movement() -> None:
    t = Tensor(X)
    assert_close(t.transpose(), X.transpose())
    assert_close(t.transpose(2, 0, 1), X.transpose(2, 0, 1))
    assert_close(t.T, X.T)
    assert_close(t.reshape(6, -1), X.reshape(6, -1))
    assert_close(t.flatten(), X.ravel())
    assert_close(t.expand_dims(-1).squeeze(), X)
    assert_close(Tensor.concat([t, t], axis=1), np.concatenate([X, X], 1))
    assert_close(Tensor.stack([t, t], axis=-1), np.stack([X, X], -1))
    assert_close(t.take([[2, 0]], axis=1), X.take([[2, 0]], 1))
    assert_close(t.pad((0, 1, 0), (1, 0, 2), 9),
                 np.pad(X, ((0, 1), (1, 0), (0, 2)), constant_values=9))  # fmt: skip
    assert_close(Tensor(ROW).broadcast_to(3, 4), np.broadcast_to(ROW, (3, 4)))
    assert_close(Tensor.arange(5), np.arange(5))
    assert [each.tolist() for each in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]


def test_create_and_lists() -> None:
    t = Tensor.create((2, 3), dtype=np.uint8, fill=7)
    assert (t.shape, t.dtype, t.tolist()) == ((2, 3), "uint8", [[7, 7, 7], [7, 7, 7]])
    assert Tensor.create([], fill=1.5).item() == 1.5
    assert Tensor.create(2, "bool", True).tolist() == [True, True]
    assert Tensor.create([2], "bfloat16", 3).cast("f32").tolist() == [3.0, 3.0]
    assert (Tensor([1, 2]).dtype, Tensor([1, 2.5]).dtype) == ("int64", "float32")
    assert (Tensor([True]).dtype, Tensor([[]]).shape) == ("bool", (1, 0))
    assert Tensor([[1], [2]], dtype="int8").tolist() == [[1], [2]]
    assert float(Tensor([2.5])) == 2.5 and int(Tensor(3)) == 3 and bool(Tensor([1]))


def test_cast() -> None:
    x = np.array([1.5, -2.7, 1e30, np.nan, 300.0], np.float32)
    assert_close(Tensor(x).cast("int32"), np.array([1, -2, 2**31 - 1, 0, 300], np.int32))
    assert_close(Tensor(x).cast("uint8"), np.array([1, 0, 255, 0, 255], np.uint8))
    with np.errstate(over="ignore"):
        assert_close(Tensor(x).cast("float16"), x.astype(np.float16))


def test_apply_is_any_instruction() -> None:
    scale = np.ones(4, np.float32)
    found = Tensor.apply("RMSNorm", A, scale, epsilon=1e-5)
    exact = wide(A) / np.sqrt((wide(A) ** 2).mean(-1, keepdims=True) + np.float32(1e-5))
    assert_close(found, exact, 8)
    values, _ = Tensor.apply("TopK", A, axis=1, k=1, largest="smallest")
    assert_close(values, A.min(1, keepdims=True))


@pytest.mark.parametrize(("wrong", "message"), [
    (lambda: Tensor(A) + Tensor(I), "Add: float32 and int32: cast one of them"),
    (lambda: Tensor(I) / Tensor(I), "/: int32, expected float32"),
    (lambda: Tensor(I) + 2.5, "2.5 is no 64-bit integer, which i32 needs"),
    (lambda: Tensor(I.astype(np.int8)) + 300, "300 does not fit i8"),
    (lambda: Tensor(A) @ Tensor(B), "TensorMatMul: a has 4 columns, b has 3 rows (V12)"),
    (lambda: Tensor(A) + Tensor(A.T.copy()), "Add: [3,4] and [4,3] do not broadcast"),
    (lambda: Tensor(I).exp(), "Exp: operand 0 (x) is i32, expected f32"),
    (lambda: Tensor(A).gelu("x"), "attribute approximate: expected one of 'erf', 'tanh'"),
    (lambda: Tensor(A).reshape(5), "shape [3,4] has 12 elements, [5] has 5"),
    (lambda: Tensor(A).reshape(5, -1), "12 elements do not make"),
    (lambda: Tensor(A).take([3]), "Gather: index 3 at element 0 is outside 0 to 2"),
    (lambda: Tensor(A)[[0, 1]], "take() gathers by a tensor of indices"),
    (lambda: Tensor(A)[Tensor(F)], "where() chooses by a mask"),
    (lambda: Tensor(A).sum((0, 0)), "axes [0, 0] name one twice"),
    (lambda: bool(Tensor(A)), "12 elements are not one truth"),
    (lambda: Tensor(A).item(), "12 elements, expected one"),
    (lambda: Tensor([1, 300], dtype="uint8"), "a list of uint8"),
    (lambda: Tensor([[1], [2, 3]]), "lists of unequal lengths: axis 1 has 1 and 2"),
    (lambda: Tensor([1, "x"]), "a list of numbers holds 'x'"),
    (lambda: Tensor.create([2], "float64"), "dtype 'float64': expected one of float32"),
    (lambda: Tensor.create([2], "uint8", -1), "-1 does not fit u8"),
    (lambda: Tensor.create([-1]), "-1 is not between 0"),
    (lambda: Tensor.create([1] * 9), "9 axes, at most 8"),
    (lambda: Tensor.create([2**20] * 3), "larger than a tensor may be"),
    (lambda: Tensor.apply("Frobnicate", A), "there is no instruction 'Frobnicate'"),
    (lambda: Tensor.apply("Softmax", A, axes=1), "Softmax has no attribute 'axes'"),
])  # fmt: skip
def test_refusals(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        wrong()
    assert message in str(refused.value)


def test_errors_of_the_language() -> None:
    with pytest.raises(TypeError):
        Tensor(A) + "x"
    with pytest.raises(TypeError):
        hash(Tensor(A))
    with pytest.raises(TypeError):
        len(Tensor(1))
    for wrong in (lambda: Tensor(A)[3], lambda: Tensor(A).softmax(2), lambda: Tensor(A)[0, 0, 0]):
        with pytest.raises(IndexError):
            wrong()


def test_a_tensor_is_refused_before_memory_runs_out() -> None:
    from bcai import ResourceExhausted

    with pytest.raises(ResourceExhausted, match="a tensor of 1099511627776 bytes"):
        Tensor.create([2**20, 2**18])


def test_repr() -> None:
    assert repr(Tensor([[1.0, 2.5]])) == "Tensor([[1.0, 2.5]], shape=(1, 2), dtype=float32)"
    assert repr(Tensor.arange(9)) == "Tensor([0, 1, 2, …, 6, 7, 8], shape=(9,), dtype=int64)"
    assert repr(Tensor(True)) == "Tensor(True, shape=(), dtype=bool)"


def test_what_is_compiled_is_bounded_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_small", eager.Recent(3))
    for size in range(1, 9):
        assert (Tensor.create([size]) + 1).sum().item() == size
    assert len(eager._small._things) == 3
    # Attributes that Python calls equal.
    x = Tensor([2.0, -2.0])
    assert x.clamp(0, 1).tolist() == x.clamp(0.0, 1.0).tolist() == [1.0, 0.0]


def test_threads_share_what_is_compiled() -> None:
    x, y = (RNG.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    expected = (Tensor(x) @ Tensor(y)).to_numpy().tobytes()
    found: list[bytes] = []

    def work() -> None:
        for _ in range(20):
            found.append((Tensor(x) @ Tensor(y)).to_numpy().tobytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80
