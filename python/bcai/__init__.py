# SPDX-License-Identifier: Apache-2.0
"""Run machine learning on computers you do not have to trust.

    from bcai import SDK

    client = SDK()
    job = client.create_job("print('hello')")
    result = job.execute(on_log=print)

``Tensor`` and ``Model`` run on the VM of this machine, ``vm`` has programs and what they cost; see
:mod:`bcai.tensor`, :mod:`bcai.model`, :mod:`bcai.vm`.

``output``, ``progress`` and ``log_metric`` are for a job's own code; see :mod:`bcai.inside`.
"""

from typing import TYPE_CHECKING, Any

from bcai.aio import AsyncArtifacts, AsyncJob, AsyncJobResult, AsyncSDK
from bcai.errors import (
    BcaiError,
    Cancelled,
    Conflict,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Finding,
    InternalError,
    InvalidArgument,
    JobFailed,
    NotFound,
    OutputMissing,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from bcai.follow import LogLine
from bcai.inside import log_metric, output, progress
from bcai.outputs import Outputs
from bcai.records import (
    ArtifactInfo,
    Attempt,
    JobErrorInfo,
    JobEvent,
    JobRecord,
    Node,
    Progress,
    Quote,
    ReplicaAnswer,
    SandboxUsed,
    Secret,
    TensorInfo,
    Timings,
    Usage,
    Verification,
)
from bcai.sdk import SDK, Artifacts, Job, JobResult
from bcai.spec import SecurityLevel
from bcai.version import __version__

if TYPE_CHECKING:
    from bcai import vm
    from bcai.model import Model
    from bcai.tensor import Tensor

__all__ = [
    "SDK",
    "ArtifactInfo",
    "Artifacts",
    "AsyncArtifacts",
    "AsyncJob",
    "AsyncJobResult",
    "AsyncSDK",
    "Attempt",
    "BcaiError",
    "Cancelled",
    "Conflict",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Finding",
    "InternalError",
    "InvalidArgument",
    "Job",
    "JobErrorInfo",
    "JobEvent",
    "JobFailed",
    "JobRecord",
    "JobResult",
    "LogLine",
    "Model",
    "Node",
    "NotFound",
    "OutputMissing",
    "Outputs",
    "PermissionDenied",
    "Progress",
    "Quote",
    "ReplicaAnswer",
    "ResourceExhausted",
    "SandboxUsed",
    "Secret",
    "SecurityLevel",
    "Tensor",
    "TensorInfo",
    "Timings",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "Verification",
    "__version__",
    "log_metric",
    "output",
    "progress",
    "vm",
]


def __getattr__(name: str) -> Any:
    """What runs on the VM is imported when it is first asked for: the SDK needs none of it."""
    import importlib

    if name == "vm":
        return importlib.import_module("bcai.vm")
    if name in ("Model", "Tensor"):
        return getattr(importlib.import_module(f"bcai.{name.lower()}"), name)
    raise AttributeError(f"module 'bcai' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
