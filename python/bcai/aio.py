# SPDX-License-Identifier: Apache-2.0
"""The twin of :class:`bcai.SDK` for asyncio: the same names, to be awaited.

What is a property of :class:`bcai.Job` and asks the network is a coroutine method here:
``await job.status()``. ``result.outputs`` needs no await: arrays are fetched with the result.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

import httpx

from bcai import config, flows, local
from bcai.errors import JobFailed
from bcai.follow import Follower, Item, JobChanged, JobEnded, LogLine
from bcai.http import client_options, failure, response_of, send_arguments
from bcai.outputs import Outputs
from bcai.records import JobEvent, JobRecord, Node, Progress, ResultRecord, Secret
from bcai.spec import JobDraft, JobMaker
from bcai.state import (
    RECEIPT_FILE,
    TENSOR_FILE,
    ArtifactList,
    JobState,
    ResultState,
    read_receipt,
    wait_wanted,
)
from bcai.tensors import RawTensor, read_safetensors
from bcai.wire import Flow, Reply, Request, Retry, Sleep

T = TypeVar("T")
OnLog = Callable[[LogLine], object]
OnProgress = Callable[[Progress], object]


class AsyncConnection:
    """Runs flows in one event loop."""

    def __init__(self, target: config.Target | None, retry: Retry, timeout_s: float) -> None:
        self.retry = retry
        self._target = target
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None
        self._local = False

    async def run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                if isinstance(step, Sleep):
                    await asyncio.sleep(step.seconds)
                    reply = None
                else:
                    reply = await self._send(step)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    async def follow(self, job_id: str) -> AsyncIterator[Item]:
        follower = Follower(job_id, self.retry)
        while not follower.ended:
            request = follower.request()
            reply: Reply = None
            try:
                arguments = send_arguments(request, self._timeout_s)
                async with (await self.client()).stream(**arguments) as answer:
                    if answer.status_code == 200:
                        follower.opened()
                        async for piece in answer.aiter_bytes():
                            for item in follower.feed(piece):
                                yield item
                            if follower.ended:
                                return
                    else:
                        reply = response_of(answer, await answer.aread())
            except httpx.TransportError as error:
                reply = failure(error)
            await asyncio.sleep(follower.broken(request, reply))

    async def client(self) -> httpx.AsyncClient:
        async with self._lock:
            if self._client is None:
                if self._target is None:
                    self._target, self._local = await asyncio.to_thread(local.acquire), True
                options, uds = client_options(self._target)
                if uds is not None:
                    options["transport"] = httpx.AsyncHTTPTransport(uds=uds)
                self._client = httpx.AsyncClient(**options)
            return self._client

    def refuse_open(self) -> None:
        config.refuse_open(self._target)

    async def close(self) -> None:
        async with self._lock:
            if self._client is not None:
                await self._client.aclose()
                self._client = None
            if self._local:
                await asyncio.to_thread(local.release)
                self._target, self._local = None, False

    async def _send(self, request: Request) -> Reply:
        try:
            client = await self.client()
            answer = await client.request(**send_arguments(request, self._timeout_s))
            return response_of(answer, answer.content)
        except httpx.TransportError as error:
            return failure(error)


class AsyncSDK(JobMaker["AsyncJob"]):
    """See :class:`bcai.SDK`. For one event loop; ``await close()`` or use ``async with``."""

    def __init__(
        self,
        endpoint: str | None = None,
        api_key: str | None = None,
        auto_retry: bool = True,
        timeout: float = 30,
        *,
        ca_file: str | None = None,
    ) -> None:
        target = config.resolve(endpoint, api_key, ca_file)
        self._connection = AsyncConnection(target, Retry(auto_retry), timeout)

    def _job_of(self, draft: JobDraft) -> AsyncJob:
        return AsyncJob(self._connection, draft, None)

    async def job(self, job_id: str) -> AsyncJob:
        record = await self._connection.run(flows.job(job_id, self._connection.retry))
        return AsyncJob(self._connection, None, record)

    async def jobs(
        self, state: str | None = None, name: str | None = None, limit: int = 50
    ) -> list[AsyncJob]:
        records = await self._connection.run(flows.jobs(state, name, limit, self._connection.retry))
        return [AsyncJob(self._connection, None, record) for record in records]

    async def nodes(self) -> list[Node]:
        return await self._connection.run(flows.nodes(self._connection.retry))

    async def whoami(self) -> dict[str, str]:
        return await self._connection.run(flows.whoami(self._connection.retry))

    async def secrets(self) -> list[Secret]:
        return await self._connection.run(flows.secrets(self._connection.retry))

    async def set_secret(self, name: str, value: str) -> None:
        self._connection.refuse_open()
        await self._connection.run(flows.set_secret(name, value, self._connection.retry))

    async def delete_secret(self, name: str) -> None:
        await self._connection.run(flows.delete_secret(name, self._connection.retry))

    async def close(self) -> None:
        await self._connection.close()

    async def __aenter__(self) -> AsyncSDK:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncJob(JobState):
    """See :class:`bcai.Job`."""

    def __init__(
        self, connection: AsyncConnection, draft: JobDraft | None, record: JobRecord | None
    ) -> None:
        super().__init__(connection.retry, draft, record)
        self._connection = connection

    @overload
    async def execute(
        self,
        wait: Literal[True] = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncJobResult: ...
    @overload
    async def execute(
        self,
        wait: bool = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> AsyncJobResult | AsyncJob: ...
    async def execute(
        self,
        wait: bool = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> AsyncJobResult | AsyncJob:
        """As :meth:`bcai.Job.execute`; the callbacks may be coroutine functions."""
        wait = wait_wanted(wait, options)
        await self._connection.run(self._submit_flow())
        if not wait:
            return self
        if on_log is not None or on_progress is not None:
            async for item in self._follow():
                answer: object = None
                if isinstance(item, LogLine) and on_log is not None:
                    answer = on_log(item)
                elif isinstance(item, JobChanged) and item.progressed and on_progress is not None:
                    answer = on_progress(item.record.progress)
                if inspect.isawaitable(answer):
                    await answer
        return await self.result()

    async def status(self) -> str:
        record = await self._connection.run(self._refresh_flow())
        return record.state if record is not None else "created"

    async def reason(self) -> str:
        record = await self._connection.run(self._refresh_flow())
        return record.reason if record is not None else ""

    async def progress(self) -> Progress:
        record = await self._connection.run(self._refresh_flow())
        return record.progress if record is not None else Progress()

    async def logs(self) -> str:
        return await self._connection.run(self._logs_flow())

    async def stream_logs(self) -> AsyncIterator[LogLine]:
        self._submitted()
        async for item in self._follow():
            if isinstance(item, LogLine):
                yield item

    async def events(self) -> list[JobEvent]:
        return await self._connection.run(self._events_flow())

    async def wait(self, timeout: float | None = None) -> str:
        return (await self._connection.run(self._wait_flow(timeout))).state

    async def result(self, timeout: float | None = None) -> AsyncJobResult:
        try:
            record = await self._connection.run(self._result_flow(timeout))
        except JobFailed as error:
            if isinstance(error.result, ResultRecord):
                error.result = AsyncJobResult(self._connection, error.result, {})
            raise
        tensors: dict[str, RawTensor] = {}
        if record.tensors:
            file = await AsyncArtifacts(self._connection, record).read(TENSOR_FILE)
            tensors = read_safetensors(file)
        return AsyncJobResult(self._connection, record, tensors)

    async def cancel(self) -> None:
        await self._connection.run(self._cancel_flow())

    async def _follow(self) -> AsyncIterator[Item]:
        async for item in self._connection.follow(self.id):
            if isinstance(item, (JobChanged, JobEnded)):
                self._record = item.record
            yield item


class AsyncArtifacts(ArtifactList):
    """See :class:`bcai.sdk.Artifacts`."""

    def __init__(self, connection: AsyncConnection, record: ResultRecord) -> None:
        super().__init__(record.artifacts, connection.retry)
        self._connection = connection

    async def read(self, name: str) -> bytes:
        return await self._connection.run(flows.read_artifact(self.find(name), self._retry))

    async def download(
        self, directory: str | os.PathLike[str] = ".", names: Sequence[str] | None = None
    ) -> list[Path]:
        return [
            await self._connection.run(flows.download_file(item, Path(directory), self._retry))
            for item in self._chosen(names)
        ]


class AsyncJobResult(ResultState):
    """See :class:`bcai.JobResult`."""

    def __init__(
        self, connection: AsyncConnection, record: ResultRecord, tensors: dict[str, RawTensor]
    ) -> None:
        super().__init__(record)
        self._connection = connection
        self.artifacts = AsyncArtifacts(connection, record)
        self.outputs = Outputs(record, lambda: tensors)

    async def logs(self) -> str:
        retry = self._connection.retry
        return await self._connection.run(flows.logs(self.job_id, retry, self.attempt_id))

    async def receipt(self) -> dict[str, Any]:
        """See :attr:`bcai.JobResult.receipt`."""
        return read_receipt(await self.artifacts.read(RECEIPT_FILE))
