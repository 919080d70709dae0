# SPDX-License-Identifier: Apache-2.0
"""Run machine learning on computers you do not have to trust.

    from bcai import SDK

    client = SDK()
    job = client.create_job("print('hello')")
    result = job.execute(on_log=print)

``output``, ``progress`` and ``log_metric`` are for a job's own code; see :mod:`bcai.inside`.
"""

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
    TensorInfo,
    Timings,
    Usage,
)
from bcai.sdk import SDK, Artifacts, Job, JobResult
from bcai.version import __version__

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
    "Node",
    "NotFound",
    "OutputMissing",
    "Outputs",
    "PermissionDenied",
    "Progress",
    "ResourceExhausted",
    "TensorInfo",
    "Timings",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
    "__version__",
    "log_metric",
    "output",
    "progress",
]
