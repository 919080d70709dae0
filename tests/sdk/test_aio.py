# SPDX-License-Identifier: Apache-2.0
"""The asyncio twin says and does the same."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import bcai
import pytest
from bcai import AsyncJob, AsyncSDK, Job
from fake_coordinator import KEY, FakeCoordinator, FakeJob, Network, wait_until
from test_results import WEIGHTS, artifact


async def test_execute(fake: FakeCoordinator) -> None:
    async with AsyncSDK(fake.endpoint, KEY) as client:
        job = client.create_job("pass", name="n")
        assert (await job.status(), await job.logs(), fake.seen) == ("created", "", [])
        result = await job.execute()
        assert result.outputs["loss"] == 2.25
        assert await result.logs() == "one\ntwo\n"
        assert (await job.status(), job.name) == ("succeeded", "n")
        assert [found.id for found in await client.jobs()] == [job.id]
        assert (await (await client.job(job.id)).result()).exit_code == 0
        assert [event.kind for event in await job.events()] == ["job.queued"]
        assert await client.nodes() == []
        assert (await client.whoami())["name"] == "me"
        await client.set_secret("TOKEN", "hunter22")
        assert [secret.name for secret in await client.secrets()] == ["TOKEN"]
        await client.delete_secret("TOKEN")


async def test_many_at_once(fake: FakeCoordinator) -> None:
    async with AsyncSDK(fake.endpoint, KEY) as client:
        results = await asyncio.gather(*(client.create_job("pass").execute() for _ in range(20)))
    assert [result.outputs["loss"] for result in results] == [2.25] * 20
    assert fake.started == 20


async def test_logs_progress_and_cancel(network: Network) -> None:
    def plan(job: FakeJob) -> None:
        job.start()
        job.log("a\nb")
        job.change(progress={"fraction": 0.5, "message": "half", "metrics": {}})
        job.log("c\n")
        wait_until(lambda: job.desired == "cancel")
        job.end("cancelled", outcome="cancelled")

    fake = network(plan)
    fake.stream_events_max = 1
    heard: list[str] = []
    told: list[float | None] = []

    async with AsyncSDK(fake.endpoint, KEY) as client:
        job = client.create_job("pass")

        async def on_log(line: bcai.LogLine) -> None:
            heard.append(line)
            if line == "bc":
                await job.cancel()

        with pytest.raises(bcai.JobFailed) as caught:
            await job.execute(on_log=on_log, on_progress=lambda p: told.append(p.fraction))
        assert (caught.value.outcome, heard, told) == ("cancelled", ["a", "bc"], [0.5])
        assert [line async for line in job.stream_logs()] == ["a", "bc"]
        assert (await job.progress()).message == "half"
        assert await job.wait() == "cancelled"


async def test_errors_and_retries(fake: FakeCoordinator) -> None:
    async with AsyncSDK(fake.endpoint, KEY) as client:
        await client.whoami()
        fake.fail("POST", "/v1/jobs", 0, 2, after=True)
        job = client.create_job("pass")
        assert await job.execute(**{"async": True}) is job
        assert fake.started == 1
        with pytest.raises(bcai.Conflict):
            await client.create_job("other", id=job.id).execute()
        with pytest.raises(bcai.NotFound):
            await client.job("job_" + "0" * 26)


async def test_tensors_and_artifacts(network: Network, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    fake = network(
        lambda job: job.end(
            tensors=[{"name": "w", "dtype": "F32", "shape": [2, 2]}], artifacts=[item]
        )
    )
    item = artifact(fake, "outputs.safetensors", WEIGHTS)
    async with AsyncSDK(fake.endpoint, KEY) as client:
        result = await client.create_job("pass").execute()
        assert result.outputs["w"].tolist() == [[1, 2], [3, 4]]
        assert await result.artifacts.read("outputs.safetensors") == WEIGHTS
        (path,) = await result.artifacts.download(tmp_path)
        assert path.read_bytes() == WEIGHTS


def test_the_names_are_the_same() -> None:
    for one, twin in ((bcai.SDK, AsyncSDK), (Job, AsyncJob), (bcai.Artifacts, bcai.AsyncArtifacts)):
        public = {name for name in dir(one) if not name.startswith("_")}
        assert public == {name for name in dir(twin) if not name.startswith("_")}
        for name in public:
            mine, other = getattr(one, name), getattr(twin, name)
            if inspect.isfunction(mine):
                parameters = inspect.signature(mine).parameters
                assert list(parameters) == list(inspect.signature(other).parameters)
