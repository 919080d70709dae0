# SPDX-License-Identifier: Apache-2.0
"""The client. ``bcai.aio`` holds its twin for asyncio."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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


class Connection:
    """Runs flows over one pool of connections. Safe to use from several threads."""

    def __init__(self, target: config.Target | None, retry: Retry, timeout_s: float) -> None:
        self.retry = retry
        self._target = target
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._local = False

    def run(self, flow: Flow[T]) -> T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                if isinstance(step, Sleep):
                    time.sleep(step.seconds)
                    reply = None
                else:
                    reply = self._send(step)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    def follow(self, job_id: str) -> Iterator[Item]:
        follower = Follower(job_id, self.retry)
        while not follower.ended:
            request = follower.request()
            reply: Reply = None
            try:
                arguments = send_arguments(request, self._timeout_s)
                with self.client().stream(**arguments) as answer:
                    if answer.status_code == 200:
                        follower.opened()
                        for piece in answer.iter_bytes():
                            yield from follower.feed(piece)
                            if follower.ended:
                                return
                    else:
                        reply = response_of(answer, answer.read())
            except httpx.TransportError as error:
                reply = failure(error)
            time.sleep(follower.broken(request, reply))

    def client(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                if self._target is None:
                    self._target, self._local = local.acquire(), True
                options, uds = client_options(self._target)
                if uds is not None:
                    options["transport"] = httpx.HTTPTransport(uds=uds)
                self._client = httpx.Client(**options)
            return self._client

    def refuse_open(self) -> None:
        config.refuse_open(self._target)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._local:
                local.release()
                self._target, self._local = None, False

    def _send(self, request: Request) -> Reply:
        try:
            answer = self.client().request(**send_arguments(request, self._timeout_s))
            return response_of(answer, answer.content)
        except httpx.TransportError as error:
            return failure(error)


class SDK(JobMaker["Job"]):
    """A client of a BCAI network.

    ``endpoint`` and ``api_key``: see :mod:`bcai.config` for where they come from when not given;
    with no endpoint anywhere, jobs run in a private network on this machine, in a child process
    that ends with this one. ``auto_retry`` repeats what failed for a passing reason, with the
    same job id, so that a job never runs twice. ``timeout`` is in seconds, of one request, not of
    a job. ``ca_file`` is a PEM file of certificates to trust instead of the system's.

    Safe to use from several threads. ``close()`` it, or use it in a ``with`` statement.
    """

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
        self._connection = Connection(target, Retry(auto_retry), timeout)

    def _job_of(self, draft: JobDraft) -> Job:
        return Job(self._connection, draft, None)

    def job(self, job_id: str) -> Job:
        """The job of this id. Raises NotFound."""
        record = self._connection.run(flows.job(job_id, self._connection.retry))
        return Job(self._connection, None, record)

    def jobs(self, state: str | None = None, name: str | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first; only those in ``state`` or called ``name`` when given."""
        flow = flows.jobs(state, name, limit, self._connection.retry)
        return [Job(self._connection, None, record) for record in self._connection.run(flow)]

    def nodes(self) -> list[Node]:
        """The machines of the network."""
        return self._connection.run(flows.nodes(self._connection.retry))

    def whoami(self) -> dict[str, str]:
        """``key_id``, ``name`` and ``role`` of the API key in use."""
        return self._connection.run(flows.whoami(self._connection.retry))

    def secrets(self) -> list[Secret]:
        """Your secrets by name: sizes and dates, never values."""
        return self._connection.run(flows.secrets(self._connection.retry))

    def set_secret(self, name: str, value: str) -> None:
        """Stores a value, encrypted, for jobs made with ``secrets=[name]``.

        Such a job finds it in ``os.environ[name]``; its output is searched for it. ``name`` is as
        of a variable, A-Z, 0-9 and _; ``value`` takes 1 byte to 64 KiB. Raises FailedPrecondition
        rather than send it where others could read it on the way.
        """
        self._connection.refuse_open()
        self._connection.run(flows.set_secret(name, value, self._connection.retry))

    def delete_secret(self, name: str) -> None:
        """Deletes it. Jobs that name it and have not begun will fail. Raises NotFound."""
        self._connection.run(flows.delete_secret(name, self._connection.retry))

    def close(self) -> None:
        """Closes the connections and, when it is the last user, the private network."""
        self._connection.close()

    def __enter__(self) -> SDK:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Job(JobState):
    """A job, made by :meth:`SDK.create_job` or found by :meth:`SDK.job`.

    Each property asks the network anew until the job has ended.
    """

    def __init__(
        self, connection: Connection, draft: JobDraft | None, record: JobRecord | None
    ) -> None:
        super().__init__(connection.retry, draft, record)
        self._connection = connection

    @overload
    def execute(
        self,
        wait: Literal[True] = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
    ) -> JobResult: ...
    @overload
    def execute(
        self,
        wait: bool = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> JobResult | Job: ...
    def execute(
        self,
        wait: bool = True,
        on_log: OnLog | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> JobResult | Job:
        """Submits the job and waits for its result.

        With ``wait=False``, also spelled ``**{"async": True}``, it returns this job as soon as the
        network has it on disk. ``on_log`` is called with each line of output as it comes,
        ``on_progress`` whenever the progress changes, both in this thread. Called again, it does
        not submit again.

        Raises JobFailed when the job did not succeed, InvalidArgument with all findings when it
        was refused, Unavailable when the network could not be reached.
        """
        wait = wait_wanted(wait, options)
        self._connection.run(self._submit_flow())
        if not wait:
            return self
        if on_log is not None or on_progress is not None:
            for item in self._follow():
                if isinstance(item, LogLine) and on_log is not None:
                    on_log(item)
                elif isinstance(item, JobChanged) and item.progressed and on_progress is not None:
                    on_progress(item.record.progress)
        return self.result()

    @property
    def status(self) -> str:
        """``"created"`` before ``execute()``, then the job's state: ``"queued"``, ``"active"``,
        ``"verifying"``, and at last ``"succeeded"``, ``"failed"``, ``"cancelled"``, ``"expired"``,
        ``"held"``, ``"lost"`` or ``"disputed"``."""
        record = self._connection.run(self._refresh_flow())
        return record.state if record is not None else "created"

    @property
    def reason(self) -> str:
        """Why the job is in its state: what it waits for, or how it failed."""
        record = self._connection.run(self._refresh_flow())
        return record.reason if record is not None else ""

    @property
    def progress(self) -> Progress:
        record = self._connection.run(self._refresh_flow())
        return record.progress if record is not None else Progress()

    @property
    def logs(self) -> str:
        """All output so far, both streams merged, of the newest attempt."""
        return self._connection.run(self._logs_flow())

    def stream_logs(self) -> Iterator[LogLine]:
        """Each line of output as it comes, from the first on, until the job has ended.

        Waits while the job is queued. A broken connection is resumed where it broke. Raises
        Unavailable when the network stays away.
        """
        self._submitted()
        return (item for item in self._follow() if isinstance(item, LogLine))

    def events(self) -> list[JobEvent]:
        """The steps of the job's life so far."""
        return self._connection.run(self._events_flow())

    def wait(self, timeout: float | None = None) -> str:
        """Until the job has ended, however it did; returns its state.

        Raises DeadlineExceeded, which is a TimeoutError, after ``timeout`` seconds.
        """
        return self._connection.run(self._wait_flow(timeout)).state

    def result(self, timeout: float | None = None) -> JobResult:
        """Waits like ``wait()`` and returns the result. Raises JobFailed when there is none."""
        try:
            return JobResult(self._connection, self._connection.run(self._result_flow(timeout)))
        except JobFailed as error:
            if isinstance(error.result, ResultRecord):
                error.result = JobResult(self._connection, error.result)
            raise

    def cancel(self) -> None:
        """Asks for the job's end and returns; ``wait()`` tells when it is dead."""
        self._connection.run(self._cancel_flow())

    def _follow(self) -> Iterator[Item]:
        for item in self._connection.follow(self.id):
            if isinstance(item, (JobChanged, JobEnded)):
                self._record = item.record
            yield item


class Artifacts(ArtifactList):
    """A sequence of :class:`~bcai.records.ArtifactInfo`."""

    def __init__(self, connection: Connection, record: ResultRecord) -> None:
        super().__init__(record.artifacts, connection.retry)
        self._connection = connection

    def read(self, name: str) -> bytes:
        """The whole file. Raises NotFound, or DataLoss when the bytes do not fit their digest."""
        return self._connection.run(flows.read_artifact(self.find(name), self._retry))

    def download(
        self, directory: str | os.PathLike[str] = ".", names: Sequence[str] | None = None
    ) -> list[Path]:
        """Writes all files, or those of ``names``, below ``directory``; returns their paths."""
        return [
            self._connection.run(flows.download_file(item, Path(directory), self._retry))
            for item in self._chosen(names)
        ]


class JobResult(ResultState):
    """What came of a job: ``outputs``, ``artifacts``, ``usage``, ``logs``, ``exit_code``, …"""

    def __init__(self, connection: Connection, record: ResultRecord) -> None:
        super().__init__(record)
        self._connection = connection
        self.artifacts = Artifacts(connection, record)
        self.outputs = Outputs(record, self._load_tensors)

    @property
    def logs(self) -> str:
        """All output of the attempt that made this result."""
        retry = self._connection.retry
        return self._connection.run(flows.logs(self.job_id, retry, self.attempt_id))

    @property
    def receipt(self) -> dict[str, Any]:
        """What a native program's run commits to (docs/formats/receipt.md). Raises NotFound."""
        return read_receipt(self.artifacts.read(RECEIPT_FILE))

    def _load_tensors(self) -> dict[str, RawTensor]:
        return read_safetensors(self.artifacts.read(TENSOR_FILE))
