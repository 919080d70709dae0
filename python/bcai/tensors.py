# SPDX-License-Identifier: Apache-2.0
"""Reading safetensors files, which come from machines that need not be trusted.

The format: u64 size of the header (little-endian), the header (JSON: name → dtype, shape,
data_offsets), the bytes of all tensors.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bcai.errors import DataLoss

if TYPE_CHECKING:
    import numpy

_HEADER_BYTES_MAX = 100 << 20

# dtype → bytes of an element and numpy's name. BF16 and the F8 types have none in numpy.
_DTYPES: dict[str, tuple[int, str | None]] = {
    "BOOL": (1, "bool"),
    "U8": (1, "u1"),
    "I8": (1, "i1"),
    "U16": (2, "<u2"),
    "I16": (2, "<i2"),
    "U32": (4, "<u4"),
    "I32": (4, "<i4"),
    "U64": (8, "<u8"),
    "I64": (8, "<i8"),
    "F16": (2, "<f2"),
    "F32": (4, "<f4"),
    "F64": (8, "<f8"),
    "C64": (8, "<c8"),
    "BF16": (2, None),
    "F8_E4M3": (1, None),
    "F8_E5M2": (1, None),
}


@dataclass(frozen=True)
class RawTensor:
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def read_safetensors(data: bytes) -> dict[str, RawTensor]:
    """The tensors by name. Raises DataLoss for anything that is not whole and consistent."""
    if len(data) < 8:
        raise DataLoss(f"safetensors: expected a header, found {len(data)} bytes")
    (size,) = struct.unpack_from("<Q", data)
    if size > min(len(data) - 8, _HEADER_BYTES_MAX):
        raise DataLoss(f"safetensors: a header of {size} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise DataLoss(f"safetensors: the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise DataLoss("safetensors: the header is not an object")
    body = memoryview(data)[8 + size :]
    return {
        name: _read_tensor(name, entry, body)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _read_tensor(name: str, entry: Any, body: memoryview) -> RawTensor:
    def wrong(what: str) -> DataLoss:
        return DataLoss(f"safetensors: tensor {name!r}: {what}")

    if not isinstance(entry, dict):
        raise wrong("no object")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise wrong(f"unknown dtype {dtype!r}")
    shape, offsets = _sizes(entry.get("shape")), _sizes(entry.get("data_offsets"))
    if shape is None or len(shape) > 64:
        raise wrong("shape is not a list of sizes")
    if offsets is None or len(offsets) != 2:
        raise wrong("data_offsets is not two offsets")
    begin, end = offsets
    expected = math.prod(shape) * _DTYPES[dtype][0]
    if not begin <= end <= len(body) or end - begin != expected:
        raise wrong(f"bytes {begin} to {end} of {len(body)}, expected {expected} bytes")
    return RawTensor(dtype, tuple(shape), body[begin:end])


def _sizes(value: Any) -> list[int] | None:
    if isinstance(value, list) and all(type(size) is int and size >= 0 for size in value):
        return value
    return None


def to_numpy(name: str, tensor: RawTensor) -> numpy.ndarray[Any, Any]:
    """A writable array of its own. BF16 becomes float32, which holds each of its values.

    Raises ImportError without numpy, DataLoss for the F8 types.
    """
    try:
        import numpy
    except ImportError:
        raise ImportError(
            f"outputs[{name!r}] is an array; reading it needs numpy: pip install 'bcai[numpy]'"
        ) from None
    numpy_name = _DTYPES[tensor.dtype][1]
    if tensor.dtype == "BF16":
        upper = numpy.frombuffer(tensor.data, "<u2").astype("<u4") << 16
        return upper.astype("<u4").view("<f4").reshape(tensor.shape)
    if numpy_name is None:
        raise DataLoss(
            f"outputs[{name!r}]: numpy has no {tensor.dtype}; "
            "read 'outputs.safetensors' of the artifacts with another library"
        )
    return numpy.frombuffer(tensor.data, numpy_name).reshape(tensor.shape).copy()
