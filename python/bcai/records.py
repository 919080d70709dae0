# SPDX-License-Identifier: Apache-2.0
"""What the network says of jobs, attempts, results and nodes, as frozen values.

Each ``from_json`` takes a parsed answer (``schema/openapi.yaml`` names the members). A member that
is absent or of another type takes its default, and one that is not known is ignored, so that an
older SDK reads the answers of a newer network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]

TERMINAL_STATES = frozenset(
    {"succeeded", "failed", "cancelled", "expired", "held", "lost", "disputed"}
)


def _text(data: Json, key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _int(data: Json, key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _object(data: Json, key: str) -> Json:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _objects(data: Json, key: str) -> list[Json]:
    value = data.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _time(data: Json, key: str) -> datetime | None:
    text = _text(data, key)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Progress:
    """How far a job is. ``fraction`` is 0 to 1, ``None`` while the job has not said."""

    fraction: float | None = None
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def from_json(data: Json) -> Progress:
        fraction = data.get("fraction")
        return Progress(
            fraction=float(fraction) if isinstance(fraction, (int, float)) else None,
            message=_text(data, "message"),
            metrics=dict(_object(data, "metrics")),
        )


@dataclass(frozen=True)
class Attempt:
    """One try at running a job on one node."""

    id: str
    node_id: str
    node_name: str
    epoch: int
    state: str
    reason: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    replica: int = 0

    @staticmethod
    def from_json(data: Json) -> Attempt:
        return Attempt(
            id=_text(data, "id"),
            node_id=_text(data, "node_id"),
            node_name=_text(data, "node_name"),
            epoch=_int(data, "epoch"),
            state=_text(data, "state"),
            reason=_text(data, "reason"),
            created_at=_time(data, "created_at"),
            started_at=_time(data, "started_at"),
            ended_at=_time(data, "ended_at"),
            replica=_int(data, "replica"),
        )


@dataclass(frozen=True)
class Quote:
    """What a native program's run takes. ``program`` is its identity, a SHA-256."""

    program: str
    symbols: Mapping[str, int]
    gas: int
    flops: int
    bytes: int
    instructions: int
    weight_bytes: int
    memory_bytes: int

    @staticmethod
    def from_json(data: Json) -> Quote | None:
        if not _text(data, "program"):
            return None
        numbers = ("gas", "flops", "bytes", "instructions", "weight_bytes", "memory_bytes")
        return Quote(
            program=_text(data, "program"),
            symbols=dict(_object(data, "symbols")),
            **{name: _int(data, name) for name in numbers},
        )


@dataclass(frozen=True)
class ReplicaAnswer:
    """One replica's answer. ``agrees`` with the network's own re-run; ``None`` without one."""

    attempt_id: str
    node_id: str
    node_name: str
    commitment: str
    agrees: bool | None
    differs: str
    instruction: str

    @staticmethod
    def from_json(data: Json) -> ReplicaAnswer:
        agrees = data.get("agrees")
        return ReplicaAnswer(
            attempt_id=_text(data, "attempt_id"),
            node_id=_text(data, "node_id"),
            node_name=_text(data, "node_name"),
            commitment=_text(data, "commitment"),
            agrees=agrees if isinstance(agrees, bool) else None,
            differs=_text(data, "differs"),
            instruction=_text(data, "instruction"),
        )


@dataclass(frozen=True)
class Verification:
    """What came of comparing replicas: ``verdict`` is ``"agreed"``, ``"differed"`` or
    ``"undecided"``."""

    verdict: str
    reason: str
    rerun_commitment: str
    answers: tuple[ReplicaAnswer, ...]

    @staticmethod
    def from_json(data: Json) -> Verification | None:
        if not _text(data, "verdict"):
            return None
        return Verification(
            verdict=_text(data, "verdict"),
            reason=_text(data, "reason"),
            rerun_commitment=_text(data, "rerun_commitment"),
            answers=tuple(ReplicaAnswer.from_json(item) for item in _objects(data, "answers")),
        )


@dataclass(frozen=True)
class JobRecord:
    """A job as the network last told it. ``version`` grows with every visible change."""

    id: str
    name: str
    state: str
    desired: str
    reason_code: str
    reason: str
    version: int
    owner: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    progress: Progress
    attempts: tuple[Attempt, ...]
    spec: Json
    quote: Quote | None = None
    verification: Verification | None = None

    @property
    def replicas(self) -> int:
        """How many nodes run the job at the same time."""
        return _int(self.spec, "replicas") or 1

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @staticmethod
    def from_json(data: Json) -> JobRecord:
        return JobRecord(
            id=_text(data, "id"),
            name=_text(data, "name"),
            state=_text(data, "state"),
            desired=_text(data, "desired"),
            reason_code=_text(data, "reason_code"),
            reason=_text(data, "reason"),
            version=_int(data, "version"),
            owner=_text(data, "owner"),
            created_at=_time(data, "created_at"),
            started_at=_time(data, "started_at"),
            ended_at=_time(data, "ended_at"),
            progress=Progress.from_json(_object(data, "progress")),
            attempts=tuple(Attempt.from_json(item) for item in _objects(data, "attempts")),
            spec=_object(data, "spec"),
            quote=Quote.from_json(_object(data, "quote")),
            verification=Verification.from_json(_object(data, "verification")),
        )


@dataclass(frozen=True)
class JobEvent:
    """A step in a job's life, with who took it and why."""

    sequence: int
    time: datetime | None
    kind: str
    actor: str
    reason: str

    @staticmethod
    def from_json(data: Json) -> JobEvent:
        return JobEvent(
            sequence=_int(data, "sequence"),
            time=_time(data, "time"),
            kind=_text(data, "kind"),
            actor=_text(data, "actor"),
            reason=_text(data, "reason"),
        )


@dataclass(frozen=True)
class Usage:
    """What an attempt used, by the node's kernel: milliseconds, bytes, counts."""

    wall_ms: int = 0
    cpu_ms: int = 0
    memory_peak_bytes: int = 0
    processes_peak: int = 0
    output_bytes: int = 0
    output_bytes_dropped: int = 0

    @staticmethod
    def from_json(data: Json) -> Usage:
        return Usage(**{name: _int(data, name) for name in Usage.__dataclass_fields__})


@dataclass(frozen=True)
class Timings:
    """Where an attempt's time went on the node, in milliseconds.

    ``start`` says where its process came from: ``"cold"``, ``"forked"``, ``"warm"``, or ``""``
    when there was none."""

    staging_ms: int = 0
    start_ms: int = 0
    run_ms: int = 0
    collect_ms: int = 0
    start: str = ""

    @staticmethod
    def from_json(data: Json) -> Timings:
        return Timings(
            staging_ms=_int(data, "staging_ms"),
            start_ms=_int(data, "start_ms"),
            run_ms=_int(data, "run_ms"),
            collect_ms=_int(data, "collect_ms"),
            start=_text(data, "start"),
        )


@dataclass(frozen=True)
class SandboxUsed:
    """What held an attempt, as the node tells it: ``security_level``, the runtime with its version,
    and the self-test: of the high level when it was passed, else the SHA-256 by which the node's
    audit log names it. Empty when it never was in a sandbox."""

    security_level: str = ""
    runtime: str = ""
    self_test: str = ""

    @staticmethod
    def from_json(data: Json) -> SandboxUsed:
        return SandboxUsed(
            security_level=_text(data, "security_level"),
            runtime=_text(data, "runtime"),
            self_test=_text(data, "self_test"),
        )


@dataclass(frozen=True)
class ArtifactInfo:
    """A file that a job left. ``sha256`` is 64 lower-case hexadecimal digits."""

    name: str
    sha256: str
    bytes: int

    @staticmethod
    def from_json(data: Json) -> ArtifactInfo:
        return ArtifactInfo(_text(data, "name"), _text(data, "sha256"), _int(data, "bytes"))


@dataclass(frozen=True)
class TensorInfo:
    """An array among the outputs. ``dtype`` as safetensors names it: ``"F32"``, ``"I64"``.

    ``sha256`` is of its bytes when it is a native program's result, else ``""``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str = ""

    @staticmethod
    def from_json(data: Json) -> TensorInfo:
        shape = data.get("shape")
        sizes = tuple(int(size) for size in shape) if isinstance(shape, list) else ()
        return TensorInfo(_text(data, "name"), _text(data, "dtype"), sizes, _text(data, "sha256"))


@dataclass(frozen=True)
class JobErrorInfo:
    """What a job's Python said of its failure. ``line`` is 0 when it is not known."""

    type: str
    message: str
    traceback: str
    line: int

    @staticmethod
    def from_json(data: Json) -> JobErrorInfo | None:
        if not _text(data, "type"):
            return None
        return JobErrorInfo(
            _text(data, "type"),
            _text(data, "message"),
            _text(data, "traceback"),
            _int(data, "line"),
        )


@dataclass(frozen=True)
class ResultRecord:
    """The answer of ``GET /v1/jobs/{id}/results``."""

    job_id: str
    attempt_id: str
    state: str
    outcome: str
    exit_code: int
    detail: str
    outputs: Json
    tensors: tuple[TensorInfo, ...]
    left_out: Mapping[str, str]
    artifacts: tuple[ArtifactInfo, ...]
    error: JobErrorInfo | None
    usage: Usage
    timings: Timings
    sandbox: SandboxUsed = SandboxUsed()
    commitment: str = ""
    environment_lock: Json | None = None
    quote: Quote | None = None
    verification: Verification | None = None

    @staticmethod
    def from_json(data: Json) -> ResultRecord:
        left_out = {
            _text(item, "name"): _text(item, "reason") for item in _objects(data, "left_out")
        }
        return ResultRecord(
            job_id=_text(data, "job_id"),
            attempt_id=_text(data, "attempt_id"),
            state=_text(data, "state"),
            outcome=_text(data, "outcome"),
            exit_code=_int(data, "exit_code"),
            detail=_text(data, "detail"),
            outputs=_object(data, "outputs"),
            tensors=tuple(TensorInfo.from_json(item) for item in _objects(data, "tensors")),
            left_out=left_out,
            artifacts=tuple(ArtifactInfo.from_json(item) for item in _objects(data, "artifacts")),
            error=JobErrorInfo.from_json(_object(data, "error")),
            usage=Usage.from_json(_object(data, "usage")),
            timings=Timings.from_json(_object(data, "timings")),
            sandbox=SandboxUsed.from_json(_object(data, "sandbox")),
            commitment=_text(data, "commitment"),
            environment_lock=_object(data, "environment_lock") or None,
            quote=Quote.from_json(_object(data, "quote")),
            verification=Verification.from_json(_object(data, "verification")),
        )


@dataclass(frozen=True)
class Secret:
    """A value that jobs get and nobody is shown; ``bytes`` is its size."""

    name: str
    bytes: int
    created_at: datetime | None
    updated_at: datetime | None

    @staticmethod
    def from_json(data: Json) -> Secret:
        return Secret(
            name=_text(data, "name"),
            bytes=_int(data, "bytes"),
            created_at=_time(data, "created_at"),
            updated_at=_time(data, "updated_at"),
        )


@dataclass(frozen=True)
class Node:
    """A machine of the network. ``state`` is ``online``, ``silent`` or ``offline``.

    ``free`` and ``capabilities`` are as in ``schema/openapi.yaml`` (Capacity, Capabilities).
    """

    id: str
    name: str
    state: str
    registered_at: datetime | None
    last_seen: datetime | None
    running: int
    free: Json
    capabilities: Json

    @staticmethod
    def from_json(data: Json) -> Node:
        return Node(
            id=_text(data, "id"),
            name=_text(data, "name"),
            state=_text(data, "state"),
            registered_at=_time(data, "registered_at"),
            last_seen=_time(data, "last_seen"),
            running=_int(data, "running"),
            free=_object(data, "free"),
            capabilities=_object(data, "capabilities"),
        )
