# SPDX-License-Identifier: Apache-2.0
"""The snippets that users type first, as they are published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from bcai import SDK
from machine import ROOT, OneMachine, clean_environment, wait_until

NETWORK = {
    "code": 'import torch\nx = torch.ones(3)\ntotal = x.sum()\nprint(f"sum {total.item()}")\n',
    "hardware": {"cpu_cores": 1, "memory": "1GB"},
    "timeout": 60,
}


def run_script(machine: OneMachine, path: Path) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(
        machine.directory,
        BCAI_ENDPOINT=machine.endpoint,
        BCAI_API_KEY=machine.key,
        PYTHONPATH=str(ROOT / "python"),
    )
    return subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.usefixtures("torch_required")
def test_the_first_job(machine: OneMachine, tmp_path: Path) -> None:
    done = run_script(machine, ROOT / "examples" / "first_job.py")
    assert done.returncode == 0, done.stderr
    loss = float(re.fullmatch(r"Job completed! Loss: ([0-9.]+)\n", done.stdout)[1])  # type: ignore[index]
    # Ten classes, no training: about ln 10.
    assert 2.0 < loss < 2.7
    with_endpoint = tmp_path / "first_job.py"
    source = (ROOT / "examples" / "first_job.py").read_text()
    with_endpoint.write_text(source.replace("SDK()", f"SDK({machine.endpoint!r})"))
    assert run_script(machine, with_endpoint).stdout.startswith("Job completed! Loss: ")


@pytest.mark.usefixtures("torch_required")
def test_the_quickstart_learns(machine: OneMachine) -> None:
    done = run_script(machine, ROOT / "examples" / "quickstart.py")
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"\| epoch \d+: loss ([0-9.]+)", done.stdout)]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2
    final = float(re.search(r"Job completed! Loss: ([0-9.]+)", done.stdout)[1])  # type: ignore[index]
    assert abs(final - losses[-1]) < 0.001
    assert "100% epoch 10 of 10" in done.stdout


@pytest.mark.usefixtures("torch_required")
def test_the_documented_arguments(client: SDK) -> None:
    job = client.create_job(
        "import torch\nloss = torch.tensor(0.5)",
        requirements=["torch>=1.12"],
        hardware={"gpu_count": 0},
        timeout=3600,
        max_retries=3,
    )
    assert job.execute(**{"async": True}) is job
    result = job.result()
    assert result.outputs["loss"] == 0.5
    assert (job.status, job.logs) == ("succeeded", "")


@pytest.mark.usefixtures("torch_required")
def test_rest(machine: OneMachine) -> None:
    headers = {"Authorization": f"Bearer {machine.key}"}
    with httpx.Client(base_url=machine.endpoint, headers=headers, timeout=90) as http:
        created = http.post("/v1/jobs", json=NETWORK)
        assert created.status_code == 202, created.text
        id = created.json()["id"]
        assert created.headers["Location"] == f"/v1/jobs/{id}"
        job = http.get(f"/v1/jobs/{id}", params={"wait": 60}).json()
        assert job["state"] == "succeeded", job["reason"]
        assert "code" not in job["spec"]
        results = http.get(f"/v1/jobs/{id}/results").json()
        assert results["outputs"] == {"total": 3}
        assert results["tensors"] == [{"name": "x", "dtype": "F32", "shape": [3]}]
        text = http.get(f"/v1/jobs/{id}/logs", headers={"Accept": "text/plain"})
        assert text.text == "sum 3.0\n"


@pytest.mark.usefixtures("torch_required")
def test_rest_with_curl(machine: OneMachine) -> None:
    def curl(path: str, *more: str) -> dict[str, object]:
        command = ["curl", "-sS", "--fail-with-body", f"{machine.endpoint}{path}",
                   "-H", f"Authorization: Bearer {machine.key}", *more]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    posted = curl("/v1/jobs", "-H", "Content-Type: application/json", "-d", json.dumps(NETWORK))
    job = curl(f"/v1/jobs/{posted['id']}?wait=60")
    assert job["state"] == "succeeded"
    assert curl(f"/v1/jobs/{posted['id']}/results")["outputs"] == {"total": 3}


@pytest.mark.usefixtures("torch_required")
def test_run_code(machine: OneMachine) -> None:
    done = machine.command("run", "--code", "import torch; print(torch.__version__)")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", done.stdout)


def test_run_a_file_and_standard_input(machine: OneMachine, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import sys\nprint(__name__, sys.argv)\n")
    done = machine.command("run", str(script), "--", "--epochs", "3")
    assert (done.returncode, done.stdout) == (0, "__main__ ['train.py', '--epochs', '3']\n")
    done = machine.command("run", "-", input="print(6 * 7)\n")
    assert (done.returncode, done.stdout) == (0, "42\n")
    done = machine.command("run", "--code", "raise SystemExit(3)")
    assert done.returncode == 1


def test_submit_jobs_logs_results_wait(machine: OneMachine, tmp_path: Path) -> None:
    script = tmp_path / "named.py"
    script.write_text(
        "import time\n"
        "for i in range(5):\n    print('line', i)\n    time.sleep(0.1)\n"
        "open('outputs/note.txt', 'w').write('kept')\n"
        "loss = 0.25\n"
    )
    done = machine.command("submit", str(script), "--json")
    assert done.returncode == 0, done.stderr
    id = json.loads(done.stdout)["id"]
    followed = machine.command("logs", "-f", id)
    assert (followed.returncode, followed.stdout) == (
        0,
        "".join(f"line {i}\n" for i in range(5)),
    )
    waited = machine.command("wait", id)
    assert waited.returncode == 0, waited.stderr
    listed = json.loads(machine.command("jobs", "--json").stdout)
    jobs = listed["jobs"] if isinstance(listed, dict) else listed
    assert ("named", "succeeded") in [(job["name"], job["state"]) for job in jobs]
    assert id in machine.command("jobs").stdout
    assert "succeeded" in machine.command("show", id).stdout
    results = machine.command("results", id, "--json")
    assert json.loads(results.stdout)["outputs"]["loss"] == 0.25
    done = machine.command("results", id, "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "outputs" / "note.txt").read_text() == "kept"


def test_cancel_from_the_command_line(machine: OneMachine) -> None:
    done = machine.command("submit", "--code", "import time\ntime.sleep(600)", "--json")
    id = json.loads(done.stdout)["id"]
    with machine.client() as client:
        wait_until(lambda: client.job(id).status == "active", 20, "it runs")
        cancelled = machine.command("cancel", id, "--wait")
        assert cancelled.returncode == 0, cancelled.stderr
        assert client.job(id).status == "cancelled"
    assert machine.command("wait", id).returncode == 1


@pytest.mark.usefixtures("torch_required")
def test_create_project_makes_one_that_runs(machine: OneMachine, tmp_path: Path) -> None:
    done = machine.command("create-project", "my-ml-app", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "my-ml-app"
    scripts = list(project.glob("*.py"))
    assert scripts
    script = project / "train.py" if (project / "train.py").exists() else scripts[0]
    done = machine.command("run", script.name, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.command("create-project", "my-ml-app", cwd=tmp_path).returncode == 2


def test_node_status(machine: OneMachine) -> None:
    # Status files are written when something changes, at most once a second.
    for _ in range(50):
        done = machine.command("node", "status", "--data-dir", str(machine.data / "node"))
        if done.returncode == 0:
            break
        time.sleep(0.1)
    assert done.returncode == 0, done.stderr
    metrics = machine.command(
        "node", "status", "--metrics", "--data-dir", str(machine.data / "node")
    )
    assert metrics.returncode == 0, metrics.stderr
    assert metrics.stdout.strip()


def test_the_server_serves_its_description(machine: OneMachine) -> None:
    with httpx.Client(base_url=machine.endpoint) as http:
        served = http.get("/openapi.yaml")
        assert served.text == (ROOT / "schema" / "openapi.yaml").read_text()
        assert http.get("/openapi.json").json()["openapi"].startswith("3.1")
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        assert "<html" in http.get("/docs").text.lower()
        assert re.search(r"^bcai_\w+", http.get("/metrics").text, re.MULTILINE)


def test_doctor_and_config(machine: OneMachine) -> None:
    assert machine.command("doctor").returncode in (0, 1)
    listed = machine.command("config", "list")
    assert listed.returncode == 0 and machine.endpoint in listed.stdout
    assert machine.command("version").returncode == 0
    assert machine.command("no-such-command").returncode == 2
