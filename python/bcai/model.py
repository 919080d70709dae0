# SPDX-License-Identifier: Apache-2.0
"""Models that run on the VM of this machine.

    from bcai import Model

    model = Model.load("onnx://classifier.onnx")
    print(model.inputs, model.quote(batch=8).gas)
    scores = model.predict(images)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcai.errors import InvalidArgument, NotFound, Unimplemented
from bcai.model_files import find_model, is_huggingface, program_file, weight_files
from bcai.tensor import Tensor
from bcai.vm.eager import Recent
from bcai.vm.extension import _vm
from bcai.vm.program import (
    Parameter,
    Program,
    Quote,
    as_tensor,
    inputs_by_name,
    prepare,
    quote,
    thread_count,
    weight_store,
)

if TYPE_CHECKING:
    import numpy

_KEPT = 4  # executables; each has packed weights, which are shared where they are kept on disk


class Model:
    """A program with its weights, ready to predict. Immutable; any thread may use it.

    Its results have the same bits on every processor.
    """

    def __init__(self, native: _vm.Model) -> None:
        """For this package; use :meth:`load`."""
        self._native = native
        self._executables: Recent[_vm.Executable] = Recent(_KEPT)
        self.program = Program(native.program)
        """The program; ``print(model.program.text())`` shows it."""

    @classmethod
    def load(
        cls,
        address: str | os.PathLike[str],
        *,
        download: bool = False,
        weights: Sequence[str | os.PathLike[str]] = (),
        shapes: Mapping[str, Sequence[int]] | None = None,
        ranges: Mapping[str, Sequence[int]] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Model:
        """The model at ``address``:

        - ``onnx://PATH``: an ONNX model, imported. ``shapes`` gives whole shapes of inputs by name,
          ``ranges`` smallest and largest of a dimension that the model names (or ``"input_axis"``),
          perhaps with a step, ``values`` inputs that are constants instead.
        - ``file://PATH`` or a plain path: ``.onnx``; ``.bcvm`` or ``.bcasm`` with weight files
          beside it, as :meth:`save` writes them, or at ``weights``, or in the store by digest
          (:func:`bcai.vm.weight_store`, into which they are copied); or a directory of one such.
        - ``huggingface://NAME``: a model in the layout of Hugging Face, which is looked up on this
          machine: ``$BCAI_MODELS/NAME``, then Hugging Face's own cache. ``download=True`` fetches
          what is not there. Such a directory may be named by ``file://`` as well. ``ranges`` are of
          ``B``, the batch, and ``S``, the tokens. What comes is a
          :class:`~bcai.text_model.TextModel`, which takes text.

        Raises NotFound; InvalidArgument with all that is wrong with the model; Unimplemented with
        all that it uses and the VM does not have, or for another kind of address.
        """
        path = find_model(address, download)
        if is_huggingface(path):
            from bcai.text_model import TextModel

            if weights or shapes or values:
                raise InvalidArgument(f"{path}: weights, shapes and values are for other models")
            return TextModel._import(path, ranges or {}, weight_store())
        file = program_file(path)
        if file.suffix == ".onnx":
            if weights:
                raise InvalidArgument(f"{file}: weights are for programs; ONNX names its own")
            return cls(
                _vm.Model.import_onnx(
                    os.fspath(file),
                    {name: list(range_) for name, range_ in (ranges or {}).items()},
                    {name: list(shape) for name, shape in (shapes or {}).items()},
                    {
                        name: as_tensor(name, value)._buffer
                        for name, value in (values or {}).items()
                    },
                )
            )
        if shapes or ranges or values:
            raise InvalidArgument(f"{file}: shapes, ranges and values are for ONNX models")
        program = Program.load(file)
        files = [os.fspath(each) for each in weights or weight_files(file)]
        try:
            opened = _vm.Model.open(program._native, files, os.fspath(weight_store()))
        except NotFound as error:
            where = f"beside {file}, in {weight_store()}"
            raise NotFound(f"{error.message}: looked {where}; name it by weights=[…]") from None
        if path.is_dir() and (path / "config.json").exists():
            from bcai.text_model import TextModel

            return TextModel(opened, path)
        return cls(opened)

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """What :meth:`predict` takes: name, dtype, shape."""
        return self.program.arguments

    @property
    def outputs(self) -> tuple[Parameter, ...]:
        """What :meth:`predict` gives: name, dtype, shape."""
        return self.program.results

    def predict(
        self, *inputs: Any, threads: int | None = None, **named: Any
    ) -> numpy.ndarray[Any, Any] | dict[str, numpy.ndarray[Any, Any]]:
        """The outputs for these inputs: a numpy array, or a dict of them by name where the model
        has several.

        Inputs are in the order of :attr:`inputs`, by name, or one dict. Each is a Tensor, an array
        of any library (used where it is, not copied), or numbers in lists, which take the input's
        dtype; an array of another dtype is refused. Their shapes give the symbols their values; the
        last few combinations stay compiled. ``threads`` is one for each processor that this process
        may use, unless given; it changes no bit.

        Raises InvalidArgument for inputs that do not fit, all of them at once, and where the
        program ends the run (an index outside its table); ImportError without numpy.
        """
        results = {
            name: tensor.to_numpy()
            for name, tensor in self.run(*inputs, threads=threads, **named).items()
        }
        return results if len(results) > 1 else next(iter(results.values()))

    def run(self, *inputs: Any, threads: int | None = None, **named: Any) -> dict[str, Tensor]:
        """As :meth:`predict`: all outputs by name, as Tensors; needs no numpy."""
        names = [argument.name for argument in self.inputs]
        positional: Sequence[Any] = inputs
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            positional, named = (), {**inputs[0], **named}
        given = inputs_by_name(names, positional, named)
        tensors = [self._input(argument, given[argument.name]) for argument in self.inputs]
        native = self._executable([list(tensor.shape) for tensor in tensors], threads)
        results = native.run([tensor._buffer for tensor in tensors])
        return {
            output.name: Tensor._of(buffer)
            for output, buffer in zip(self.outputs, results, strict=True)
        }

    def quote(self, *, threads: int | None = None, **symbols: int) -> Quote:
        """What one run costs: ``model.quote(batch=8)``; see :func:`bcai.vm.quote`."""
        return quote(self.program, threads=threads, **symbols)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model so that :meth:`load` gives one with the same outputs, to the bit.

        ``path`` ends with ``.bcvm``, and the weights come beside it as ``.safetensors``; or it is a
        directory, made if need be, in which they are ``model.bcvm`` and ``model.safetensors``.
        """
        text = os.fspath(path)
        scheme, separator, rest = text.partition("://")
        if separator and scheme != "file":
            raise Unimplemented(
                f"{text}: a model is saved to a path of this machine (NAME.bcvm or a directory); "
                "copy the files from there"
            )
        target = Path(rest if separator else text).expanduser()
        if target.suffix == ".bcvm" and not target.is_dir():
            self._native.save(os.fspath(target))
            return
        if target.exists() and not target.is_dir():
            raise InvalidArgument(f"{text}: expected a name that ends with .bcvm, or a directory")
        target.mkdir(parents=True, exist_ok=True)
        self._native.save(os.fspath(target / "model.bcvm"))

    def _input(self, argument: Parameter, value: Any) -> Tensor:
        if isinstance(value, int | float | list | tuple):
            try:
                return Tensor(value, dtype=argument.dtype)
            except InvalidArgument as error:
                raise InvalidArgument(f"input {argument.name!r}: {error.message}") from None
        tensor = as_tensor(argument.name, value)
        if tensor.dtype != argument.dtype:
            raise InvalidArgument(
                f"input {argument.name!r} is {tensor.dtype}, expected {argument.dtype}: cast it"
            )
        return tensor

    def _executable(self, shapes: list[list[int]], threads: int | None) -> _vm.Executable:
        count = thread_count(threads)
        symbols = self._native.program.binding_of(shapes)
        key = (count, *sorted(symbols.items()))
        return self._executables.get(key, lambda: prepare(self._native, symbols, count))

    def __repr__(self) -> str:
        """Inputs and outputs."""
        inside = ", ".join(map(str, self.inputs))
        outside = ", ".join(map(str, self.outputs))
        return f"<Model ({inside}) -> ({outside})>"
