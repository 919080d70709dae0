# SPDX-License-Identifier: Apache-2.0
"""Tensors and other libraries' arrays: the same memory, alive as long as someone looks at it."""

from __future__ import annotations

import array
import ctypes
import gc
import sys
import weakref

import numpy as np
import pytest
from bcai import InvalidArgument, Tensor

torch = pytest.importorskip("torch", reason="needs torch: ./dev setup")

DTYPES = ["float32", "float16", "int64", "int32", "int8", "uint8", "bool"]


def address(tensor: Tensor) -> int:
    return tensor._buffer.address


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_there_and_back_is_the_same_memory(dtype: str) -> None:
    x = np.arange(12).reshape(3, 4).astype(dtype)
    t = Tensor(x)
    assert (t.dtype, t.shape, address(t)) == (dtype, (3, 4), x.ctypes.data)
    back = t.to_numpy()
    assert back.ctypes.data == x.ctypes.data and back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    assert np.shares_memory(np.asarray(t), x)
    back[1, 1] = 0
    assert x[1, 1] == 0


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_torch_there_and_back_is_the_same_memory(dtype: str) -> None:
    x = torch.arange(12).reshape(3, 4).to(getattr(torch, dtype))
    t = Tensor(x)
    assert (t.dtype, t.shape, address(t)) == (dtype, (3, 4), x.data_ptr())
    back = torch.from_dlpack(t)
    assert back.data_ptr() == x.data_ptr() and torch.equal(back, x)


@pytest.mark.parametrize("copy", [False, True])
def test_a_bool_is_0_or_1(copy: bool) -> None:
    bytes_ = np.array([[0, 1], [1, 255]], np.uint8)
    bools = bytes_.view(bool)
    for given in (bools, bools.T, torch.from_numpy(bytes_).view(torch.bool)):
        with pytest.raises(InvalidArgument, match="bool and has the byte 255 at element 3"):
            Tensor(given, copy=copy)
    bytes_[1, 1] = 1
    t = Tensor(bytes_.view(bool), copy=copy)
    bytes_[1, 0] = 2  # what is borrowed is looked at again
    if copy:
        assert t.cast("int32").to_numpy().tolist() == [[0, 1], [1, 1]]
    else:
        with pytest.raises(InvalidArgument, match="byte 2 at element 2"):
            t.cast("int32")


def test_a_result_is_given_without_a_copy() -> None:
    t = Tensor([1.0, 2.0]) + 1
    assert t.to_numpy().ctypes.data == address(t)
    assert torch.from_dlpack(t).data_ptr() == address(t)
    assert np.from_dlpack(t).ctypes.data == address(t)
    assert t.__dlpack_device__() == (1, 0)
    assert address(t.reshape(2, 1)) == address(t)


def test_what_is_shared_lives_as_long_as_it_is_seen() -> None:
    class Watched(np.ndarray):
        pass

    x = np.arange(1000, dtype=np.float32).view(Watched)
    alive = weakref.ref(x)
    t = Tensor(x)
    del x
    gc.collect()
    assert alive() is not None
    y = t.to_numpy()
    reshaped = t.reshape(10, 100)
    del t
    gc.collect()
    assert alive() is not None and y[999] == 999
    del y
    assert reshaped[9, 99].item() == 999
    del reshaped
    gc.collect()
    assert alive() is None


def test_a_result_outlives_its_tensor() -> None:
    views = [(Tensor.create([1000], fill=i) + 1).to_numpy() for i in range(50)]
    gc.collect()
    assert [view.sum() for view in views] == [1000 * (i + 1) for i in range(50)]
    given = [torch.from_dlpack(Tensor.create([1000], fill=i) + 1) for i in range(50)]
    gc.collect()
    assert [float(each.sum()) for each in given] == [1000 * (i + 1) for i in range(50)]


def test_read_only_stays_read_only() -> None:
    x = np.arange(4, dtype=np.float32)
    x.flags.writeable = False
    t = Tensor(x)
    assert address(t) == x.ctypes.data
    assert not t.to_numpy().flags.writeable
    assert not t.reshape(2, 2).to_numpy().flags.writeable
    assert (t + 1).to_numpy().flags.writeable
    assert Tensor(b"\x01\x02").tolist() == [1, 2]


@pytest.mark.parametrize("view", [
    lambda x: x.T, lambda x: x[:, ::2], lambda x: x[::-1], lambda x: x[:, 1:3],
    lambda x: np.broadcast_to(x[:, :1], x.shape), lambda x: x.transpose(1, 0)[1:],
])  # fmt: skip
def test_what_is_not_dense_is_copied(view: object) -> None:
    x = np.arange(20, dtype=np.int32).reshape(4, 5)
    strided = view(x)  # type: ignore[operator]
    t = Tensor(strided)
    np.testing.assert_array_equal(t.to_numpy(), strided)
    assert not np.shares_memory(t.to_numpy(), x)


def test_extents_of_one_and_none_are_dense() -> None:
    x = np.zeros((3, 1, 4), np.float32)[:, ::-1]
    assert address(Tensor(x)) == x.ctypes.data
    assert Tensor(np.zeros((0, 3), np.float32).T).shape == (3, 0)


def test_what_is_not_aligned_is_copied() -> None:
    raw = np.zeros(17, np.uint8)
    x = raw[1:].view(np.float32)
    assert not x.flags.aligned
    x[:] = [1, 2, 3, 4]
    t = Tensor(x)
    assert address(t) != x.ctypes.data and t.tolist() == [1, 2, 3, 4]


def test_a_copy_when_asked_for() -> None:
    x = np.zeros(3, np.float32)
    t = Tensor(x, copy=True)
    x[0] = 1
    assert t.tolist() == [0, 0, 0]
    assert np.array(t, copy=True).ctypes.data != address(t)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64


def test_other_buffers() -> None:
    numbers = array.array("f", [1, 2, 3])
    assert address(Tensor(numbers)) == numbers.buffer_info()[0]
    assert Tensor(memoryview(bytearray(3))).tolist() == [0, 0, 0]
    assert Tensor((ctypes.c_int32 * 2)(3, 4)).tolist() == [3, 4]
    other = Tensor(numbers)
    assert address(Tensor(other)) == address(other)
    if sys.version_info >= (3, 12):
        assert memoryview(other).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros(2), "the array is float64, expected float32"),
    (np.zeros(2, np.uint16), "the array is uint16"),
    (np.zeros(2, np.complex64), "the array is complex64"),
    (np.zeros(2, ">f4"), "of the other byte order"),
    (np.zeros(2, ">i8"), "of the other byte order"),
    (np.zeros([1] * 9, np.float32), "9 axes, at most 8"),
    (torch.zeros(2, dtype=torch.float64), "the array is float64"),
    (torch.zeros(2, requires_grad=True), "detach() it first"),
    (np.float64(1.0).reshape(1), "the array is float64"),
], ids=str)  # fmt: skip
def test_arrays_that_are_refused(x: object, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Tensor(x)
    assert message in str(refused.value)


@pytest.mark.parametrize("x", [None, object(), np.array(["a"]), np.array([None]), {"a": 1}])
def test_what_is_no_array(x: object) -> None:
    with pytest.raises(TypeError, match="is no array of numbers"):
        Tensor(x)


def test_dtype_names_an_arrays_own() -> None:
    with pytest.raises(InvalidArgument, match="the array is int64, not float32: cast it first"):
        Tensor(np.arange(3), dtype="float32")
    with pytest.raises(InvalidArgument, match="numpy has no bfloat16"):
        Tensor(torch.zeros(2, dtype=torch.bfloat16)).to_numpy()
    assert Tensor(torch.ones(2, dtype=torch.bfloat16)).tolist() == [1, 1]
    assert Tensor(torch.ones(2), dtype=torch.float32).dtype == "float32"
