# SPDX-License-Identifier: Apache-2.0
"""What comes out of a job: values, tensors, files, progress, logs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import bcai
import pytest
from bcai import SDK, Progress
from machine import OneMachine, wait_until

numpy = pytest.importorskip("numpy")


def test_plain_values(client: SDK) -> None:
    result = client.create_job(
        "import math\n"
        "n, x, s, b, nothing = 7, 0.1, 'größer \\u2713', True, None\n"
        "nested = {'a': [1, 2.5, {'b': 'c'}], 't': (1, 2)}\n"
        "big = 2 ** 60\n"
        "_private = 1\n"
        "def f(): pass\n"
        "nan = math.nan\n"
        "inf = {'x': [math.inf]}\n"
        "huge = 'x' * 10_000_000\n"
    ).execute()
    assert dict(result.outputs) == {
        "n": 7,
        "x": 0.1,
        "s": "größer \u2713",
        "b": True,
        "nothing": None,
        "nested": {"a": [1, 2.5, {"b": "c"}], "t": [1, 2]},
        "big": 2**60,
    }
    assert set(result.outputs.left_out) == {"nan", "inf", "huge"}
    with pytest.raises(KeyError, match="nan"):
        result.outputs["nan"]
    assert result.usage.wall_ms > 0 and result.usage.memory_peak_bytes > 1_000_000


@pytest.mark.usefixtures("torch_required")
def test_tensors_and_arrays(client: SDK) -> None:
    result = client.create_job(
        "import numpy as np, torch\n"
        "loss = torch.tensor(0.25, requires_grad=True) * 2\n"
        "w = torch.arange(6, dtype=torch.float32).reshape(2, 3).t()\n"
        "h = torch.tensor([1.0, -3.0], dtype=torch.bfloat16)\n"
        "grad = torch.ones(2, requires_grad=True)\n"
        "a = np.arange(4, dtype=np.int64)[::-1]\n"
        "f = np.float32(0.5)\n"
        "empty = np.zeros((0, 3))\n"
        "model = torch.nn.Linear(2, 2)\n"
        "state = model.state_dict()\n"
        "large = torch.zeros(20_000_000)\n"
        "cplx = torch.tensor(1j)\n"
    ).execute()
    outputs = result.outputs
    assert (outputs["loss"], outputs["f"]) == (0.5, 0.5)
    assert outputs["w"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert outputs["h"].tolist() == [1.0, -3.0]
    assert outputs["grad"].tolist() == [1.0, 1.0]
    assert outputs["a"].tolist() == [3, 2, 1, 0]
    assert outputs["a"].dtype == numpy.int64
    assert outputs["empty"].shape == (0, 3)
    assert outputs["state.weight"].shape == (2, 2)
    assert {"model", "large"} <= set(outputs.left_out)
    assert "80" in outputs.left_out["large"]


def test_given_outputs_win(client: SDK) -> None:
    result = client.create_job(
        "import bcai\nx = 1\nbcai.output('x', 2)\nbcai.output(y=[3])\n"
        "class C: pass\nbcai.output(z=C())\n"
    ).execute()
    assert dict(result.outputs) == {"x": 2, "y": [3]}
    assert "z" in result.outputs.left_out


def test_outputs_of_a_failed_job(client: SDK) -> None:
    code = (
        "step = 3\nopen('outputs/partial.txt', 'w').write('p')\ndef f():\n    return 1 / 0\nf()\n"
    )
    with pytest.raises(bcai.JobFailed) as caught:
        client.create_job(code, name="failing").execute()
    failed = caught.value
    assert (failed.state, failed.outcome, failed.exit_code) == ("failed", "finished", 1)
    assert failed.error is not None
    assert (failed.error.type, failed.error.line) == ("ZeroDivisionError", 4)
    assert 'File "main.py", line 4, in f\n    return 1 / 0' in failed.error.traceback
    assert "ZeroDivisionError" in failed.logs
    assert failed.result.outputs["step"] == 3
    assert failed.result.artifacts.read("outputs/partial.txt") == b"p"


def test_artifacts(client: SDK, tmp_path: Path) -> None:
    result = client.create_job(
        "import os\n"
        "os.makedirs('outputs/a/b', exist_ok=True)\n"
        "open('outputs/a/b/big.bin', 'wb').write(bytes(range(256)) * 80_000)\n"
        "open('outputs/empty', 'w').close()\n"
        "os.symlink('/etc/passwd', 'outputs/link')\n"
        "os.mkfifo('outputs/pipe')\n"
        "open('elsewhere', 'w').write('x')\n",
        import_policy="off",
    ).execute()
    assert sorted(result.artifacts.names) == ["outputs/a/b/big.bin", "outputs/empty"]
    paths = result.artifacts.download(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in paths) == [
        "outputs/a/b/big.bin",
        "outputs/empty",
    ]
    data = (tmp_path / "outputs" / "a" / "b" / "big.bin").read_bytes()
    assert data == bytes(range(256)) * 80_000
    assert hashlib.sha256(data).hexdigest() == result.artifacts.find("outputs/a/b/big.bin").sha256


def test_a_file_named_as_the_tensors_are(
    machine: OneMachine, client: SDK, tmp_path: Path
) -> None:
    job = client.create_job(
        "import numpy as np\n"
        "w = np.arange(3)\n"
        "open('outputs/outputs.safetensors', 'w').write('my own')\n"
    )
    result = job.execute()
    assert sorted(result.artifacts.names) == ["outputs.safetensors", "outputs/outputs.safetensors"]
    assert result.outputs["w"].tolist() == [0, 1, 2]
    assert result.artifacts.read("outputs/outputs.safetensors") == b"my own"
    done = machine.command("results", job.id, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "outputs.safetensors").read_text() == "my own"
    assert (tmp_path / "outputs.safetensors").read_bytes() == (
        result.artifacts.read("outputs.safetensors")
    )


def test_input_files_arguments_environment(client: SDK, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "big.bin").write_bytes(bytes(20_000_000))
    (tmp_path / "data" / "helper.py").write_text("def f(): return 'from helper'\n")
    code = (
        "import os, sys, helper\n"
        "size = os.path.getsize('d/big.bin')\n"
        "text = open('x/y.txt').read()\n"
        "arguments, variable = sys.argv, os.environ['MY_VARIABLE']\n"
        "said = helper.f()\n"
    )
    result = client.create_job(
        code,
        files={
            "d/big.bin": tmp_path / "data" / "big.bin",
            "helper.py": tmp_path / "data" / "helper.py",
            "x/y.txt": b"hello",
        },
        arguments=["--epochs", 3],
        environment={"MY_VARIABLE": "my value"},
    ).execute()
    assert dict(result.outputs) == {
        "size": 20_000_000,
        "text": "hello",
        "arguments": ["main.py", "--epochs", "3"],
        "variable": "my value",
        "said": "from helper",
    }


def test_a_job_reads_its_own_source(machine: OneMachine, client: SDK, tmp_path: Path) -> None:
    code = (
        "import pathlib, train\n"
        "here = pathlib.Path(__file__).resolve()\n"
        "if __name__ == '__main__':\n"
        "    print(here.read_text(), end='')\n"
        "    print((here.parent / 'data.txt').read_text(), end='')\n"
    )
    (tmp_path / "train.py").write_text(code)
    (tmp_path / "data.txt").write_text("data\n")
    done = machine.command("run", "train.py", "--file", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, code + "data\n"), done.stderr
    result = client.create_job(path=tmp_path / "train.py", files=[tmp_path / "data.txt"]).execute()
    assert result.artifacts.names == []


def test_progress_and_metrics(client: SDK) -> None:
    told: list[Progress] = []
    job = client.create_job(
        "import bcai, time\n"
        "for step in range(4):\n"
        "    bcai.progress(step / 4, f'step {step}')\n"
        "    bcai.log_metric('loss', 1 / (step + 1), step=step)\n"
        "    time.sleep(0.5)\n"
        "bcai.progress(1, 'done')\n"
    )
    job.execute(on_progress=told.append)
    assert (job.progress.fraction, job.progress.message) == (1.0, "done")
    assert job.progress.metrics["loss"] == 0.25
    fractions = [progress.fraction or 0.0 for progress in told]
    assert fractions == sorted(fractions) and len(fractions) >= 3


def test_tqdm_becomes_progress(client: SDK) -> None:
    pytest.importorskip("tqdm", reason="needs tqdm in the base environment")
    told: list[float | None] = []
    client.create_job(
        "import time\nfrom tqdm import tqdm\nfor _ in tqdm(range(20)):\n    time.sleep(0.1)\n"
    ).execute(on_progress=lambda progress: told.append(progress.fraction))
    assert told[-1] == 1.0
    assert len({fraction for fraction in told if fraction is not None and 0 < fraction < 1}) >= 2


def test_logs_come_while_the_job_runs(client: SDK) -> None:
    job = client.create_job(
        "import time, sys\n"
        "print('first', flush=True)\n"
        "print('to stderr', file=sys.stderr)\n"
        "time.sleep(3)\n"
        "print('last')\n"
    )
    job.execute(wait=False)
    lines = job.stream_logs()
    assert next(lines) == "first"
    assert job.status == "active"
    rest = list(lines)
    assert rest == ["to stderr", "last"]
    assert [line.stream for line in rest] == ["stderr", "stdout"]
    assert job.logs == "first\nto stderr\nlast\n"


def test_logs_are_resumed_by_offset(machine: OneMachine, client: SDK) -> None:
    job = client.create_job("for i in range(3000):\n    print('line', i, '.' * 50)\n")
    job.execute()
    expected = [f"line {i} {'.' * 50}" for i in range(3000)]
    assert job.logs.splitlines() == expected
    import httpx

    headers = {"Authorization": f"Bearer {machine.key}"}
    offset, text = 0, ""
    with httpx.Client(base_url=machine.endpoint, headers=headers) as http:
        while True:
            query = {"offset": offset, "limit": 20_000}
            page = http.get(f"/v1/jobs/{job.id}/logs", params=query).json()
            assert all(record["offset"] >= offset for record in page["records"])
            text += "".join(record["text"] for record in page["records"])
            offset = page["next_offset"]
            if page["end"]:
                break
        assert text.splitlines() == expected
        # A follower that breaks after some events and comes back misses and repeats nothing.
        seen, last_id = "", ""
        for _ in range(10_000):
            headers = {"Accept": "text/event-stream"}
            if last_id:
                headers["Last-Event-ID"] = last_id
            ended, count = False, 0
            with http.stream("GET", f"/v1/jobs/{job.id}/logs", headers=headers) as stream:
                event = ""
                for line in stream.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "id":
                        last_id = value
                    elif name == "data" and event == "log":
                        seen += httpx.Response(200, text=value).json()["text"]
                        count += 1
                    elif name == "data" and event == "end":
                        ended = True
                    if line == "" and count >= 3:
                        break
            if ended:
                break
        assert seen.splitlines() == expected


def test_a_queued_job_says_why(client: SDK) -> None:
    job = client.create_job("print(1)", hardware={"gpu_count": 1})
    job.execute(wait=False)
    try:
        wait_until(lambda: "GPU" in job.reason, 10, "a reason that names what is missing")
        assert job.status == "queued"
    finally:
        job.cancel()
    assert job.wait(10) == "cancelled"
    assert [event.kind for event in job.events()][0] == "job.queued"
