# SPDX-License-Identifier: Apache-2.0
"""Writing programs instruction by instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bcai.errors import InvalidArgument
from bcai.vm.dtypes import NAMES, VM_NAMES, dtype_name
from bcai.vm.extension import _vm
from bcai.vm.instructions import Instructions
from bcai.vm.program import Program

if TYPE_CHECKING:
    from bcai.model import Model
    from bcai.tensor import Tensor

Dim = _vm.Dim


class Value:
    """A value of a program that is being built: the result of an instruction, or an argument."""

    def __init__(self, builder: Builder, number: int) -> None:
        """For this package; values come from a Builder's methods."""
        dtype, shape, state = builder._native.type_of(number)
        self._builder = builder
        self._number = number
        self.dtype = NAMES[dtype]
        """``"float32"``, …"""
        self.shape: tuple[int | Dim, ...] = tuple(shape)
        """The extent of each axis, a :class:`Dim` where symbols are in it."""
        self.state = state
        """Whether it stands for a state."""

    def __repr__(self) -> str:
        kind = "state " if self.state else ""
        return f"<Value {kind}{self.dtype}[{', '.join(map(str, self.shape))}]>"


class Builder(Instructions):
    """Writes a program, deriving each result's type by the verifier's rules.

    There is a method for each instruction, of the instruction's name: operands first, attributes by
    keyword, ``shape`` and ``dtype`` where the instruction takes them. ::

        b = Builder()
        rows = b.symbol("B", 1, 32)
        x = b.argument("x", "float32", [rows, 784])
        w = b.argument("w", "float32", [10, 784])
        y = b.Softmax(b.TensorMatMul(x, w, transpose_b=True), axis=1)
        program = b.finish(y=y)

    What an instruction refuses is InvalidArgument with the instruction, what it expected and what
    it found; the builder is then as it was before. ``Repeat``, ``Cond`` and ``Call``, which hold
    other instructions, are written in text. One thread.
    """

    def __init__(self) -> None:
        self._native = _vm.Builder()
        self._names: set[str] = set()
        self._weights: dict[str, Tensor] = {}

    def symbol(self, name: str, min: int, max: int, multiple_of: int = 1) -> Dim:
        """A dimension that is known when the program runs; both ends are included.

        Dimensions can be added, subtracted, multiplied, and divided by a number (``//``).
        """
        return self._native.symbol(name, min, max, multiple_of)

    def argument(
        self, name: str, dtype: object, shape: Sequence[int | Dim], *, state: bool = False
    ) -> Value:
        """An argument of the program. All come before the first instruction.

        With ``state``, one that ``KVCacheAppend`` rewrites and a result gives back.
        """
        if name in self._names:
            raise InvalidArgument(f"argument {name!r} is there already")
        dims = list(shape)
        value = Value(self, self._native.argument(name, VM_NAMES[dtype_name(dtype)], dims, state))
        self._names.add(name)
        return value

    def constant(self, array: Any, dtype: object | None = None) -> Value:
        """A tensor written in the program, at most 64 KiB: a Tensor, an array, numbers or lists.

        ``dtype`` is for numbers and lists; floats are float32 without it, integers int64.
        """
        from bcai.tensor import Tensor

        tensor = array if isinstance(array, Tensor) else Tensor(array, dtype=dtype)
        return Value(self, self._native.constant(tensor._buffer))

    def weight(self, name: str, array: Any) -> Value:
        """A tensor of the model's weight file: a Tensor, or any array that Tensor takes, which must
        not change any more. :meth:`model` then gives a Model."""
        from bcai.tensor import Tensor

        tensor = array if isinstance(array, Tensor) else Tensor(array)
        if name in self._weights and self._weights[name] is not tensor:
            raise InvalidArgument(f"weight {name!r} is there already")
        value = Value(self, self._native.weight(name, tensor._buffer))
        self._weights[name] = tensor
        return value

    def checkpoint(self, value: Value) -> None:
        """A receipt of a run commits to this value too."""
        self._native.checkpoint(self._number(value))

    def finish(self, **results: Value) -> Program:
        """The verified program with these results. Building may go on afterwards."""
        if self._weights:
            raise InvalidArgument("the program has weights: model() gives both")
        return Program(self._native.finish(self._results(results)))

    def model(self, **results: Value) -> Model:
        """The verified program with these results, and its weights. Building may go on."""
        from bcai.model import Model

        weights = [(name, tensor._buffer) for name, tensor in self._weights.items()]
        return Model(self._native.finish_model(self._results(results), weights))

    def _results(self, results: Mapping[str, Value]) -> list[tuple[str, int]]:
        if not results:
            raise InvalidArgument("a program has at least one result: finish(y=value)")
        return [(name, self._number(value)) for name, value in results.items()]

    def _number(self, value: Value) -> int:
        if not isinstance(value, Value):
            raise InvalidArgument(
                f"expected a Value, found {value!r}: constant() makes one of numbers and arrays"
            )
        if value._builder is not self:
            raise InvalidArgument(f"{value!r} belongs to another builder")
        return value._number

    def _add(
        self,
        instruction: str,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        dtype: object | None = None,
        shape: Sequence[int | Dim] | None = None,
    ) -> tuple[Value, ...]:
        numbers = [None if value is None else self._number(value) for value in operands]
        stated = None
        if dtype is not None or shape is not None:
            first = operands[0] if operands else None
            name = dtype_name(dtype if dtype is not None or first is None else first.dtype)
            dims = first.shape if shape is None and first is not None else shape
            stated = (VM_NAMES[name], list(dims or ()))
        try:
            made = self._native.add(instruction, numbers, dict(attributes), stated)
        except TypeError as error:
            raise InvalidArgument(f"{instruction}: {error}") from None
        return tuple(Value(self, number) for number in made)
