# SPDX-License-Identifier: Apache-2.0
"""``result.outputs``: the values a job left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bcai.errors import OutputMissing
from bcai.records import ResultRecord
from bcai.tensors import RawTensor, to_numpy


class Outputs(Mapping[str, Any]):
    """Values by name: plain JSON values as they are, arrays and tensors as numpy arrays.

    The arrays are fetched together when the first of them is asked for. ``tensors`` tells their
    dtypes and shapes without that, ``left_out`` what was not carried and why.
    """

    def __init__(self, record: ResultRecord, load: Callable[[], dict[str, RawTensor]]) -> None:
        self.tensors = {tensor.name: tensor for tensor in record.tensors}
        self.left_out = dict(record.left_out)
        self._values = dict(record.outputs)
        self._load = load
        self._loaded: dict[str, RawTensor] | None = None

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self.tensors:
            if self._loaded is None:
                self._loaded = self._load()
            if name in self._loaded:
                return to_numpy(name, self._loaded[name])
            raise OutputMissing(f"output {name!r} is announced, but 'outputs.safetensors' lacks it")
        if name in self.left_out:
            raise OutputMissing(f"output {name!r} was left out: {self.left_out[name]}")
        names = ", ".join(sorted(self)) or "none"
        raise OutputMissing(f"the job left no output {name!r}; there are: {names}")

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self.tensors

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        yield from (name for name in self.tensors if name not in self._values)

    def __len__(self) -> int:
        return len(self._values.keys() | self.tensors.keys())

    def __repr__(self) -> str:
        parts = [f"{name!r}: {value!r}" for name, value in self._values.items()]
        parts += [
            f"{name!r}: <{tensor.dtype} {list(tensor.shape)}>"
            for name, tensor in self.tensors.items()
            if name not in self._values
        ]
        return "Outputs({" + ", ".join(parts) + "})"
