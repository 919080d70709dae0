# SPDX-License-Identifier: Apache-2.0
"""Submitting, waiting, watching, cancelling, against a fake coordinator."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import bcai
import pytest
from bcai import SDK, LogLine, SecurityLevel
from bcai.ids import is_job_id
from fake_coordinator import KEY, FakeCoordinator, FakeJob, Network, wait_until


def test_nothing_is_sent_before_execute(client: SDK, fake: FakeCoordinator) -> None:
    job = client.create_job("print(1)")
    assert is_job_id(job.id)
    assert job.status == "created"
    assert job.progress == bcai.Progress()
    assert job.logs == ""
    assert job.events() == []
    assert fake.seen == []
    with pytest.raises(bcai.FailedPrecondition, match="execute"):
        job.cancel()


def test_execute_returns_the_result(client: SDK, fake: FakeCoordinator) -> None:
    job = client.create_job("print(1)")
    result = job.execute()
    assert result.outputs["loss"] == 2.25
    assert result.logs == "one\ntwo\n"
    assert (result.outcome, result.exit_code) == ("finished", 0)
    assert (result.usage.wall_ms, result.usage.cpu_ms, result.timings.run_ms) == (7, 5, 7)
    assert job.status == "succeeded"
    assert job.execute().outputs["loss"] == 2.25
    assert fake.started == 1
    assert fake.count("POST", "/v1/jobs") == 1


def test_the_whole_specification_is_sent(client: SDK, fake: FakeCoordinator) -> None:
    client.create_job(
        "pass",
        requirements=["torch>=1.12"],
        build_from_source=["torch"],
        hardware={"gpu_memory": "8GB", "gpu_count": 1},
        timeout=60,
        max_retries=0,
        name="n",
        arguments=["--epochs", 3],
        environment={"A": "b"},
        python_version="3.11",
        network={"allow": ["pypi.org:443"]},
        security_level=SecurityLevel.HIGH,
        allow_imports=["ctypes"],
        import_policy="off",
        queue_timeout=5,
        cpu_seconds_max=6,
        processes_max=7,
        output_bytes_max="1MB",
    ).execute()
    (job,) = fake.jobs.values()
    assert {key: value for key, value in job.spec.items() if key != "id"} == {
        "code": "pass",
        "requirements": ["torch>=1.12"],
        "build_from_source": ["torch"],
        "hardware": {"gpu_memory": "8GB", "gpu_count": 1},
        "timeout": 60,
        "max_retries": 0,
        "name": "n",
        "arguments": ["--epochs", "3"],
        "environment": {"A": "b"},
        "python_version": "3.11",
        "network": {"allow": ["pypi.org:443"]},
        "security_level": "high",
        "allowed_imports": ["ctypes"],
        "import_policy": "off",
        "queue_timeout": 5,
        "cpu_seconds_max": 6,
        "processes_max": 7,
        "output_bytes_max": "1MB",
    }


def test_what_is_not_given_is_not_sent(client: SDK, fake: FakeCoordinator) -> None:
    client.create_job("pass").execute()
    (job,) = fake.jobs.values()
    assert job.spec.keys() == {"id", "code"}


def test_code_from_a_file(client: SDK, fake: FakeCoordinator, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('größer')\n", "utf-8")
    client.create_job(path=script).execute()
    client.create_job(script).execute()
    for job in fake.jobs.values():
        assert (job.spec["code"], job.spec["filename"]) == ("print('größer')\n", "train.py")


def test_code_among_its_files_is_sent_once(
    client: SDK, fake: FakeCoordinator, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("pass\n")
    (tmp_path / "helper.py").write_text("A = 1\n")
    client.create_job(path=tmp_path / "train.py", files=sorted(tmp_path.glob("*.py"))).execute()
    (job,) = fake.jobs.values()
    assert [item["path"] for item in job.spec["files"]] == ["helper.py"]


def test_code_that_is_not_utf8(client: SDK, tmp_path: Path) -> None:
    script = tmp_path / "latin.py"
    script.write_bytes(b"x = 1\ns = '\xe9'\n")
    with pytest.raises(bcai.InvalidArgument, match="not UTF-8") as caught:
        client.create_job(path=script)
    (finding,) = caught.value.findings
    assert (finding.line, finding.column) == (2, 6)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"code": "1", "path": "x.py"}, {"code": None}, {"code": "1", "program": b"BCVM"}],
)
def test_one_of_code_path_and_program(client: SDK, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="one of code, path and program"):
        client.create_job(**arguments)


@pytest.mark.parametrize("arguments", [{"inputs": {}}, {"replicas": 2}])
def test_inputs_and_replicas_are_for_programs(client: SDK, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="native program"):
        client.create_job("pass", **arguments)


def test_a_program_is_sent_as_files(network: Network, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    (tmp_path / "model.bcvm").write_bytes(b"BCVM")
    fake = network()
    with SDK(fake.endpoint, KEY) as client:
        job = client.create_job(
            program=tmp_path / "model.bcvm",
            inputs={"x": numpy.arange(6, dtype="f4").reshape(2, 3).T, "n": numpy.int64(3)},
            weights=[b"weights"],
            replicas=2,
        )
        assert job.replicas == 2
        job.execute()
    spec = fake.jobs[job.id].spec
    assert spec["program"] == "model.bcvm" and spec["replicas"] == 2 and "code" not in spec
    assert spec["inputs"] == {"x": "inputs/x.npy", "n": "inputs/n.npy"}
    files = {file["path"]: fake.artifacts[file["sha256"]] for file in spec["files"]}
    assert files["model.bcvm"] == b"BCVM" and files["weights/0.safetensors"] == b"weights"
    x = numpy.load(io.BytesIO(files["inputs/x.npy"]))
    assert x.tolist() == [[0, 3], [1, 4], [2, 5]] and x.flags.c_contiguous
    assert numpy.load(io.BytesIO(files["inputs/n.npy"])).shape == ()


def test_a_text_is_no_list(client: SDK) -> None:
    with pytest.raises(TypeError, match="requirements"):
        client.create_job("pass", requirements="torch")


@pytest.mark.parametrize("options", [{"wait": False}, {"async": True}])
def test_execute_without_waiting(network: Network, options: dict[str, bool]) -> None:
    go = threading.Event()

    def plan(job: FakeJob) -> None:
        job.start()
        go.wait(20)
        job.end()

    with SDK(network(plan).endpoint, KEY) as client:
        job = client.create_job("pass")
        assert job.execute(**options) is job
        wait_until(lambda: job.status == "active")
        with pytest.raises(TimeoutError) as caught:
            job.wait(timeout=0.1)
        assert isinstance(caught.value, bcai.DeadlineExceeded)
        go.set()
        assert job.wait(timeout=20) == "succeeded"
        assert job.result().exit_code == 0
        with pytest.raises(TypeError, match="asynch"):
            job.execute(asynch=True)


def test_a_failed_job_raises_what_it_said(network: Network) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback…\n", "line": 3}

    def plan(job: FakeJob) -> None:
        job.start()
        job.log("".join(f"line {number}\n" for number in range(100)))
        job.end("failed", "the job ended with exit code 1", exit_code=1, error=error,
                outputs={"step": 4})  # fmt: skip

    with (
        SDK(network(plan).endpoint, KEY) as client,
        pytest.raises(bcai.JobFailed, match=r"ValueError: no \(line 3\)") as caught,
    ):
        client.create_job("pass").execute()
    failed = caught.value
    assert (failed.state, failed.outcome, failed.exit_code) == ("failed", "finished", 1)
    assert failed.error == bcai.JobErrorInfo("ValueError", "no", "Traceback…\n", 3)
    assert failed.logs.splitlines() == [f"line {number}" for number in range(80, 100)]
    assert failed.result.outputs["step"] == 4


def test_a_job_that_never_ran(network: Network) -> None:
    fake = network(lambda job: job.change(state="expired", reason="no node offers a GPU"))
    with (
        SDK(fake.endpoint, KEY) as client,
        pytest.raises(bcai.JobFailed, match="no node offers a GPU") as caught,
    ):
        client.create_job("pass").execute()
    failed = caught.value
    assert (failed.state, failed.outcome, failed.exit_code) == ("expired", "", None)
    assert failed.result is None


def test_log_lines_and_progress_while_it_runs(network: Network) -> None:
    heard: list[str] = []
    told: list[tuple[float | None, str]] = []
    first, half = threading.Event(), threading.Event()

    def plan(job: FakeJob) -> None:
        job.start()
        job.log("a\nb")
        first.wait(20)
        job.log("c\n")
        job.log("warn\n", "stderr")
        job.change(progress={"fraction": 0.5, "message": "half", "metrics": {"loss": 1.0}})
        half.wait(20)
        job.change(reason="nothing new about progress")
        job.log("no newline")
        done = {"fraction": 1.0, "message": "done", "metrics": {"loss": 1.0}}
        with job.changed:  # told by the last event only
            job.progress = done
            job.end()

    def on_log(line: LogLine) -> None:
        heard.append(f"{line.stream}:{line}")
        first.set()

    def on_progress(progress: bcai.Progress) -> None:
        told.append((progress.fraction, progress.message))
        half.set()

    with SDK(network(plan).endpoint, KEY) as client:
        job = client.create_job("pass")
        job.execute(on_log=on_log, on_progress=on_progress)
    assert heard == ["stdout:a", "stdout:bc", "stderr:warn", "stdout:no newline"]
    assert told == [(0.5, "half"), (1.0, "done")]
    assert job.progress.metrics == {"loss": 1.0}


def test_a_broken_stream_is_resumed(network: Network) -> None:
    def plan(job: FakeJob) -> None:
        job.start()
        for number in range(20):
            job.log(f"line {number}, part one, ")
            job.log("part two ✓\n")
        job.end()

    fake = network(plan)
    fake.stream_events_max = 3
    fake.fail("GET", "/v1/jobs/.*/logs", 503, 2)
    with SDK(fake.endpoint, KEY) as client:
        job = client.create_job("pass")
        job.execute(wait=False)
        lines = list(job.stream_logs())
    assert lines == [f"line {number}, part one, part two ✓" for number in range(20)]
    assert all(line.attempt_id and line.time for line in lines)
    assert fake.count("GET", "/v1/jobs/.*/logs") > 10


def test_a_stream_breaks_for_good_without_auto_retry(network: Network) -> None:
    fake = network()
    fake.stream_events_max = 1
    with SDK(fake.endpoint, KEY, auto_retry=False) as client:
        job = client.create_job("pass")
        job.execute(wait=False)
        with pytest.raises(bcai.Unavailable):
            list(job.stream_logs())


def test_cancel(network: Network) -> None:
    def plan(job: FakeJob) -> None:
        job.start()
        wait_until(lambda: job.desired == "cancel")
        job.end("cancelled", "cancelled by its owner", outcome="cancelled", exit_code=137)

    with SDK(network(plan).endpoint, KEY) as client:
        job = client.create_job("pass")
        job.execute(wait=False)
        job.cancel()
        assert job.wait(20) == "cancelled"
        with pytest.raises(bcai.JobFailed) as caught:
            job.result()
    assert caught.value.outcome == "cancelled"


def test_find_jobs(client: SDK, fake: FakeCoordinator) -> None:
    made = [client.create_job("pass", name=f"n{number}") for number in range(5)]
    for job in made:
        job.execute()
    assert [job.id for job in client.jobs()] == sorted((job.id for job in made), reverse=True)
    assert len(client.jobs(limit=3)) == 3
    assert client.jobs(state="failed") == []
    found = client.job(made[0].id)
    assert (found.name, found.status, found.result().outputs["loss"]) == ("n0", "succeeded", 2.25)
    assert [event.kind for event in found.events()] == ["job.queued"]
    with pytest.raises(bcai.NotFound):
        client.job("job_" + "0" * 26)
    assert client.whoami()["role"] == "owner"
    assert client.nodes() == []


def test_secrets(fake: FakeCoordinator, client: bcai.SDK) -> None:
    client.set_secret("TOKEN", "hunter22-\u00e9")
    client.set_secret("A", "1")
    assert fake.secrets == {"TOKEN": "hunter22-\u00e9".encode(), "A": b"1"}
    assert [(secret.name, secret.bytes) for secret in client.secrets()] == [("A", 1), ("TOKEN", 11)]
    assert client.secrets()[0].created_at is not None
    client.delete_secret("A")
    with pytest.raises(bcai.NotFound, match="no secret A"):
        client.delete_secret("A")
    assert client.create_job("print(1)", secrets=["TOKEN"]).execute().outputs
    assert fake.jobs[client.jobs()[0].id].spec["secrets"] == ["TOKEN"]
    with pytest.raises(TypeError, match="secrets is a list"):
        client.create_job("print(1)", secrets="TOKEN")


@pytest.mark.parametrize(
    "endpoint", ["http://example.org", "http://10.0.0.1:8080", "http://localhost.example.org"]
)
def test_a_secret_is_not_sent_where_others_could_read_it(endpoint: str) -> None:
    with bcai.SDK(endpoint, "bcai_a_b") as client:
        with pytest.raises(bcai.FailedPrecondition, match="is not encrypted") as refused:
            client.set_secret("TOKEN", "hunter22")
        assert "hunter22" not in str(refused.value)


def test_a_unix_socket(network: Network, tmp_path: Path) -> None:
    fake = network(unix_path=str(tmp_path / "socket"))
    with SDK(fake.endpoint, KEY) as client:
        assert client.create_job("pass").execute(on_log=print).outputs["loss"] == 2.25


def test_many_threads_share_a_client(client: SDK, fake: FakeCoordinator) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                client.create_job("pass").execute()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert fake.started == len(fake.jobs) == 40
