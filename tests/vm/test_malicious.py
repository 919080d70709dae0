# SPDX-License-Identifier: Apache-2.0
"""Programs made to hurt, each refused before it runs by the rule that is named here.

The rules are those of docs/formats/verification.md. Indices are data: an index bomb is caught while
it runs. Hostile files are in src/vm/{binary/binary,onnx/import,weights/weights}_test.cc.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from native_program import Machine, Refused, bcai_vm

HEAD = "bcvm 1.0 profile n1\n"


def program(body: str, arguments: str = "%x: f32[4]", symbols: str = "") -> str:
    """Of one statement that makes %y, which main does not return: only `body` can be wrong."""
    return f"{HEAD}{symbols}func @main({arguments}) -> () {{\n  {body}\n  return\n}}\n"


def repeats(depth: int, trip: int) -> str:
    inner = f"%r0 = Repeat %a0 {{trip=[{trip}]}} (%b0: f32[4]) {{ return %b0 }} : f32[4]"
    for level in range(1, depth):
        inner = inner.replace("%a0", f"%c{level}", 1)
        inner = (f"%r{level} = Repeat %a0 {{trip=[{trip}]}} (%c{level}: f32[4]) {{\n{inner}\n"
                 f"return %r{level - 1} }} : f32[4]")
    return inner.replace("%a0", "%x", 1)


def calls(*edges: tuple[str, str]) -> str:
    """Functions of no arguments, `a` calling `b` for each edge."""
    return HEAD + "".join(
        f"func @{caller}() -> () {{\n  Call @{callee}\n  return\n}}\n" for caller, callee in edges)


BIG = 2**31 - 1
PROGRAMS = {
    # Huge shapes.
    "dimension": ("V7", program("%y = Fill {value=0x0p+0} : f32[2147483648]")),
    "elements": ("V7", program("%y = Fill {value=0x0p+0} : f32[2147483647,1024]")),
    "negative": ("V7", program("%y = Fill {value=0x0p+0} : f32[-1]")),
    "argument": ("V7", program("%y = Neg %x : f32[2147483647,2147483647]",
                               "%x: f32[2147483647,2147483647]")),
    "symbol": ("V7", program("%y = Neg %x : f32[N]", "%x: f32[N]",
                             "sym N in [1,9223372036854775807]\n")),
    "broadcast": ("V7", program(f"%y = Broadcast %x : f32[{BIG},{BIG},4]")),
    "open product": ("V7", program(
        "%y = Broadcast %x : f32[N,N,N,4]", symbols="sym N in [1,100000]\n")),
    # Products and sums that overflow 64 bits.
    "product": ("V7", program(f"%y = Fill {{value=0x0p+0}} : f32[{','.join([str(BIG)] * 8)}]")),
    "polynomial": ("V7", program("%y = Fill {value=0x0p+0} : f32[9223372036854775807*N]",
                                 symbols="sym N in [2,4]\n")),
    "pad": ("V19", program(f"%y = Pad %x {{low=[{2**62}], high=[{2**62}]}} : f32[4]")),
    "dilation": ("V19", program(
        f"%y = ConvolutionForward %x, %w {{dilations=[{2**40},1]}} : f32[1,1,1,1]",
        "%x: f32[1,1,8,8], %w: f32[1,1,3,3]")),
    "reshape": ("V10", program(f"%y = Reshape %x : f32[{BIG}]")),
    "matmul": ("V12", program("%y = TensorMatMul %x, %x : f32[4,4]", "%x: f32[4,5]")),
    "slice": ("V19", program(f"%y = Slice %x {{starts=[0], steps=[{2**62}]}} : f32[4]")),
    "concat": ("V7", program(
        "%y = Concat %x, %x {axis=0} : f32[4]", f"%x: f32[{BIG}]")),
    # Calls and trips.
    "calls itself": ("V20", calls(("main", "main"))),
    "calls in a ring": ("V20", calls(("main", "a"), ("a", "b"), ("b", "a"))),
    "calls main": ("V20", calls(("main", "a"), ("a", "main"))),
    "trip": ("V7", program(repeats(1, 2**31))),
    "nested trips": ("V30", program(repeats(2, BIG))),
    "nesting": ("V5", program(repeats(9, 2))),
    # Attributes.
    "NaN": ("V19", program("%y = Clamp %x {min=nan, max=0x1p+0} : f32[4]")),
    "infinity": ("V19", program("%y = Clamp %x {min=0x0p+0, max=inf} : f32[4]")),
    "NaN epsilon": ("V19", program("%y = RMSNorm %x, %x {epsilon=nan} : f32[4]")),
    "axis": ("V13", program("%y = Softmax %x {axis=1} : f32[4]")),
    "axes": ("V13", program("%y = ReduceSum %x {axes=[0,0]} : f32[]")),
    # States.
    "forked state": ("V23", program(
        "%a, %b = Split %s {axis=1, sizes=[4,4]} : f32[1,4,2], f32[1,4,2]",
        "%s: state<f32[1,8,2]>")),
    "weights": ("V6", HEAD + f"weights w sha256:{'0' * 64} size {2**62}\n"
                "func @main() -> () {\n  return\n}\n"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_refused(name: str, tmp_path: Path) -> None:
    rule, text = PROGRAMS[name]
    (tmp_path / "program.bcasm").write_text(text)
    with pytest.raises(Refused) as refused:
        bcai_vm(tmp_path, "quote", "program.bcasm")
    assert re.search(rf"\b{rule}\b", str(refused.value)), refused.value


TABLE = np.arange(8, dtype=np.float32).reshape(4, 2)
BOMBS = [np.iinfo(np.int64).max, np.iinfo(np.int64).min, 4, -1, 2**32]


@pytest.mark.parametrize("options", [[], ["--reference"]], ids=["kernels", "reference"])
@pytest.mark.parametrize("index", BOMBS)
@pytest.mark.parametrize("instruction", ["Gather", "EmbeddingLookup"])
def test_an_index_outside_is_a_trap(
    machine: Machine, instruction: str, index: int, options: list[str]
) -> None:
    attributes = " {axis=0}" if instruction == "Gather" else ""
    text = (f"{HEAD}func @main(%t: f32[4,2], %i: i64[3]) -> (%y: f32[3,2]) {{\n"
            f"  %y0 = {instruction} %t, %i{attributes} : f32[3,2]\n  return %y0\n}}\n")
    inputs = {"t": TABLE, "i": np.array([0, index, 1])}
    with pytest.raises(Refused, match=rf"{index}.*(0 to 3|V15)"):
        machine.run(text, inputs, options)
