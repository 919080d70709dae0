# SPDX-License-Identifier: Apache-2.0
"""Element types by name: ``float32`` here, ``f32`` in programs."""

from __future__ import annotations

from bcai.errors import InvalidArgument

VM_NAMES = {
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int8": "i8",
    "uint8": "u8",
    "bool": "bool",
}
"""The VM's word for each dtype."""

NAMES = {short: name for name, short in VM_NAMES.items()}


def dtype_name(dtype: object) -> str:
    """``"float32"`` of ``"float32"``, ``"f32"``, ``numpy.float32``, ``torch.float32``, ``float``…

    Raises InvalidArgument for what the VM does not have, such as float64.
    """
    if dtype is bool:
        return "bool"
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    name = name or getattr(dtype, "__name__", None) or str(dtype)
    name = name.removeprefix("torch.")
    if name in NAMES:
        return NAMES[name]
    if name in VM_NAMES:
        return name
    raise InvalidArgument(f"dtype {name!r}: expected one of {', '.join(VM_NAMES)}")
