# SPDX-License-Identifier: Apache-2.0
"""Programs written with the builder, quoted and run."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bcai import InvalidArgument, Model, NotFound, Tensor, vm
from built_module import MODULE, ROOT

BCAI = os.environ.get("BCAI_PROGRAM", str(MODULE.parents[1] / "src" / "cli" / "bcai"))
RNG = np.random.default_rng(3)
W = RNG.standard_normal((10, 784)).astype(np.float32)


def classifier() -> vm.Program:
    b = vm.Builder()
    x = b.argument("x", "float32", [b.symbol("B", 1, 32), 784])
    w = b.argument("w", "float32", [10, 784])
    return b.finish(y=b.Softmax(b.TensorMatMul(x, w, transpose_b=True), axis=1))


TEXT = """bcvm 1.0 profile n1
sym B in [1,32]

func @main(%x: f32[B,784], %w: f32[10,784]) -> (%y: f32[B,10]) {
  %2 = TensorMatMul %x, %w {transpose_b=1} : f32[B,10]
  %3 = Softmax %2 {axis=1} : f32[B,10]
  return %3
}
"""


def test_a_program_in_all_its_forms(tmp_path: Path) -> None:
    program = classifier()
    assert program.text() == TEXT
    assert vm.Program.parse(TEXT) == program == vm.Program.parse(program.encode())
    for name in ("p.bcvm", "p.bcasm"):
        program.save(tmp_path / name)
        assert vm.Program.load(tmp_path / name).identity == program.identity
        shown = subprocess.check_output([BCAI, "vm", "verify", tmp_path / name, "--json"])
        assert json.loads(shown)["program"] == program.identity
    assert program.symbols == (vm.Symbol("B", 1, 32),)
    assert program.arguments[0] == vm.Parameter("x", "float32", ("B", 784))
    assert str(program.results[0]) == "y: float32[B, 10]"
    assert repr(program).startswith("<Program (x: float32[B, 784], w: ")


@pytest.mark.parametrize("threads", [1, 3])
def test_running(threads: int) -> None:
    program = classifier()
    executable = program.prepare(B=5, threads=threads)
    x = RNG.standard_normal((5, 784)).astype(np.float32)
    (found,) = executable.run(x, w=W)
    z = x.astype(np.float64) @ W.T.astype(np.float64)
    exact = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(found.to_numpy(), exact / exact.sum(1, keepdims=True), 1e-3, 1e-7)
    assert executable(Tensor(x), Tensor(W))[0].to_numpy().tobytes() == found.to_numpy().tobytes()
    eager = (Tensor(x) @ Tensor(W).T).softmax(axis=1)
    assert eager.to_numpy().tobytes() == found.to_numpy().tobytes()
    assert "TensorMatMul" in executable.explain()
    assert executable.memory == program.quote(B=5, threads=threads).memory


def test_the_quote_is_the_programs(tmp_path: Path) -> None:
    program = classifier()
    quote = vm.quote(program, B=8)
    program.save(tmp_path / "p.bcvm")
    command = [BCAI, "vm", "quote", tmp_path / "p.bcvm", "--symbol", "B=8", "--json"]
    told = json.loads(subprocess.check_output([*command, "--threads", str(quote.threads)]))
    for name in ("gas", "flops", "bytes", "instructions", "weight_bytes", "memory", "memory_bytes",
                 "symbols", "threads"):  # fmt: skip
        assert quote.as_dict()[name] == getattr(quote, name) == told[name]
    # The product's operations with its bias, and softmax's 20 for each element.
    assert quote.flops == 8 * 10 * (2 * 784 + 1) + 20 * 8 * 10
    assert quote.memory["inputs"] == 4 * (8 * 784 + 784 * 10)
    assert quote.memory["results"] == 4 * 8 * 10
    assert vm.quote(TEXT) == program.quote(B=32)
    with pytest.raises(InvalidArgument, match="B"):
        vm.quote(program, B=33)
    with pytest.raises(InvalidArgument, match="C"):
        vm.quote(program, C=1)


def test_states() -> None:
    b = vm.Builder()
    cache = b.argument("cache", "float32", [1, 4, 2], state=True)
    x = b.argument("x", "float32", [1, 1, 2])
    position = b.argument("position", "int32", [])
    rows, after = b.KVCacheRead(b.KVCacheAppend(cache, x, position))
    executable = b.finish(rows=rows, cache=after).prepare()
    state = np.zeros((1, 4, 2), np.float32)
    one = np.ones((1, 1, 2), np.float32)
    read, new = executable(state, one, np.int32(2))
    assert state.sum() == 0 and new[0, 2].tolist() == [1, 1]
    read, new = executable.run(state, one, np.int32(1), states_in_place=True)
    assert state[0, 1].tolist() == [1, 1] and new.to_numpy().ctypes.data == state.ctypes.data
    state.flags.writeable = False
    with pytest.raises(InvalidArgument, match="state 'cache' is read-only"):
        executable.run(state, one, np.int32(1), states_in_place=True)
    with pytest.raises(InvalidArgument, match="KVCacheAppend"):
        executable(state, one, np.int32(4))


def test_states_in_place_lie_apart() -> None:
    b = vm.Builder()
    position = b.argument("position", "int32", [])
    given = {}
    for name in ("k", "v"):
        state = b.argument(name, "float32", [1, 4, 2], state=True)
        given[name] = state, b.argument(f"{name}_x", "float32", [1, 1, 2])
    made = {name: b.KVCacheAppend(state, x, position) for name, (state, x) in given.items()}
    executable = b.finish(**made).prepare()
    state, one = np.zeros((1, 4, 2), np.float32), np.ones((1, 1, 2), np.float32)
    with pytest.raises(InvalidArgument, match="'k' and 'v' overlap"):
        executable.run(np.int32(0), state, one, state, one, states_in_place=True)
    with pytest.raises(InvalidArgument, match="'k' and 'k_x' overlap"):
        executable.run(np.int32(0), state, state[:, 3:], state.copy(), one, states_in_place=True)
    assert not state.any()
    assert executable(np.int32(0), state, one, state, one)[1][0, 0].tolist() == [1, 1]


def test_a_signal_ends_a_long_run() -> None:
    """The state is written last, so it tells whether the run went on to its end."""
    b = vm.Builder()
    state = b.argument("state", "float32", [1, 1, 512], state=True)
    x = y = b.argument("x", "float32", [1, 512, 512])
    position = b.argument("position", "int32", [])
    for _ in range(400):  # half a second and more, where a run below 100 ms hears no signal
        y = b.Tanh(b.TensorMatMul(x, y))
    row = b.Slice(y, shape=[1, 1, 512], starts=[0, 0, 0])
    appended = b.KVCacheAppend(state, row, position)
    executable = b.finish(state=appended).prepare()
    given = np.full((1, 1, 512), 7, np.float32)
    inputs = [given, np.eye(512, dtype=np.float32)[None], np.int32(0)]

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            executable.run(*inputs, states_in_place=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (given == 7).all()
    (after,) = executable.run(*inputs, states_in_place=True)
    assert (after.to_numpy() == given).all() and (given != 7).all()


def test_constants_and_many_results() -> None:
    b = vm.Builder()
    x = b.argument("x", "i64", [6])
    first, second = b.Split(x, sizes=[2, 4])
    program = b.finish(
        first=b.Add(first, b.constant([10, 20])), second=second,
        filled=b.Fill(dtype="int64", shape=[2], int_value=3), wide=b.Cast(x, dtype="float32"),
        joined=b.Concat(first, second, first),
    )  # fmt: skip
    found = program.prepare()(np.arange(6))
    assert [each.tolist() for each in found] == [
        [10, 21], [2, 3, 4, 5], [3, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 0, 1],
    ]  # fmt: skip


def test_dimensions() -> None:
    b = vm.Builder()
    n = b.symbol("N", 2, 16, multiple_of=2)
    x = b.argument("x", "float32", [n, 2 * n + 1])
    assert (str(x.shape[1]), x.shape[0] == n, n != n + 1) == ("2*N + 1", True, True)
    assert [str(each) for each in (n + 1, 1 + n, n * 3, n - 1, (n + 1) // 2, n * n)] == [
        "N + 1", "N + 1", "3*N", "N - 1", "floor_div(N + 1, 2)", "N*N",
    ]  # fmt: skip
    flat = b.Reshape(x, shape=[n * (2 * n + 1)])
    assert flat.dtype == "float32" and repr(flat) == "<Value float32[2*N*N + N]>"
    half = b.Slice(x, shape=[n, n], starts=[0, n + 1])
    given = np.arange(10, dtype=np.float32).reshape(2, 5)
    found, _ = b.finish(half=half, flat=flat).prepare(N=2)(given)
    assert found.tolist() == [[3, 4], [8, 9]]
    assert len({n, n + 0, n + 1}) == 2
    with pytest.raises(InvalidArgument, match="two builders"):
        n + vm.Builder().symbol("M", 1, 2)
    with pytest.raises(InvalidArgument, match="another builder"):
        vm.Builder().argument("x", "float32", [n])


def wrong(build: Callable[[vm.Builder, vm.Value, vm.Value], Any]) -> str:
    b = vm.Builder()
    a = b.argument("a", "float32", [2, 3])
    i = b.argument("i", "int32", [2])
    with pytest.raises(InvalidArgument) as refused:
        build(b, a, i)
    b.finish(y=b.Relu(a))  # the builder goes on
    return str(refused.value)


@pytest.mark.parametrize(("build", "message"), [
    (lambda b, a, i: b.TensorMatMul(a, a), "TensorMatMul: a has 3 columns, b has 2 rows (V12)"),
    (lambda b, a, i: b.Add(a, i), "Add: operand 1 (b) is i32, expected f32"),
    (lambda b, a, i: b.Softmax(a, axis=2), "Softmax: axis 2 of 2 axes"),
    (lambda b, a, i: b.Softmax(a, axis=9), "Softmax: axis is 9, expected 0 to 7"),
    (lambda b, a, i: b.Softmax(a, axis=1.5), "Softmax: attribute axis: expected an integer"),
    (lambda b, a, i: b.Softmax(a, axis=0, log=1), "attribute log: expected True or False, found 1"),
    (lambda b, a, i: b.Clamp(a, min=0, max="x"), "attribute max: expected a number, found 'x'"),
    (lambda b, a, i: b.Compare(a, a, predicate="eqq"), "expected one of 'eq', 'ne'"),
    (lambda b, a, i: b.Transpose(a, permutation=[0.5]), "expected a list of integers"),
    (lambda b, a, i: b.Split(a, sizes=["x"]), "expected a list of dimensions"),
    (lambda b, a, i: b.Reshape(a, shape=[7]), "f32[2,3] has 6 elements, f32[7] has 7"),
    (lambda b, a, i: b.Relu(None), "Relu"),
    (lambda b, a, i: b.Relu(3), "expected a Value, found 3: constant()"),
    (lambda b, a, i: b.Relu(vm.Builder().argument("x", "f32", [1])), "belongs to another builder"),
    (lambda b, a, i: b.argument("a", "f32", []), "argument 'a' is there already"),
    (lambda b, a, i: b.argument("c", "f64", []), "dtype 'f64'"),
    (lambda b, a, i: b.constant(np.zeros(20000, np.float32)), "a constant of 80000 bytes"),
    (lambda b, a, i: b.finish(), "at least one result"),
    (lambda b, a, i: b.Fill(dtype="uint8", shape=[2], int_value=300), "int_value 300 does not fit"),
])  # fmt: skip
def test_the_builder_refuses_with_what_it_found(
    build: Callable[[vm.Builder, vm.Value, vm.Value], Any], message: str
) -> None:
    assert message in wrong(build)


def test_arguments_come_first() -> None:
    b = vm.Builder()
    b.Fill(dtype="float32", shape=[2])
    with pytest.raises(InvalidArgument, match="arguments come before the first instruction"):
        b.argument("x", "float32", [2])


def test_verify_finds_everything() -> None:
    assert vm.verify(TEXT) == () == vm.verify(classifier().encode())
    bad = TEXT.replace("f32[B,10] {\n", "f32[B,11] {\n").replace("{axis=1}", "{axis=2}")
    bad = bad.replace("f32[B,10]\n  %3", "f32[B,12]\n  %3")
    findings = vm.verify(bad)
    assert [finding.line for finding in findings] == [5, 6]
    assert "V18: main, instruction 0 (TensorMatMul)" in findings[0].message
    assert "V13: main, instruction 1 (Softmax)" in findings[1].message
    assert vm.verify("nonsense")[0].line == 1
    (broken,) = vm.verify(classifier().encode()[:-3])
    assert "byte" in broken.message
    with pytest.raises(InvalidArgument) as refused:
        vm.Program.parse(bad)
    assert "V13" in str(refused.value) and "V18" in str(refused.value)


def test_inputs_are_checked_by_name(tmp_path: Path) -> None:
    executable = classifier().prepare(B=2)
    x = np.zeros((2, 784), np.float32)
    for inputs, named, message in [
        ((x,), {}, "input 'w' is missing"), ((x, W, W), {}, "3 inputs, expected at most 2"),
        ((x,), {"x": x, "w": W}, "input 'x' is given twice"),
        ((), {"z": x}, "there is no input 'z'; input 'x' is missing; input 'w' is missing"),
        ((x[:1].copy(), W), {}, "input 'x' is f32[1,784], expected f32[2,784]"),
        ((x.astype(np.float64), W), {}, "input 'x': the array is float64"),
    ]:  # fmt: skip
        with pytest.raises(InvalidArgument) as refused:
            executable.run(*inputs, **named)
        assert message in str(refused.value)
    with pytest.raises(InvalidArgument, match="B"):
        classifier().prepare()
    with pytest.raises(InvalidArgument, match="threads is 0"):
        classifier().prepare(B=1, threads=0)
    with pytest.raises(FileNotFoundError):
        vm.Program.load(tmp_path / "none.bcvm")


def test_weights_are_files_by_digest(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": W}, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    text = (
        "bcvm 1.0 profile n1\n"
        f"weights w sha256:{hashlib.sha256(content).hexdigest()} size {len(content)}\n"
        "func @main(%x: f32[1,784]) -> (%y: f32[1,10]) {\n"
        '  %w = Param w "w" : f32[10,784]\n'
        "  %y = TensorMatMul %x, %w {transpose_b=1} : f32[1,10]\n  return %y\n}\n"
    )
    program = vm.Program.parse(text)
    x = np.ones((1, 784), np.float32)
    with pytest.raises(NotFound, match="weight file 'w' .* is missing"):
        program.prepare()
    (found,) = program.prepare(weights=[tmp_path / "w.safetensors"])(x)
    np.testing.assert_allclose(found.to_numpy(), x @ W.T, 1e-4, 1e-4)
    (tmp_path / "w.safetensors").unlink()
    (again,) = program.prepare()(x)  # out of the store
    assert again.to_numpy().tobytes() == found.to_numpy().tobytes()
    assert (vm.weight_store() / hashlib.sha256(content).hexdigest()).exists()
    packed = vm.weight_store().parent / "packed"
    assert [path for path in packed.rglob("*") if path.is_file()]
    assert program.quote().weight_bytes == W.nbytes


def test_weights_of_the_builder_make_a_model(tmp_path: Path) -> None:
    b = vm.Builder()
    x = b.argument("x", "float32", [b.symbol("B", 1, 8), 784])
    y = b.TensorMatMul(x, b.weight("w", W), b.weight("bias", np.ones(10, np.float32)),
                       transpose_b=True, activation="relu")  # fmt: skip
    model = b.model(y=y)
    x = RNG.standard_normal((3, 784)).astype(np.float32)
    found = model.predict(x)
    np.testing.assert_allclose(found, np.maximum(x @ W.T + 1, 0), 1e-4, 1e-4)
    model.save(tmp_path / "m.bcvm")
    again = Model.load(tmp_path / "m.bcvm")
    assert again.program == model.program and again.predict(x).tobytes() == found.tobytes()
    with pytest.raises(InvalidArgument, match=r"model\(\) gives both"):
        b.finish(y=y)
    with pytest.raises(InvalidArgument, match="weight 'w' is there already"):
        b.weight("w", W + 1)


def test_the_instructions_are_those_of_the_table() -> None:
    table = subprocess.check_output([BCAI, "vm", "isa", "--json"])
    assert json.loads(table) == vm.isa()
    command = [sys.executable, ROOT / "tools" / "instructions.py"]
    printed = subprocess.run(command, input=table, capture_output=True, check=True).stdout.decode()
    page = ROOT / "python" / "bcai" / "vm" / "instructions.py"
    assert page.read_text() == printed, "bcai vm isa --json | python3 tools/instructions.py"


def test_the_stub_is_the_modules() -> None:
    command = [sys.executable, ROOT / "tools" / "vm_stub.py", str(MODULE)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert (ROOT / "python" / "bcai" / "_vm.pyi").read_text() == printed, "tools/vm_stub.py"


def test_every_instruction_has_a_method_with_its_operands() -> None:
    left_out = {"Param", "Const", "Repeat", "Cond", "Call", "Return"}
    for one in vm.isa()["instructions"]:
        if one["name"] in left_out:
            continue
        parameters = inspect.signature(getattr(vm.Builder, one["name"])).parameters
        for spec in [*one["operands"], *one["attributes"]]:
            assert spec["name"] in parameters
