# SPDX-License-Identifier: Apache-2.0
"""The exceptions of this package, one for each error code of the network and the VM.

Everything that this package raises on purpose is a :class:`BcaiError`. A refused request becomes
the class of its ``code`` (``schema/openapi.yaml``, Problem); a job that did not succeed becomes
:class:`JobFailed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bcai.records import JobErrorInfo


class BcaiError(Exception):
    """Base of all errors of this package.

    ``code`` is the network's word for it, ``status`` the HTTP status (``None`` when there was no
    answer), ``message`` one sentence or more for a person.
    """

    code = "internal"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a submission.

    ``pointer`` is a JSON pointer into the job's specification (``"/hardware/memory"``). ``line``
    and ``column`` count from 1 and are 0 where there is no place to show.
    """

    pointer: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        return f"{place}{self.pointer}: {self.message}" if self.pointer else place + self.message


class InvalidArgument(BcaiError, ValueError):
    """The request, program or tensor is wrong as it stands; ``findings`` or the message names
    everything that is."""

    code = "invalid_argument"

    def __init__(
        self, message: str, *, status: int | None = None, findings: Sequence[Finding] = ()
    ) -> None:
        lines = [message, *(f"  {finding}" for finding in findings)]
        super().__init__("\n".join(lines), status=status)
        self.findings = tuple(findings)


class NotFound(BcaiError):
    """There is no such job, node, key or artifact, or it is not yours to see."""

    code = "not_found"


class Conflict(BcaiError):
    """Something else is there already, such as another job under this id."""

    code = "already_exists"


class PermissionDenied(BcaiError):
    """The API key is good, but its role may not do this."""

    code = "permission_denied"


class Unauthenticated(BcaiError):
    """No API key, or one that the network does not know."""

    code = "unauthenticated"


class FailedPrecondition(BcaiError):
    """Not now: the job has no result yet, or the machine lacks something."""

    code = "failed_precondition"


class ResourceExhausted(BcaiError):
    """Too many requests, or too large a one."""

    code = "resource_exhausted"


class DeadlineExceeded(BcaiError, TimeoutError):
    """It took longer than the caller or the server was ready to wait. The job goes on."""

    code = "deadline_exceeded"


class Cancelled(BcaiError):
    """The request was called off."""

    code = "cancelled"


class Unavailable(BcaiError):
    """The network cannot be reached, or says that it cannot answer now."""

    code = "unavailable"


class Unimplemented(BcaiError):
    """This server does not know how."""

    code = "unimplemented"


class DataLoss(BcaiError):
    """Bytes are not what their digest promises."""

    code = "data_loss"


class InternalError(BcaiError):
    """A fault of the network, not of the request."""

    code = "internal"


class OutputMissing(BcaiError, KeyError):
    """``result.outputs[name]``: the job left no such value, or one that could not be carried."""

    code = "not_found"

    def __str__(self) -> str:
        return self.message


class JobFailed(BcaiError):
    """A job ended and did not succeed.

    ``state`` is the job's last state (``"failed"``, ``"cancelled"``, ``"expired"``, …);
    ``outcome`` how its last attempt ended (``"finished"``, ``"out_of_memory"``, ``"timed_out"``,
    …; ``""`` when none ran); ``exit_code`` that of the job's process (``None`` when none ran);
    ``error`` what the job's own Python said (``None`` when it said nothing); ``logs`` the tail of
    its output; ``result`` what there is of a result, artifacts of a failed run included.
    """

    code = "job_failed"

    def __init__(
        self,
        *,
        job_id: str,
        state: str,
        reason: str,
        outcome: str = "",
        exit_code: int | None = None,
        error: JobErrorInfo | None = None,
        logs: str = "",
        result: Any = None,
    ) -> None:
        lines = [f"{job_id} {state}: {reason}" if reason else f"{job_id} {state}"]
        if error is not None:
            place = f" (line {error.line})" if error.line else ""
            lines.append(f"{error.type}: {error.message}{place}")
            lines.append(error.traceback.rstrip())
        elif logs:
            lines.append("last lines of its output:\n" + logs.rstrip())
        super().__init__("\n".join(line for line in lines if line))
        self.job_id = job_id
        self.state = state
        self.reason = reason
        self.outcome = outcome
        self.exit_code = exit_code
        self.error = error
        self.logs = logs
        self.result = result


_BY_CODE: dict[str, type[BcaiError]] = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        NotFound,
        Conflict,
        PermissionDenied,
        Unauthenticated,
        FailedPrecondition,
        ResourceExhausted,
        DeadlineExceeded,
        Cancelled,
        Unavailable,
        Unimplemented,
        DataLoss,
        InternalError,
    )
}

_BY_STATUS: dict[int, type[BcaiError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: FailedPrecondition,
    413: ResourceExhausted,
    429: ResourceExhausted,
    499: Cancelled,
    501: Unimplemented,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(
    *, code: str, status: int | None = None, message: str, findings: Sequence[Finding] = ()
) -> BcaiError:
    """The exception for an error of the network or the VM; an unknown code falls back on the HTTP
    status."""
    default = InternalError if status is None or status >= 500 else InvalidArgument
    cls = _BY_CODE.get(code) or _BY_STATUS.get(status or 0, default)
    if issubclass(cls, InvalidArgument):
        return cls(message, status=status, findings=findings)
    return cls(message, status=status)
