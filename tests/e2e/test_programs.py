# SPDX-License-Identifier: Apache-2.0
"""Native programs on the network: admission, the sandbox, results, replicas, and liars."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import liar
import pytest
import yaml
from bcai import SDK, InvalidArgument, JobFailed
from jsonschema import Draft202012Validator
from liar import Answer, TestNode
from machine import ROOT, OneMachine, run_command, wait_until, walkable

numpy = pytest.importorskip("numpy")

X = numpy.array([[1, -2, 0, 3], [0, 1, 1, -1], [2, 0, -3, 1], [1, 1, 0, 2]], dtype=numpy.float32)
Y = liar.compute(X)[-1]
HARDWARE = {"memory": "300MB", "disk": "50MB"}

GATHER = """bcvm 1.0 profile n1

func @main(%x: f32[4,4], %rows: i64[2]) -> (%y: f32[2,4]) {
  %2 = Gather %x, %rows {axis=0} : f32[2,4]
  return %2
}
"""


def assemble(directory: Path, name: str, text: str) -> Path:
    source = directory / f"{name}.bcasm"
    source.write_text(text)
    done = run_command(directory, ["vm", "as", str(source)])
    assert done.returncode == 0, done.stderr
    return source.with_suffix(".bcvm")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("programs")
    walkable(made)
    return made


@pytest.fixture(scope="module")
def network(directory: Path) -> Iterator[OneMachine]:
    """A network of its own: nodes that lie would take other tests' jobs."""
    made = OneMachine(directory, "--slots", "4")
    yield made
    made.stop()


@pytest.fixture
def client(network: OneMachine) -> Iterator[SDK]:
    with network.client() as client:
        yield client


@pytest.fixture(scope="module")
def program(directory: Path) -> Path:
    return assemble(directory, "model", liar.PROGRAM)


@pytest.fixture
def nodes(network: OneMachine, tmp_path: Path) -> Iterator[Any]:
    started: list[TestNode] = []

    def start(name: str, **how: Any) -> TestNode:
        started.append(TestNode(network.endpoint, network.key, tmp_path, name, **how))
        return started[-1]

    yield start
    for node in started:
        node.stop()


def test_a_program_runs_without_a_network(tmp_path: Path, program: Path) -> None:
    walkable(tmp_path)
    numpy.save(tmp_path / "x.npy", X)
    done = run_command(
        tmp_path, ["run", str(program), "--input", "x.npy", "--output-dir", "out", *flags()]
    )
    assert done.returncode == 0, done.stderr
    assert numpy.array_equal(numpy.load(tmp_path / "out" / "y.npy"), Y)
    digest = hashlib.sha256(Y.tobytes()).hexdigest()[:16]
    assert re.search(rf"^y +f32\[4,4\] +{digest} +out/y.npy$", done.stdout, re.MULTILINE)
    text = tmp_path / "model.bcasm"
    text.write_text(liar.PROGRAM)
    again = run_command(tmp_path, ["run", str(text), "--input", "x=x.npy", *flags()])
    assert again.returncode == 0 and digest in again.stdout, again.stderr


def flags() -> list[str]:
    return ["--memory", "300MB", "--disk", "50MB"]


def test_results_receipt_and_quote(client: SDK, program: Path) -> None:
    job = client.create_job(program=program, inputs={"x": X}, hardware=HARDWARE)
    result = job.execute()
    assert numpy.array_equal(result.outputs["y"], Y)
    ours = liar.make_receipt(hashlib.sha256(program.read_bytes()).hexdigest(), X, liar.compute(X))
    del ours["trace"]  # nobody compares it
    assert result.receipt == ours
    assert result.commitment == ours["commitment"]
    assert result.outputs.tensors["y"].sha256 == hashlib.sha256(Y.tobytes()).hexdigest()
    assert result.quote is not None and result.quote.program == ours["program"]
    assert result.quote.instructions == len(liar.INSTRUCTIONS)
    assert result.verification is None and job.replicas == 1
    assert result.usage.wall_ms > 0 and result.logs == ""


def test_weights_come_by_digest(client: SDK, directory: Path) -> None:
    w = numpy.arange(8, dtype=numpy.float32).reshape(4, 2)
    file = liar.safetensors("w", w)
    text = f"""bcvm 1.0 profile n1
weights model sha256:{hashlib.sha256(file).hexdigest()} size {len(file)}

func @main(%x: f32[4,4]) -> (%y: f32[4,2]) {{
  %1 = Param model "w" : f32[4,2]
  %2 = TensorMatMul %x, %1 : f32[4,2]
  return %2
}}
"""
    model = assemble(directory, "weighted", text)
    given = {"program": model.read_bytes(), "inputs": {"x": X}, "hardware": HARDWARE}
    result = client.create_job(weights=[file], **given).execute()
    assert numpy.array_equal(result.outputs["y"], X @ w)
    with pytest.raises(InvalidArgument, match="weight file 'model' .* is none of the job's files"):
        client.create_job(**given).execute()
    other = liar.safetensors("v", w)
    with pytest.raises(InvalidArgument, match="weight file 'model' .* is none of the job's files"):
        client.create_job(weights=[other], **given).execute()


def test_a_trap_is_the_jobs_own_failure(client: SDK, directory: Path) -> None:
    gather = assemble(directory, "gather", GATHER)
    rows = numpy.array([1, 7])
    job = client.create_job(program=gather, inputs={"x": X, "rows": rows}, hardware=HARDWARE)
    with pytest.raises(JobFailed) as failure:
        job.execute()
    assert failure.value.error is not None and failure.value.error.type == "ProgramError"
    assert "7" in failure.value.error.message
    assert job.record is not None and len(job.record.attempts) == 1


def of_schema(name: str) -> Draft202012Validator:
    document = yaml.safe_load((ROOT / "schema" / "openapi.yaml").read_text())
    reference = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft202012Validator(reference)


def refusal(client: SDK, **given: Any) -> str:
    with pytest.raises(InvalidArgument) as refused:
        client.create_job(**{"hardware": HARDWARE, **given}).execute()
    return "\n".join(f"{one.pointer}: {one.message}" for one in refused.value.findings)


def test_what_is_refused(client: SDK, program: Path) -> None:
    good = program.read_bytes()
    x = {"x": X}
    assert "/program: " in refusal(client, program=b"BCVM" + bytes(100), inputs=x)
    assert "/program: " in refusal(client, program=b"not a program", inputs=x)
    for cut in (5, len(good) // 2, len(good) - 1):
        assert "/program: " in refusal(client, program=good[:cut], inputs=x)
    assert "input 'x' is missing" in refusal(client, program=good, inputs={"z": X})
    assert "no input 'z', only x" in refusal(client, program=good, inputs={"x": X, "z": X})
    assert "is i64, expected f32" in refusal(client, program=good, inputs={"x": X.astype("i8")})
    assert "<f8" in refusal(client, program=good, inputs={"x": X.astype("f8")})
    assert "/inputs: " in refusal(client, program=good, inputs={"x": X[:3]})
    found = refusal(client, program=good, inputs=x, hardware={"memory": "20MB", "disk": "50MB"})
    assert re.search(r"/hardware/memory: is 20000000 bytes, .* at least [0-9]+$", found)
    for hostile in (0, 7, 40, 90, len(good) - 3):  # a byte that is another, wherever it is
        spoilt = bytearray(good)
        spoilt[hostile] ^= 0xFF
        assert "/program: " in refusal(client, program=bytes(spoilt), inputs=x)


def test_code_or_program(client: SDK, network: OneMachine, program: Path) -> None:
    job = client.create_job(program=program, inputs={"x": X}, hardware=HARDWARE)
    job._draft.spec["code"] = "print(1)"  # type: ignore[union-attr,index]
    with pytest.raises(InvalidArgument, match="not both"):
        job.execute()
    with pytest.raises(TypeError, match="one of code, path and program"):
        client.create_job("print(1)", program=program)
    job = client.create_job("print(1)")
    job._draft.spec["replicas"] = 2  # type: ignore[union-attr,index]
    with pytest.raises(InvalidArgument, match="needs a native program"):
        job.execute()


def test_replicas_wait_for_enough_nodes(client: SDK, program: Path) -> None:
    job = client.create_job(program=program, inputs={"x": X}, replicas=2, hardware=HARDWARE)
    job.execute(wait=False)
    assert job.status == "queued"
    wait_until(lambda: job.reason == "needs 2 nodes, 1 fits", 10, "the scheduler has seen it")
    job.cancel()
    assert job.wait(20) == "cancelled"


def test_replicas_that_agree(client: SDK, program: Path, nodes: Any) -> None:
    honest = nodes("honest")
    job = client.create_job(program=program, inputs={"x": X}, replicas=2, hardware=HARDWARE)
    result = job.execute()
    assert numpy.array_equal(result.outputs["y"], Y)
    assert len(honest.leases) == 1
    found = result.verification
    assert found is not None and found.verdict == "agreed" and len(found.answers) == 2
    assert {one.commitment for one in found.answers} == {result.commitment}
    assert len({one.node_id for one in found.answers}) == 2


@pytest.mark.parametrize("flip", range(len(liar.INSTRUCTIONS)))
def test_a_liar_is_caught(
    network: OneMachine, client: SDK, program: Path, nodes: Any, flip: int
) -> None:
    lying = nodes("liar", flip=flip)
    job = client.create_job(program=program, inputs={"x": X}, replicas=2, hardware=HARDWARE)
    result = job.execute()
    assert numpy.array_equal(result.outputs["y"], Y)
    found = result.verification
    assert found is not None and found.verdict == "differed"
    instruction = f"main, instruction {flip} ({liar.INSTRUCTIONS[flip]})"
    caught = [one for one in found.answers if one.agrees is False]
    honest = [one for one in found.answers if one.agrees is True]
    assert [one.node_id for one in caught] == [lying.id] and len(honest) == 1
    assert caught[0].instruction == instruction
    assert honest[0].attempt_id == result.attempt_id
    assert found.rerun_commitment == result.commitment == honest[0].commitment
    assert f"liar differs from the re-run: result 'y', from {instruction}" in found.reason
    assert job.reason == found.reason
    for command, schema in (("show", "Job"), ("results", "JobResults")):
        raw = network.command(command, job.id, "--json")
        of_schema(schema).validate(json.loads(raw.stdout))
    shown = network.command("show", job.id)
    assert re.search(rf"liar +[0-9a-f]{{16}} +differs +{re.escape(instruction)}", shown.stdout)
    results = network.command("results", job.id)
    assert instruction in results.stdout and f"y{' ' * 7}f32[4,4]" in results.stdout


def test_liars_in_the_majority(client: SDK, program: Path, nodes: Any) -> None:
    liars = {nodes("first liar", flip=2).id, nodes("second liar", flip=2).id}
    job = client.create_job(program=program, inputs={"x": X}, replicas=3, hardware=HARDWARE)
    result = job.execute()
    assert numpy.array_equal(result.outputs["y"], Y)
    assert result.verification is not None
    assert {one.node_id for one in result.verification.answers if not one.agrees} == liars


def test_only_liars(client: SDK, program: Path, nodes: Any, network: OneMachine) -> None:
    """Two liars who differ, and nobody else: there is no result."""
    for index, name in enumerate(("one", "two", "three")):
        nodes(name, flip=index)
    job = client.create_job(
        program=program, inputs={"x": X}, replicas=2, hardware={"cpu_cores": 3, **HARDWARE}
    )
    with pytest.raises(JobFailed) as failure:
        job.execute()
    assert failure.value.state == "disputed" and failure.value.result is None
    assert "0 of 2 replicas agree" in failure.value.reason


def forged_commitment(answer: Answer) -> None:
    answer.receipt["commitment"] = "0" * 64


def other_program(answer: Answer) -> None:
    answer.receipt["program"] = "1" * 64
    answer.receipt["commitment"] = liar.commitment(answer.receipt)


def other_results(answer: Answer) -> None:
    answer.result = answer.result + 1


def short_trace(answer: Answer) -> None:
    answer.receipt["trace"] = answer.receipt["trace"][:-1]


def garbage(answer: Answer) -> None:
    answer.receipt_bytes = b"\x00garbage{" * 100


def a_list(answer: Answer) -> None:
    answer.receipt_bytes = json.dumps([answer.receipt]).encode()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (forged_commitment, "/commitment"),
        (other_program, "it is of another program"),
        (other_results, "result 'y' is not what the receipt commits to"),
        (short_trace, "its trace does not list"),
        (garbage, "the receipt: "),
        (a_list, "the receipt: "),
    ],
)
def test_an_answer_that_does_not_hold_together(
    client: SDK, program: Path, nodes: Any, spoil: Any, why: str
) -> None:
    """It counts as the node's failure, and another node takes its place."""
    bad = nodes("forger", spoil=spoil)
    job = client.create_job(
        program=program, inputs={"x": X}, replicas=2, max_retries=1, hardware=HARDWARE
    )
    job.execute(wait=False)
    wait_until(lambda: len(bad.answers) == 1, 30, "the node has answered")
    honest = nodes("honest")
    result = job.result()
    assert numpy.array_equal(result.outputs["y"], Y)
    assert job.record is not None
    failed = [one for one in job.record.attempts if one.node_id == bad.id]
    assert [one.state for one in failed] == ["failed"]
    assert failed[0].reason.startswith("forger: what it sent is refused: ")
    assert why in failed[0].reason
    assert result.verification is not None and result.verification.verdict == "agreed"
    assert honest.id in {one.node_id for one in result.verification.answers}
