# SPDX-License-Identifier: Apache-2.0
# Printed by tools/vm_stub.py.
"""
The virtual machine; use it through bcai.vm, bcai.Tensor and bcai.Model.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def isa() -> str:
    """The instruction table as JSON: what `bcai vm isa --json` prints."""

class Buffer:
    """
    A dense tensor in memory: row-major, its elements in this machine's order.
    """

    @staticmethod
    def of(array: object, copy: bool = False) -> Buffer:
        """
        The array's own memory, or a copy where it is not dense and aligned.

        `array` has DLPack or the buffer protocol; it is kept alive. A bool whose byte is neither 0 nor 1 is refused.
        """

    @staticmethod
    def full(dtype: str, shape: Sequence[int], value: object) -> Buffer:
        """A tensor whose elements all are `value`, which must fit the dtype."""

    @property
    def dtype(self) -> str:
        """'f32', 'f16', 'bf16', 'i64', 'i32', 'i8', 'u8' or 'bool'."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis."""

    @property
    def read_only(self) -> bool:
        """Whether the memory's owner forbids writing to it."""

    @property
    def address(self) -> int:
        """Where the first element lies."""

    def array(self) -> Any:
        """The same memory as an object with DLPack and the buffer protocol."""

    def reshaped(self, shape: Sequence[int]) -> Buffer:
        """The same memory under another shape of as many elements."""

def findings(source: bytes) -> list[tuple[int, int, str]]:
    """
    What is wrong with a program in text or binary form: line, column, message.
    """

class Program:
    """A verified program. Immutable."""

    @staticmethod
    def read(source: bytes) -> Program:
        """The program of a text or binary form."""

    def text(self) -> str:
        """The canonical text."""

    def encode(self) -> bytes:
        """The binary form."""

    @property
    def identity(self) -> str:
        """SHA-256 of the binary form, in hexadecimal digits."""

    @property
    def symbols(self) -> list[tuple[str, int, int, int]]:
        """Name, least, largest and factor of each symbol."""

    @property
    def files(self) -> list[tuple[str, str, int]]:
        """Name, SHA-256 and size of each weight file."""

    @property
    def arguments(self) -> list[tuple[str, str, list[int | str], bool]]:
        """Name, dtype, shape and whether a state, of each."""

    @property
    def results(self) -> list[tuple[str, str, list[int | str], bool]]:
        """Name, dtype, shape and whether a state, of each."""

    def binding_of(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """The symbols' values for arguments of these shapes."""

    def quote(self, symbols: Mapping[str, int], threads: int) -> dict[str, int]:
        """What a run costs, counted without running."""

class Model:
    """A program and its weights. Immutable."""

    @staticmethod
    def import_onnx(path: str, ranges: Mapping[str, Sequence[int]], shapes: Mapping[str, Sequence[int]], values: Mapping[str, Buffer]) -> Model:
        """The model of an ONNX file."""

    @staticmethod
    def import_huggingface(directory: str, store: str, batch: Sequence[int], sequence: Sequence[int]) -> Model:
        """The model of a directory as transformers saves it."""

    @staticmethod
    def open(program: Program, weights: Sequence[str], store: str) -> Model:
        """A program with weight files, which are copied into the store first."""

    @property
    def program(self) -> Program:
        """The program."""

    def save(self, path: str) -> None:
        """Writes the binary form, and the weight files beside it."""

    @property
    def is_stored(self) -> bool:
        """Whether its weights are files of a store."""

    def prepare(self, symbols: Mapping[str, int], threads: int, packed: str) -> Executable:
        """
        Compiled for these values of the symbols, weights packed for this processor.
        """

class Executable:
    """A bound program ready to run on this processor. Any thread."""

    def run(self, inputs: Sequence[Buffer], states_in_place: bool = False) -> list[Buffer]:
        """The results for inputs in the order of the arguments."""

    def explain(self) -> str:
        """The plan as text, and which backend runs each launch."""

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of one run at a time, by what they are for."""

class Dim:
    """
    A dimension with symbols in it: a polynomial, and quotients by numbers.
    """

    def __add__(self, arg: int | Dim, /) -> Dim:
        """Sum with a dimension or a number."""

    def __radd__(self, arg: int | Dim, /) -> Dim:
        """Sum with a number."""

    def __sub__(self, arg: int | Dim, /) -> Dim:
        """Difference to a dimension or a number."""

    def __rsub__(self, arg: int | Dim, /) -> Dim:
        """Difference from a number."""

    def __mul__(self, arg: int | Dim, /) -> Dim:
        """Product with a dimension or a number."""

    def __rmul__(self, arg: int | Dim, /) -> Dim:
        """Product with a number."""

    def __floordiv__(self, arg: int, /) -> Dim:
        """Quotient by a number from 1 on, rounded down."""

    def __eq__(self, other: object, /) -> bool:
        """Whether both are the same polynomial."""

    def __hash__(self) -> int: ...

    def __repr__(self) -> str: ...

class Builder:
    """Writes one function, instruction by instruction."""

    def __init__(self) -> None: ...

    def symbol(self, name: str, min: int, max: int, multiple_of: int) -> Dim:
        """A dimension that is known later."""

    def argument(self, name: str, dtype: str, shape: Sequence[int | Dim], state: bool) -> int:
        """The value of an argument."""

    def constant(self, buffer: Buffer) -> int:
        """The value of a tensor written in the program."""

    def add(self, instruction: str, operands: Sequence[int | None], attributes: dict[str, object], stated: tuple[str, Sequence[int | Dim]] | None = None) -> list[int]:
        """
        The values of an instruction's results. `stated` is dtype and shape of the result, for instructions that take them.
        """

    def weight(self, name: str, buffer: Buffer) -> int:
        """The value of a tensor of the weight file."""

    def finish_model(self, results: Sequence[tuple[str, int]], weights: Sequence[tuple[str, Buffer]]) -> Model:
        """The verified program with these results and weights."""

    def type_of(self, value: int) -> tuple[str, list[int | Dim], bool]:
        """Dtype, shape and whether a state."""

    def checkpoint(self, value: int) -> None:
        """A receipt commits to this value too."""

    def finish(self, results: Sequence[tuple[str, int]]) -> Program:
        """The verified program with these results, by name."""
