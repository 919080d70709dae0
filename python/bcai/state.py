# SPDX-License-Identifier: Apache-2.0
"""What a job's handle knows and the flows it takes, for both clients alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, overload

from bcai import flows
from bcai.errors import DataLoss, FailedPrecondition, NotFound
from bcai.records import ArtifactInfo, JobEvent, JobRecord, ResultRecord
from bcai.spec import JobDraft
from bcai.wire import Flow, Retry

TENSOR_FILE = "outputs.safetensors"
RECEIPT_FILE = "outputs/receipt.json"


def wait_wanted(wait: bool, options: dict[str, Any]) -> bool:
    """``execute``'s ``wait``, or the opposite of the ``async`` among its other arguments."""
    if "async" in options:
        wait = not options.pop("async")
    if options:
        raise TypeError(f"execute: unknown argument {next(iter(options))!r}")
    return wait


def read_receipt(data: bytes) -> dict[str, Any]:
    """Raises DataLoss when it is no JSON object."""
    try:
        receipt = json.loads(data)
    except ValueError as error:
        raise DataLoss(f"{RECEIPT_FILE}: {error}") from None
    if not isinstance(receipt, dict):
        raise DataLoss(f"{RECEIPT_FILE} is no JSON object")
    return receipt


class JobState:
    """``id`` is made by the client; ``name`` is ``""`` until the network has given one."""

    def __init__(self, retry: Retry, draft: JobDraft | None, record: JobRecord | None) -> None:
        source = record or draft
        assert source is not None
        self.id: str = source.id
        self._retry = retry
        self._draft = draft
        self._record = record

    @property
    def name(self) -> str:
        if self._record is not None:
            return self._record.name
        return str(self._draft.spec.get("name", "")) if self._draft else ""

    @property
    def replicas(self) -> int:
        """How many nodes run the job at the same time."""
        if self._record is not None:
            return self._record.replicas
        return int(self._draft.spec.get("replicas", 1)) if self._draft else 1

    @property
    def record(self) -> JobRecord | None:
        """What the network last told, without asking it again; ``None`` before ``execute()``."""
        return self._record

    def __repr__(self) -> str:
        state = self._record.state if self._record else "created"
        return f"<{type(self).__name__} {self.id} {state}>"

    def _submit_flow(self) -> Flow[JobRecord]:
        if self._record is None:
            assert self._draft is not None
            self._record = yield from flows.submit(self._draft, self._retry)
        return self._record

    def _refresh_flow(self) -> Flow[JobRecord | None]:
        if self._record is not None and not self._record.terminal:
            self._record = yield from flows.job(self.id, self._retry)
        return self._record

    def _wait_flow(self, timeout: float | None) -> Flow[JobRecord]:
        record = self._submitted()
        if not record.terminal:
            record = yield from flows.wait(self.id, timeout, self._retry)
            self._record = record
        return record

    def _result_flow(self, timeout: float | None) -> Flow[ResultRecord]:
        record = yield from self._wait_flow(timeout)
        return (yield from flows.result(record, self._retry))

    def _cancel_flow(self) -> Flow[None]:
        self._submitted()
        self._record = yield from flows.cancel(self.id, self._retry)

    def _logs_flow(self) -> Flow[str]:
        if self._record is None:
            return ""
        return (yield from flows.logs(self.id, self._retry))

    def _events_flow(self) -> Flow[list[JobEvent]]:
        if self._record is None:
            return []
        return (yield from flows.events(self.id, self._retry))

    def _submitted(self) -> JobRecord:
        if self._record is None:
            raise FailedPrecondition(f"{self.id} is not executed yet; call execute() first")
        return self._record


class ResultState:
    """A result's plain part. Times in milliseconds, sizes in bytes.

    ``environment_lock`` is what a job with requirements ran on, or None; given to ``create_job`` it
    makes the same environment again.

    Of a native program: ``commitment``, the SHA-256 of what its receipt commits to, ``quote``, and
    with replicas ``verification``."""

    def __init__(self, record: ResultRecord) -> None:
        self.job_id = record.job_id
        self.attempt_id = record.attempt_id
        self.state = record.state
        self.outcome = record.outcome
        self.exit_code = record.exit_code
        self.detail = record.detail
        self.usage = record.usage
        self.timings = record.timings
        self.sandbox = record.sandbox
        self.commitment = record.commitment
        self.environment_lock = record.environment_lock
        self.quote = record.quote
        self.verification = record.verification
        self._source = record

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job_id} {self.outcome} exit code {self.exit_code}>"


class ArtifactList(Sequence[ArtifactInfo]):
    """The files that a job left in ``outputs/``, by their paths in its working directory
    (``outputs/model.pt``), and the tensors of its outputs as one file, ``outputs.safetensors``."""

    def __init__(self, artifacts: Sequence[ArtifactInfo], retry: Retry) -> None:
        self._artifacts = tuple(artifacts)
        self._retry = retry

    @overload
    def __getitem__(self, index: int) -> ArtifactInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ArtifactInfo]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._artifacts[index]

    def __len__(self) -> int:
        return len(self._artifacts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.names) or 'none'}>"

    @property
    def names(self) -> list[str]:
        return [artifact.name for artifact in self._artifacts]

    def find(self, name: str) -> ArtifactInfo:
        """Raises NotFound, naming those there are."""
        for artifact in self._artifacts:
            if artifact.name == name:
                return artifact
        raise NotFound(f"no artifact {name!r}; there are: {', '.join(self.names) or 'none'}")

    def _chosen(self, names: Sequence[str] | None) -> list[ArtifactInfo]:
        return list(self) if names is None else [self.find(name) for name in names]
