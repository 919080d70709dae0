# SPDX-License-Identifier: Apache-2.0
"""Requests, answers and retries without input or output.

A *flow* is a generator that yields a :class:`Request` or a :class:`Sleep` and is sent the answer.
Both clients (``bcai.sdk`` and ``bcai.aio``) run the same flows, so that what is sent, what counts
as an error and when something is tried again stand here once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from bcai.errors import BcaiError, Finding, InternalError, Unavailable, error_of

T = TypeVar("T")

_RETRIED_STATUS = frozenset({429, 502, 503, 504})
_RETRY_AFTER_S_MAX = 60.0


@dataclass(frozen=True)
class Request:
    """``wait_s`` is the time that the server may take on purpose, besides the client's timeout."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    wait_s: float = 0.0

    @property
    def what(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Response:
    """``headers`` has its names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True)
class TransportFailure:
    """No answer: the connection was refused or broke, or time ran out. ``reason`` says which."""

    reason: str


@dataclass(frozen=True)
class Sleep:
    seconds: float


Step = Request | Sleep
Reply = Response | TransportFailure | None
Flow = Generator[Step, Reply, T]


class Retry:
    """When to try again. One for each client; safe to use from several threads.

    Every request of this package may be sent twice, so each is retried alike: after a broken
    connection and after 429, 502, 503 and 504. The delay doubles from 0.1 s to 5 s, half of it
    random, and is never shorter than the server's Retry-After. It is given up after
    ``patience_s`` seconds, and after 2 s when this endpoint has never answered.
    """

    patience_s = 30.0
    first_contact_s = 2.0

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.reached = False

    def delay_s(
        self, tries: int, elapsed_s: float, reply: Reply, patience_s: float
    ) -> float | None:
        """Seconds until the next try, or ``None`` to give up. ``tries`` counts those done."""
        if not self.enabled:
            return None
        delay = min(5.0, 0.1 * 2.0 ** min(tries - 1, 10))
        delay *= 0.5 + 0.5 * random.random()
        if isinstance(reply, Response):
            delay = max(delay, retry_after_s(reply))
        limit = patience_s if self.reached else min(patience_s, self.first_contact_s)
        return delay if elapsed_s + delay <= limit else None


def retry_after_s(response: Response) -> float:
    """The server's Retry-After in seconds, 0 when there is none; at most 60."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), _RETRY_AFTER_S_MAX) if seconds == seconds else 0.0


def is_retried(reply: Reply) -> bool:
    return not isinstance(reply, Response) or reply.status in _RETRIED_STATUS


def failure_of(request: Request, reply: Reply) -> BcaiError:
    """The exception for an answer that is no success, or for none."""
    if isinstance(reply, Response):
        return problem_of(request, reply)
    reason = reply.reason if isinstance(reply, TransportFailure) else "no answer"
    return Unavailable(f"{request.what}: {reason}")


def problem_of(request: Request, response: Response) -> BcaiError:
    """An RFC 9457 problem as an exception. A body that is none gives one that names the status."""
    try:
        problem = json.loads(response.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        text = response.body[:200].decode("utf-8", "replace").strip()
        message = f"{request.what}: HTTP status {response.status}" + (f": {text}" if text else "")
        return error_of(code="", status=response.status, message=message)
    errors = problem.get("errors")
    findings = [
        Finding(
            pointer=str(item.get("pointer", "")),
            message=str(item.get("message", "")),
            line=_number(item.get("line")),
            column=_number(item.get("column")),
        )
        for item in (errors if isinstance(errors, list) else [])
        if isinstance(item, dict)
    ]
    return error_of(
        code=str(problem.get("code", "")),
        status=response.status,
        message=str(problem.get("detail") or problem.get("title") or f"HTTP {response.status}"),
        findings=findings,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def exchange(request: Request, retry: Retry, patience_s: float | None = None) -> Flow[Response]:
    """Sends the request until it is answered for good.

    Returns any answer that is not worth a retry, error or not. Raises :class:`Unavailable` when
    there was none, and the error of the last answer when that was a passing one.
    """
    began = time.monotonic()
    tries = 0
    while True:
        reply = yield request
        if isinstance(reply, Response):
            retry.reached = True
            if not is_retried(reply):
                return reply
        tries += 1
        patience = retry.patience_s if patience_s is None else patience_s
        delay = retry.delay_s(tries, time.monotonic() - began, reply, patience)
        if delay is None:
            raise failure_of(request, reply)
        yield Sleep(delay)


def fetch(request: Request, retry: Retry, patience_s: float | None = None) -> Flow[Any]:
    """The parsed JSON of a successful answer. Any other answer raises its error."""
    response = yield from exchange(request, retry, patience_s)
    if not response.ok:
        raise problem_of(request, response)
    try:
        return json.loads(response.body)
    except ValueError as error:
        raise InternalError(f"{request.what}: the answer is not JSON: {error}") from None
