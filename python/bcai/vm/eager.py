# SPDX-License-Identifier: Apache-2.0
"""Single instructions, each compiled once for its operands' types and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from bcai.errors import InvalidArgument
from bcai.vm.extension import _vm
from bcai.vm.program import prepare, thread_count, weight_store

Stated = tuple[str, tuple[int, ...]]
T = TypeVar("T")

_SMALL_MAX = 512  # kept executables of one thread
_LARGE_MAX = 16  # and of several, each of which holds its threads
_LARGE_WORK = 1 << 22  # FLOPs or bytes from which on several threads are worth it


class Recent(Generic[T]):
    """The last ``count`` things that were made, by what they were made of. Any thread."""

    def __init__(self, count: int) -> None:
        """At most ``count``; the one that was not asked for longest goes first."""
        self._count = count
        self._lock = threading.Lock()
        self._things: OrderedDict[Hashable, T] = OrderedDict()

    def find(self, key: Hashable) -> T | None:
        """The thing, which is the youngest then."""
        with self._lock:
            found = self._things.get(key)
            if found is not None:
                self._things.move_to_end(key)
            return found

    def add(self, key: Hashable, thing: T) -> None:
        """Keeps it, and lets go of the oldest if there are too many."""
        with self._lock:
            self._things[key] = thing
            self._things.move_to_end(key)
            if len(self._things) > self._count:
                self._things.popitem(last=False)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing, made if it is not there. Two threads may make it both."""
        found = self.find(key)
        if found is None:
            found = make()
            self.add(key, found)
        return found


_small: Recent[_vm.Executable] = Recent(_SMALL_MAX)
_large: Recent[_vm.Executable] = Recent(_LARGE_MAX)


def run_instruction(
    instruction: str,
    operands: Sequence[_vm.Buffer | None],
    attributes: Mapping[str, Any],
    stated: Stated | None = None,
) -> list[_vm.Buffer]:
    """The results of one instruction. ``stated`` is dtype and shape, for those that take them.

    Raises InvalidArgument with what the instruction expected and found.
    """
    types = tuple(None if each is None else (each.dtype, each.shape) for each in operands)
    words = tuple(
        (name, tuple(value) if isinstance(value, list | tuple) else value)
        for name, value in sorted(attributes.items())
    )
    # 1, 1.0 and True are equal, and not the same attribute.
    kinds = tuple(type(value) for _, value in words)
    key = (instruction, types, words, kinds, stated)
    executable = _small.find(key) or _large.find(key)
    if executable is None:
        executable = _compiled(key, instruction, types, attributes, stated)
    return executable.run([each for each in operands if each is not None])


def _compiled(
    key: Hashable,
    instruction: str,
    types: Sequence[tuple[str, tuple[int, ...]] | None],
    attributes: Mapping[str, Any],
    stated: Stated | None,
) -> _vm.Executable:
    builder = _vm.Builder()
    values = [
        None if each is None else builder.argument(f"a{i}", each[0], list(each[1]), False)
        for i, each in enumerate(types)
    ]
    form = None if stated is None else (stated[0], list(stated[1]))
    try:
        results = builder.add(instruction, values, dict(attributes), form)
    except TypeError as error:
        raise InvalidArgument(f"{instruction}: {error}") from None
    program = builder.finish([(f"y{i}", value) for i, value in enumerate(results)])
    cost = program.quote({}, 1)
    large = max(cost["flops"], cost["bytes"]) >= _LARGE_WORK
    model = _vm.Model.open(program, [], str(weight_store()))
    executable = prepare(model, {}, thread_count() if large else 1)
    (_large if large else _small).add(key, executable)
    return executable
