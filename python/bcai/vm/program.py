# SPDX-License-Identifier: Apache-2.0
"""Programs, what they cost, and running them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcai.errors import Finding, InvalidArgument
from bcai.vm.dtypes import NAMES
from bcai.vm.extension import _vm

if TYPE_CHECKING:
    from bcai.model import Model
    from bcai.tensor import Tensor

_PROGRAM_BYTES_MAX = 64 << 20


def thread_count(threads: int | None = None) -> int:
    """``threads``, or as many as this process may use at once."""
    return threads if threads is not None else len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Symbol:
    """A dimension that is known when the program runs: ``min`` to ``max``, both included, and
    divisible by ``multiple_of``."""

    name: str
    min: int
    max: int
    multiple_of: int = 1


@dataclass(frozen=True)
class Parameter:
    """An argument or a result of a program.

    ``shape`` has a number for each axis, or text where symbols are in it: ``("B", 768)``.
    A ``state`` is rewritten by the run: what goes in comes out as a result.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    state: bool = False

    def __str__(self) -> str:
        kind = "state " if self.state else ""
        return f"{self.name}: {kind}{self.dtype}[{', '.join(map(str, self.shape))}]"


def _parameters(
    rows: Sequence[tuple[str, str, list[int | str], bool]],
) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, NAMES[dtype], tuple(dims), state)
                 for name, dtype, dims, state in rows)  # fmt: skip


class Program:
    """A program that the verifier has accepted. Immutable; any thread may use it.

    Made by :meth:`parse`, :meth:`load` or a :class:`~bcai.vm.Builder`. All that is wrong with one
    is in the InvalidArgument that these raise; :func:`bcai.vm.verify` gives it as a list.
    """

    def __init__(self, native: _vm.Program) -> None:
        """For this package; use :meth:`parse`, :meth:`load` or a Builder."""
        self._native = native
        self.symbols = tuple(Symbol(*row) for row in native.symbols)
        self.arguments = _parameters(native.arguments)
        self.results = _parameters(native.results)

    @classmethod
    def parse(cls, source: str | bytes) -> Program:
        """The program of a text form (``bcasm``) or of the bytes of a binary form (``bcvm``)."""
        return cls(_vm.Program.read(_encoded(source)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """The program of a ``.bcvm`` or ``.bcasm`` file."""
        try:
            return cls.parse(_read(path))
        except InvalidArgument as error:
            raise InvalidArgument(f"{os.fspath(path)}:\n{error.message}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the binary form, or the text where ``path`` ends with ``.bcasm``."""
        path = Path(path)
        path.write_bytes(self.text().encode() if path.suffix == ".bcasm" else self.encode())

    def text(self) -> str:
        """The canonical text: equal programs have equal texts."""
        return self._native.text()

    def encode(self) -> bytes:
        """The binary form."""
        return self._native.encode()

    @property
    def identity(self) -> str:
        """SHA-256 of the binary form, in hexadecimal digits: the program's name everywhere."""
        return self._native.identity

    def quote(self, *, threads: int | None = None, **symbols: int) -> Quote:
        """See :func:`bcai.vm.quote`."""
        return quote(self, threads=threads, **symbols)

    def prepare(
        self,
        *,
        weights: Sequence[str | os.PathLike[str]] = (),
        threads: int | None = None,
        **symbols: int,
    ) -> Executable:
        """Compiles it for these values of its symbols and this machine's processor.

        ``weights`` are the safetensors files that the program names; they are copied into the store
        (:func:`weight_store`), where later runs find them by their digest. ``threads`` is one for
        each processor that this process may use, unless given. Takes milliseconds for small
        programs, more where weights are packed; other Python threads run meanwhile.
        """
        files = [os.fspath(path) for path in weights]
        native = _vm.Model.open(self._native, files, os.fspath(weight_store()))
        return Executable(self, prepare(native, symbols, thread_count(threads)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        inside = ", ".join(map(str, self.arguments))
        outside = ", ".join(map(str, self.results))
        return f"<Program ({inside}) -> ({outside})>"


class Executable:
    """A program compiled for this processor, its weights packed. Any thread may run it, several at
    once: each run at the same time has its own buffers and threads."""

    def __init__(self, program: Program, native: _vm.Executable) -> None:
        """For this package; use :meth:`Program.prepare`."""
        self.program = program
        self._native = native

    def run(
        self, *inputs: Any, states_in_place: bool = False, **named: Any
    ) -> tuple[Tensor, ...]:
        """The results, as Tensors in the order of ``program.results``.

        An input is a Tensor or any array that Tensor takes, in the order of the arguments or by
        name. Nothing is converted: a dtype or shape that differs is InvalidArgument. With
        ``states_in_place`` states are rewritten in the memory that was passed and come back as
        results, and must share no memory with another input; otherwise they are copied first.
        Another thread must not write to an input meanwhile. On the main thread a signal's handler
        that raises (Ctrl-C) ends a long run; what it leaves in states in place is unspecified.
        """
        from bcai.tensor import Tensor

        names = [argument.name for argument in self.program.arguments]
        given = inputs_by_name(names, inputs, named)
        tensors = [as_tensor(name, given[name]) for name in names]
        buffers = [tensor._buffer for tensor in tensors]
        results = self._native.run(buffers, states_in_place)
        return tuple(Tensor._of(buffer) for buffer in results)

    __call__ = run

    def explain(self) -> str:
        """The plan as text: launches, buffers, and which backend runs what."""
        return self._native.explain()

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of one run at a time, by what they are for, as in :class:`Quote`."""
        return self._native.memory


def inputs_by_name(
    names: Sequence[str], inputs: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Each name's input. Raises InvalidArgument that lists what is missing, unknown, twice."""
    problems = []
    if len(inputs) > len(names):
        problems.append(f"{len(inputs)} inputs, expected at most {len(names)}")
    given = dict(zip(names, inputs, strict=False))
    problems += [f"input {name!r} is given twice" for name in named if name in given]
    problems += [f"there is no input {name!r}" for name in named if name not in names]
    given.update(named)
    problems += [f"input {name!r} is missing" for name in names if name not in given]
    if problems:
        raise InvalidArgument("; ".join(problems) + f" (the inputs are {', '.join(names)})")
    return given


def as_tensor(name: str, value: Any) -> Tensor:
    """``value`` as a Tensor; an error says which input it was."""
    from bcai.tensor import Tensor

    try:
        return value if isinstance(value, Tensor) else Tensor(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"input {name!r}: {error.message}") from None


@dataclass(frozen=True)
class Quote:
    """What one run of a program costs, known before it runs.

    ``gas`` is what the network charges, ``flops`` are its operations, ``bytes`` what all
    instructions read and write, ``instructions`` how many are executed at most, ``weight_bytes``
    the parameters: counted on the program as written, the same on every machine.

    ``memory`` is of this machine's processor and ``threads``, in bytes: ``packed`` weights in the
    layout of the kernels, other ``weights``, the ``arena`` between instructions, ``scratch``,
    ``inputs`` and ``results``. ``symbols`` are the values that all of it was counted for.
    """

    symbols: dict[str, int]
    gas: int
    flops: int
    bytes: int
    instructions: int
    weight_bytes: int
    memory: dict[str, int]
    threads: int

    @property
    def memory_bytes(self) -> int:
        """All of ``memory`` together, which may be resident at once."""
        return sum(self.memory.values())

    def as_dict(self) -> dict[str, Any]:
        """All of it by name."""
        return {**asdict(self), "memory_bytes": self.memory_bytes}


_MEMORY = ("packed", "weights", "arena", "scratch", "inputs", "results")


def quote(
    program: Program | Model | str | bytes, *, threads: int | None = None, **symbols: int
) -> Quote:
    """What a run costs with these values of the symbols: ``quote(program, B=8)``.

    ``program`` is a Program, a Model, or a program's text or binary form. A symbol without a value
    takes its largest. Raises InvalidArgument for a value outside its range or an unknown symbol.
    """
    if isinstance(program, str | bytes):
        program = Program.parse(program)
    elif not isinstance(program, Program):
        program = program.program
    largest = {symbol.name: symbol.max for symbol in program.symbols}
    count = thread_count(threads)
    counted = program._native.quote(symbols, count)
    memory = {name: counted.pop(name) for name in _MEMORY}
    return Quote(symbols={**largest, **symbols}, memory=memory, threads=count, **counted)


def verify(source: str | bytes) -> tuple[Finding, ...]:
    """All that is wrong with a program in text or binary form; nothing when it is right.

    A finding begins with its rule (``V12``) and names instruction, what was expected and what was
    found; ``line`` and ``column`` tell where in a text.
    """
    return tuple(Finding("", message, line, column)
                 for line, column, message in _vm.findings(_encoded(source)))  # fmt: skip


def isa() -> dict[str, Any]:
    """The instruction table, as ``bcai vm isa --json`` prints it."""
    table: dict[str, Any] = json.loads(_vm.isa())
    return table


def data_directory() -> Path:
    """Where weights are kept: ``BCAI_DATA_DIR``, or what the ``bcai`` program uses without it."""
    if given := os.environ.get("BCAI_DATA_DIR"):
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.geteuid() == 0 and not state:
        return Path("/var/lib/bcai")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "bcai"


def weight_store() -> Path:
    """Where weight files are kept by their digest: ``weights`` in the data directory, which the
    ``bcai`` program uses too (``BCAI_DATA_DIR``)."""
    return data_directory() / "weights"


def prepare(model: _vm.Model, symbols: Mapping[str, int], threads: int) -> _vm.Executable:
    """Compiled and packed. What is packed of files in the store is kept beside it, for the next
    executable and the next process."""
    packed = os.fspath(data_directory() / "packed") if model.is_stored else ""
    return model.prepare(symbols, threads, packed)


def _encoded(source: str | bytes) -> bytes:
    return source.encode() if isinstance(source, str) else source


def _read(path: str | os.PathLike[str]) -> bytes:
    size = os.path.getsize(path)
    if size > _PROGRAM_BYTES_MAX:
        raise InvalidArgument(
            f"{os.fspath(path)}: {size} bytes, a program has at most {_PROGRAM_BYTES_MAX}"
        )
    return Path(path).read_bytes()
