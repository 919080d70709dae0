# SPDX-License-Identifier: Apache-2.0
"""Requirements from a job to its result, with an index on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bcai import SDK, JobFailed
from machine import ROOT, run_command
from node_network import NodeNetwork, started

sys.path.insert(0, str(ROOT / "tests/environment"))
from package_index import Index

UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(UV is None, reason="needs uv: pip install uv")


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    index = Index()
    yield index
    index.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, index: Index) -> Iterator[NodeNetwork]:
    yield from started(tmp_path_factory, "environments", f"uv: {UV}\nindex_url: {index.url}\n")


@pytest.fixture
def client(network: NodeNetwork) -> Iterator[SDK]:
    with network.client() as client:
        yield client


def test_a_job_runs_on_what_it_asks_for_and_again_on_its_lock(client: SDK, index: Index) -> None:
    index.add("adds-up", files={"adds_up/sums.py": "def add(a, b): return a + b\n"})
    code = "import adds_up.sums, adds_up\nx = adds_up.sums.add(2, 3)\nv = adds_up.version\n"
    assert client.nodes()[0].capabilities["environments"] is True
    job = client.create_job(code, requirements=["adds-up<2"])
    result = job.execute()
    assert result.outputs["x"] == 5
    log = job.logs
    for step in ("resolving 1 requirement", "downloading 1 of 1", "building 1 of 1"):
        assert f"environment: {step}\n" in log
    lock = result.environment_lock
    assert lock is not None and lock["packages"][0]["wheel"] == "adds_up-1.0-py3-none-any.whl"

    index.add("adds-up", "1.5")
    again = client.create_job(code, environment_lock=lock).execute()
    assert again.outputs["v"] == "1.0"
    assert again.environment_lock == lock
    assert client.create_job("x = 1").execute().environment_lock is None


def test_what_the_base_has_needs_nothing(client: SDK) -> None:
    job = client.create_job("import numpy", requirements=["numpy>1"])
    result = job.execute()
    assert "environment:" not in job.logs
    assert result.environment_lock is not None and result.environment_lock["packages"] == []
    assert list(result.environment_lock["base"]) == ["numpy"]


def test_why_there_is_no_environment(client: SDK, index: Index) -> None:
    index.add("one", requires=["three<2"])
    index.add("two", requires=["three>=2"])
    index.add("three", "1.0")
    index.add("three", "2.0")
    index.add("startup", files={"startup.pth": "import os\n"})
    for requirements, words in [
        (["one", "two"], "cannot be satisfied together"),
        (["no-such-package"], "a package does not exist"),
        (["startup"], "startup.pth holds code"),
    ]:
        job = client.create_job("x = 1", requirements=requirements)
        with pytest.raises(JobFailed, match=words) as failure:
            job.execute()
        assert failure.value.result is not None
        assert failure.value.result.outcome == "environment_failed"
        assert words in job.logs
    # With the resolver's own words in full.
    assert "three>=2" in client.jobs(limit=3)[-1].logs


def test_the_command_line_explains_in_lines(network: NodeNetwork, index: Index) -> None:
    index.add("left", requires=["middle<2"])
    index.add("right", requires=["middle>=2"])
    index.add("middle", "1.0")
    index.add("middle", "2.0")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return run_command(
            network.directory, words, BCAI_ENDPOINT=network.endpoint, BCAI_API_KEY=network.key
        )

    asked = ("--requirements", "left", "--requirements", "right")
    ran = command("run", "--code", "x = 1", *asked)
    assert ran.returncode == 1 and "?" not in ran.stderr
    # Where it was seen before the scheduler looked at it, a line says so.
    *log, summary = (
        line for line in ran.stderr.splitlines() if not line.startswith("queued: ")
    )
    assert log[0] == "environment: resolving 2 requirements"
    assert log[1].startswith("environment: the requirements cannot be satisfied together: Because ")
    assert len(log) > 2 and all(line.startswith("  ") for line in log[2:])
    assert "middle>=2" in summary
    shown = command("show", summary.split()[0]).stdout
    assert "?" not in shown
    lines = shown.splitlines()
    [at] = [i for i, line in enumerate(lines) if line.startswith("reason ")]
    assert "middle>=2" in lines[at] and lines[at + 1].startswith(" " * 11)
    ran = command("run", "--code", "x = 1", "--requirements", "no-such-package")
    assert "a package does not exist: Because no-such-package " in ran.stderr.splitlines()[-1]


def test_what_no_index_has_is_refused_at_once(client: SDK) -> None:
    for bad in ("https://e.example/x.whl", "./x", "-e .", "x @ git+https://e.example/x"):
        with pytest.raises(Exception, match="asked for by name and version"):
            client.create_job("x = 1", requirements=[bad]).execute()


def test_the_command_line_gives_a_lock_back(
    network: NodeNetwork, index: Index, tmp_path: Path
) -> None:
    index.add("for-cli")
    (tmp_path / "job.py").write_text("import for_cli\nprint('version', for_cli.version)\n")

    def run(*arguments: str) -> str:
        ran = run_command(
            network.directory, [*arguments], cwd=tmp_path,
            BCAI_ENDPOINT=network.endpoint, BCAI_API_KEY=network.key,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    identity = run("submit", "--requirements", "for-cli", "job.py").strip()
    run("wait", identity)
    results = run("results", identity, "--json")
    assert json.loads(results)["environment_lock"]["packages"][0]["name"] == "for-cli"
    (tmp_path / "results.json").write_text(results)
    index.add("for-cli", "2.0")
    assert "version 1.0\n" in run("run", "--environment-lock", "results.json", "job.py")


needs_runsc = pytest.mark.skipif(
    shutil.which("runsc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin") is None,
    reason="needs runsc: apt-get install runsc",
)


@needs_runsc
def test_a_package_is_built_from_source_when_it_is_named(
    client: SDK, network: NodeNetwork, index: Index, tmp_path: Path
) -> None:
    index.add_source("from-source")
    index.add_source("broken-source", before="raise SystemExit('this cannot be built')")
    code = "import from_source\nv = from_source.version\n"
    refused = client.create_job(code, requirements=["from-source"])
    with pytest.raises(JobFailed, match="build_from_source"):
        refused.execute()
    job = client.create_job(
        code, requirements=["from-source"], build_from_source=["from-source"]
    )
    result = job.execute()
    assert result.outputs["v"] == "1.0"
    assert result.sandbox.security_level == "standard"  # of the job; its package's was high
    assert "environment: building from-source 1.0 from source\n" in job.logs
    lock = result.environment_lock
    assert lock is not None and lock["sources"][0]["file"] == "from_source-1.0.tar.gz"
    again = client.create_job(code, environment_lock=lock).execute()
    assert again.outputs["v"] == "1.0" and again.environment_lock == lock

    broken = client.create_job(
        "x = 1", requirements=["broken-source"], build_from_source=["broken-source"]
    )
    with pytest.raises(JobFailed, match="from source failed: this cannot be built"):
        broken.execute()
    assert "The end of what backend said in build_wheel" in broken.logs

    (tmp_path / "job.py").write_text(code + "print('version', v)\n")
    ran = run_command(
        network.directory,
        ["run", "--requirements", "from-source==1.0", "--build-from-source", "from-source",
         "job.py"],
        cwd=tmp_path, BCAI_ENDPOINT=network.endpoint, BCAI_API_KEY=network.key,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "version 1.0\n" in ran.stdout


def test_what_no_node_has_waits_with_the_reason(client: SDK) -> None:
    lock = {"format": 1, "python": "3.11", "platform": "linux_x86_64", "packages": []}
    for asked, reason in [
        ({"python_version": "3.7"}, "needs Python 3.7; the only node has 3."),
        ({"environment_lock": {**lock, "base": {"numpy": "0.1"}}}, "base of its lock: numpy 0.1"),
    ]:
        job = client.create_job("x = 1", queue_timeout=3, **asked)
        with pytest.raises(Exception, match=reason):
            job.execute()
