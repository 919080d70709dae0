# SPDX-License-Identifier: Apache-2.0
"""The virtual machine: verified tensor programs with the same bits on every processor.

    from bcai import vm

    b = vm.Builder()
    x = b.argument("x", "float32", [b.symbol("B", 1, 32), 4])
    program = b.finish(y=b.Relu(x))
    print(program.text())
    print(vm.quote(program, B=8).gas)
    (y,) = program.prepare(B=2).run([[1.0, -1.0, 0.0, 2.0]] * 2)

:class:`Builder` writes a :class:`Program`; :meth:`Program.prepare` makes an :class:`Executable` of
it. For single operations there is :class:`bcai.Tensor`, for models :class:`bcai.Model`.
"""

from bcai.vm.builder import Builder, Dim, Value
from bcai.vm.program import (
    Executable,
    Parameter,
    Program,
    Quote,
    Symbol,
    isa,
    quote,
    verify,
    weight_store,
)

__all__ = [
    "Builder",
    "Dim",
    "Executable",
    "Parameter",
    "Program",
    "Quote",
    "Symbol",
    "Value",
    "isa",
    "quote",
    "verify",
    "weight_store",
]
