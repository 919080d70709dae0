# SPDX-License-Identifier: Apache-2.0
"""Programs with control flow and states, and the commands that read programs."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from native_program import BCAI, Machine, Refused

ROOT = Path(__file__).parents[2]


def test_repeat_until(machine: Machine) -> None:
    """Doubles until the sum passes a limit, at most 100 times."""
    text = """bcvm 1.0 profile n1
func @main(%x: f32[4], %limit: f32[]) -> (%y: f32[4]) {
  %r = Repeat %x {trip=[100], until=1} (%c: f32[4]) {
    %d = Add %c, %c : f32[4]
    %s = ReduceSum %d {axes=[0]} : f32[]
    %p = Compare %s, %limit {predicate=gt} : bool[]
    return %p, %d
  } : f32[4]
  return %r
}
"""
    x = np.array([1, 2, 3, 4], np.float32)
    out = machine.run(text, {"x": x, "limit": np.array(1000, np.float32)})
    np.testing.assert_array_equal(out["y"], x * 128)


@pytest.mark.parametrize("holds", [True, False])
def test_cond_and_call(machine: Machine, holds: bool) -> None:
    text = """bcvm 1.0 profile n1
func @main(%p: bool[], %x: f32[3]) -> (%y: f32[3]) {
  %r = Cond %p {
    %a = Call @square %x : f32[3]
    return %a
  } {
    %b = Neg %x : f32[3]
    return %b
  } : f32[3]
  return %r
}
func @square(%v: f32[3]) -> (%w: f32[3]) {
  %s = Mul %v, %v : f32[3]
  return %s
}
"""
    x = np.array([1, -2, 3], np.float32)
    out = machine.run(text, {"p": np.array(holds), "x": x})
    np.testing.assert_array_equal(out["y"], x * x if holds else -x)


CACHE = """bcvm 1.0 profile n1
sym S in [1,8]
func @main(%q: f32[1,S,8], %k: f32[1,S,8], %v: f32[1,S,8], %keys: state<f32[1,8,8]>, \
%values: state<f32[1,8,8]>, %position: i32[], %length: i32[]) -> \
(%y: f32[1,S,8], %new_keys: state<f32[1,8,8]>, %new_values: state<f32[1,8,8]>) {
  %a = KVCacheAppend %keys, %k, %position : state<f32[1,8,8]>
  %b = KVCacheAppend %values, %v, %position : state<f32[1,8,8]>
  %kt, %ks = KVCacheRead %a : f32[1,8,8], state<f32[1,8,8]>
  %vt, %vs = KVCacheRead %b : f32[1,8,8], state<f32[1,8,8]>
  %y0 = TransformerAttention %q, %kt, %vt, _, %length {heads=2, scale=0x1p-1, causal=1} : f32[1,S,8]
  return %y0, %ks, %vs
}
"""


def test_decoding_token_by_token_has_the_bits_of_the_prefill(machine: Machine) -> None:
    random = np.random.default_rng(3)
    q, k, v = (random.standard_normal((1, 8, 8)).astype(np.float32) for _ in range(3))
    zeros = np.zeros((1, 8, 8), np.float32)

    def run(first: int, last: int, keys: np.ndarray, values: np.ndarray) -> dict:
        return machine.run(
            CACHE,
            {
                "q": q[:, first:last],
                "k": k[:, first:last],
                "v": v[:, first:last],
                "keys": keys,
                "values": values,
                "position": np.array(first, np.int32),
                "length": np.array(last, np.int32),
            },
        )

    whole = run(0, 8, zeros, zeros)
    keys, values, rows = zeros, zeros, []
    for i in range(8):
        step = run(i, i + 1, keys, values)
        keys, values = step["new_keys"], step["new_values"]
        rows.append(step["y"])
    assert np.concatenate(rows, 1).tobytes() == whole["y"].tobytes()
    assert keys.tobytes() == whole["new_keys"].tobytes()


def test_an_append_past_the_end_is_a_trap(machine: Machine) -> None:
    row = np.zeros((1, 2, 8), np.float32)
    state = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(Refused, match="2 rows at position 7 leave the state's 8"):
        machine.run(
            CACHE,
            {"q": row, "k": row, "v": row, "keys": state, "values": state,
             "position": np.array(7, np.int32), "length": np.array(8, np.int32)},
        )  # fmt: skip


LINEAR = """bcvm 1.0 profile n1
sym B in [1,64]
func @main(%x: f32[B,16], %w: f32[16,4]) -> (%y: f32[B,4]) {
  %p = TensorMatMul %x, %w {activation=relu} : f32[B,4]
  return %p
}
"""


def bcai(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BCAI, "vm", *map(str, words)], input=stdin, capture_output=True, text=True
    )


def test_text_binary_and_back(tmp_path: Path) -> None:
    (tmp_path / "linear.bcasm").write_text(LINEAR)
    assert bcai("as", tmp_path / "linear.bcasm").returncode == 0
    text = bcai("dis", tmp_path / "linear.bcvm").stdout
    (tmp_path / "again.bcasm").write_text(text)
    assert bcai("as", tmp_path / "again.bcasm", "-o", tmp_path / "again.bcvm").returncode == 0
    first, second = (tmp_path / name for name in ("linear.bcvm", "again.bcvm"))
    assert first.read_bytes() == second.read_bytes()
    identity = json.loads(bcai("verify", first, "--json").stdout)["program"]
    assert identity == json.loads(bcai("verify", "-", "--json", stdin=text).stdout)["program"]


def test_a_quote_counts_the_program_as_written(tmp_path: Path) -> None:
    quote = json.loads(bcai("quote", "-", "--symbol", "B=3", "--json", stdin=LINEAR).stdout)
    assert quote["flops"] == 2 * 3 * 16 * 4 + 3 * 4
    assert quote["gas"] == quote["flops"]
    assert quote["bytes"] == 4 * (3 * 16 + 16 * 4 + 3 * 4)
    largest = json.loads(bcai("quote", "-", "--json", stdin=LINEAR).stdout)
    assert largest["symbols"] == {"B": 64}
    assert largest["flops"] == 64 * (2 * 16 * 4 + 4)


def test_a_quote_says_memory_and_time_of_this_machine() -> None:
    quote = json.loads(
        bcai("quote", "-", "--symbol", "B=8", "--threads", "1", "--json", stdin=LINEAR).stdout
    )
    memory = quote["memory"]
    assert memory["inputs"] == 4 * (8 * 16 + 16 * 4)
    assert memory["results"] == 4 * 8 * 4
    assert memory["packed"] == memory["weights"] == 0
    assert quote["memory_bytes"] == sum(memory.values())
    assert quote["estimated_ms"] > 0
    assert quote["not_measured"] == []
    again = bcai("quote", "-", "--symbol", "B=8", "--threads", "1", stdin=LINEAR)
    assert "measuring" not in again.stderr
    assert "peak memory" in again.stdout and "time here" in again.stdout


def test_a_bench_times_runs() -> None:
    done = bcai("bench", "-", "--symbol", "B=8", "--runs", "5", "--threads", "1", "--json",
                stdin=LINEAR)
    bench = json.loads(done.stdout)
    assert bench["runs"] == 5
    assert 0 < bench["min_ms"] <= bench["median_ms"]
    table = bcai("bench", "-", "--threads", "1", stdin=LINEAR).stdout
    assert "20 runs" in table and "TensorMatMul" in table


def test_a_plan_says_what_runs_where_and_how_long() -> None:
    table = bcai("compile", "-", "--threads", "1", "--explain", stdin=LINEAR).stdout
    row = next(line for line in table.splitlines() if "TensorMatMul" in line).split()
    step, flops, _, microseconds, backend = row[:5]
    assert (step, int(flops), backend) == ("0", 64 * (2 * 16 * 4 + 4), "cpu")
    assert float(microseconds) > 0
    assert bcai("compile", "-", "--threads", "1", stdin=LINEAR).stdout.startswith("1 launches")


def test_a_results_name_stays_in_the_directory(tmp_path: Path) -> None:
    text = LINEAR.replace("%y: f32[B,4]", '%"../../y z": f32[B,4]')
    (tmp_path / "linear.bcasm").write_text(text)
    np.save(tmp_path / "x.npy", np.zeros((1, 16), np.float32))
    np.save(tmp_path / "w.npy", np.zeros((16, 4), np.float32))
    out = tmp_path / "a" / "out"
    done = bcai("run", tmp_path / "linear.bcasm", "--input", f"x={tmp_path / 'x.npy'}", "--input",
                f"w={tmp_path / 'w.npy'}", "--output-dir", out)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["%2E%2E%2F%2E%2E%2Fy%20z.npy"]
    assert not list(tmp_path.glob("*y z*"))


def test_every_finding_has_rule_and_place() -> None:
    wrong = LINEAR.replace("%w: f32[16,4]", "%w: f32[15,4]").replace("relu", "tanh")
    done = bcai("verify", "-", stdin=wrong)
    assert done.returncode == 2
    assert "V12: main, instruction 0 (TensorMatMul), 4:" in done.stderr
    assert "a has 16 columns, b has 15 rows" in done.stderr
    done = bcai("verify", "-", stdin=LINEAR.replace("TensorMatMul", "MatMul"))
    assert done.returncode == 2
    assert "4:" in done.stderr


def test_inputs_are_checked(machine: Machine) -> None:
    x, w = np.zeros((3, 16), np.float32), np.zeros((16, 4), np.float32)
    with pytest.raises(Refused, match="input 'w' is missing: --input w=FILE.npy"):
        machine.run(LINEAR, {"x": x})
    with pytest.raises(Refused, match=r"input x: \[3,15\], expected \[B,16\]"):
        machine.run(LINEAR, {"x": x[:, :15], "w": w})
    with pytest.raises(Refused, match="is 65, expected 1 to 64"):
        machine.run(LINEAR, {"x": np.zeros((65, 16), np.float32), "w": w})
    with pytest.raises(Refused, match=r"is i64\[16,4\], expected f32\[16,4\]"):
        machine.run(LINEAR, {"x": x, "w": w.astype(np.int64)})


VALUES = """bcvm 1.0 profile n1
sym N in [1,8]
func @main(%x: f32[], %k: i32[N]) -> (%y: f32[], %z: i32[N]) {
  %a = Neg %x : f32[]
  %b = Neg %k : i32[N]
  return %a, %b
}
"""


def test_inputs_as_numbers(machine: Machine) -> None:
    out = machine.run(VALUES, {}, ["--value", "x=1.5", "--value", "k=-3,4"])
    assert out["y"] == -1.5 and out["y"].shape == ()
    np.testing.assert_array_equal(out["z"], [3, -4])
    out = machine.run(VALUES, {"x": np.array(2, np.float32)}, ["--value", "k=5"])
    assert out["z"].tolist() == [-5]


@pytest.mark.parametrize(("x", "k", "message"), [
    ("x=1,2", "k=4", r"input x: \[2\], expected \[\]"),
    ("x=1", "k=4.5", "input 'k': expected numbers of i32, found '4.5'"),
    ("x=", "k=4", "input 'x': expected numbers of f32, found ''"),
    ("x=1", "q=4", "the program has no input 'q', only x, k"),
    ("x=1", "x=2", "input 'x' is given twice"),
    ("x=1", "k", "expected INPUT=NUMBER,…, found 'k'"),
])
def test_numbers_are_checked(machine: Machine, x: str, k: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        machine.run(VALUES, {}, ["--value", x, "--value", k])


def test_the_reference_page_is_the_table() -> None:
    page = ROOT / "docs" / "reference" / "instructions.md"
    assert page.read_text() == bcai("isa", "--markdown").stdout, (
        "run: bcai vm isa --markdown > docs/reference/instructions.md"
    )


def test_weights_come_from_safetensors_by_digest(machine: Machine) -> None:
    from safetensors.numpy import save_file

    random = np.random.default_rng(5)
    w = random.standard_normal((16, 4)).astype(np.float32)
    x = random.standard_normal((3, 16)).astype(np.float32)
    path = machine.directory / "model.safetensors"
    save_file({"layer.weight": w}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = f"""bcvm 1.0 profile n1
sym B in [1,64]
weights model sha256:{digest} size {path.stat().st_size}
func @main(%x: f32[B,16]) -> (%y: f32[B,4]) {{
  %w = Param model "layer.weight" : f32[16,4]
  %p = TensorMatMul %x, %w : f32[B,4]
  return %p
}}
"""
    missing = r"weight file 'model' \(sha256 .*\) is missing: --weights FILE"
    with pytest.raises(Refused, match=missing):
        machine.run(text, {"x": x})
    given = ["--weights", str(path)]
    np.testing.assert_allclose(machine.run(text, {"x": x}, given)["y"], x @ w, rtol=1e-5)
    machine.run(text, {"x": x})  # the store has it now
    turned = text.replace("f32[16,4]", "f32[4,16]").replace("%w :", "%w {transpose_b=1} :")
    wrong = r"V27: .* has f32\[16,4\] as 'layer.weight', expected f32\[4,16\]"
    with pytest.raises(Refused, match=wrong):
        machine.run(turned, {"x": x})


def test_a_receipt_holds_or_names_the_instruction(machine: Machine) -> None:
    random = np.random.default_rng(7)
    inputs = {
        "x": random.standard_normal((3, 16)).astype(np.float32),
        "w": random.standard_normal((16, 4)).astype(np.float32),
    }
    more = "  %e = Exp %p : f32[B,4]\n  return %e\n}\ncheckpoints %p"
    text = LINEAR.replace("  return %p\n}", more)
    machine.run(text, inputs, ["--receipt", "receipt.json", "--trace"])
    path = machine.directory / "receipt.json"

    def check(receipt: dict) -> tuple[int, dict]:
        path.write_text(json.dumps(receipt))
        done = subprocess.run(
            [BCAI, "vm", "check", "program.bcasm", "receipt.json", "--json",
             "--input", "x=x.npy", "--input", "w=w.npy"],
            cwd=machine.directory, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or "{}")

    honest = json.loads(path.read_text())
    assert check(honest) == (0, {"holds": True})
    # A liar whose Exp gave other bits, and who says so in everything that follows from it.
    liar = json.loads(json.dumps(honest))
    liar["results"][0] = liar["trace"][1]["root"] = "5" * 64
    assert check(liar)[0] == 2, "the commitment binds the results"
    liar["commitment"] = commitment(liar)
    code, found = check(liar)
    assert code == 1
    assert found["differs"] == "result 'y'"
    assert found["instruction"].startswith("main, instruction 1 (Exp)")


def commitment(receipt: dict) -> str:
    """docs/formats/receipt.md, written anew."""
    number = lambda value: value.to_bytes(8, "little")  # noqa: E731
    text = lambda value: number(len(value)) + value.encode()  # noqa: E731
    digest = bytes.fromhex
    data = text(receipt["format"]) + digest(receipt["program"]) + text(receipt["profile"])
    data += number(len(receipt["symbols"]))
    for name, value in sorted(receipt["symbols"].items()):
        data += text(name) + number(value)
    for key in ("weights", "inputs"):
        data += number(len(receipt[key])) + b"".join(map(digest, receipt[key]))
    data += number(len(receipt["checkpoints"]))
    for checkpoint in receipt["checkpoints"]:
        data += number(checkpoint["value"]) + digest(checkpoint["root"])
    data += number(len(receipt["results"])) + b"".join(map(digest, receipt["results"]))
    return hashlib.sha256(data).hexdigest()
