# SPDX-License-Identifier: Apache-2.0
"""Following a job's log stream through broken connections, without input or output.

The driver opens ``request()``, hands over the bytes with ``feed()`` and, when the connection
breaks, asks ``broken()`` how long to wait before it opens the next. No line is lost or given
twice, because the network numbers them and the next request says which was the last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from bcai.errors import InternalError
from bcai.records import JobRecord, Progress
from bcai.sse import EventParser, ServerEvent
from bcai.wire import Reply, Request, Retry, failure_of, is_retried

_LINE_CHARACTERS_MAX = 1 << 16
_PATIENCE_S = 300.0
# The server sends at least a comment this often; a silent stream counts as broken.
STREAM_SILENCE_S = 60.0


class LogLine(str):
    """A line of a job's output, without its newline.

    ``stream`` is ``"stdout"``, ``"stderr"`` or ``"system"`` (a remark of the network), ``time``
    when its last part was written, ``attempt_id`` which attempt wrote it.
    """

    stream: str
    time: datetime | None
    attempt_id: str

    @staticmethod
    def make(text: str, stream: str, time: datetime | None, attempt_id: str) -> LogLine:
        line = LogLine(text)
        line.stream, line.time, line.attempt_id = stream, time, attempt_id
        return line


@dataclass(frozen=True)
class JobChanged:
    """The job's record as of now; ``progress`` is new when ``progressed``."""

    record: JobRecord
    progressed: bool


@dataclass(frozen=True)
class JobEnded:
    record: JobRecord


Item = LogLine | JobChanged | JobEnded


class LineAssembler:
    """Joins log records, which end anywhere, to lines."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._attempt_id = ""

    def add(
        self, stream: str, text: str, time: datetime | None, attempt_id: str
    ) -> Iterator[LogLine]:
        if attempt_id != self._attempt_id:
            yield from self.rest()
            self._attempt_id = attempt_id
        *whole, part = (self._parts.get(stream, "") + text).split("\n")
        if len(part) > _LINE_CHARACTERS_MAX:
            whole.append(part)
            part = ""
        self._parts[stream] = part
        for line in whole:
            yield LogLine.make(line, stream, time, attempt_id)

    def rest(self) -> Iterator[LogLine]:
        """What was written without a newline behind it."""
        parts, self._parts = self._parts, {}
        for stream, part in parts.items():
            if part:
                yield LogLine.make(part, stream, None, self._attempt_id)


class Follower:
    """One job's stream, across connections. Not for several threads at once."""

    def __init__(self, job_id: str, retry: Retry) -> None:
        self._path = f"/v1/jobs/{quote(job_id, safe='')}/logs"
        self._retry = retry
        self._parser = EventParser()
        self._lines = LineAssembler()
        self._last_id = ""
        self._progress = Progress()
        self._tries = 0
        self._failing_since: float | None = None
        self.ended = False

    def request(self) -> Request:
        self._parser = EventParser()
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        return Request("GET", self._path, headers=headers, wait_s=STREAM_SILENCE_S)

    def opened(self) -> None:
        """The network answered: what went before was no long silence."""
        self._retry.reached = True
        self._failing_since = None

    def feed(self, piece: bytes) -> Iterator[Item]:
        self._failing_since = None
        try:
            events = self._parser.feed(piece)
        except ValueError as error:
            raise InternalError(f"GET {self._path}: {error}") from None
        for event in events:
            yield from self._event(event)

    def broken(self, request: Request, reply: Reply) -> float:
        """Seconds until the next connection; raises when there shall be none.

        ``reply`` is the failure or the error answer, ``None`` when the server just closed.
        """
        if not is_retried(reply):
            raise failure_of(request, reply)
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        self._tries += 1
        elapsed = now - self._failing_since
        delay = self._retry.delay_s(self._tries, elapsed, reply, _PATIENCE_S)
        if delay is None:
            raise failure_of(request, reply)
        return delay

    def _event(self, event: ServerEvent) -> Iterator[Item]:
        try:
            data = json.loads(event.data)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise InternalError(f"GET {self._path}: event '{event.event}' is not a JSON object")
        self._tries = 0
        if event.event == "log":
            self._last_id = event.id or self._last_id
            yield from self._log(data)
        elif event.event == "job":
            yield self._changed(JobRecord.from_json(data))
        elif event.event == "end":
            self.ended = True
            yield from self._lines.rest()
            record = JobRecord.from_json(data)
            yield self._changed(record)
            yield JobEnded(record)

    def _changed(self, record: JobRecord) -> JobChanged:
        progressed = record.progress != self._progress
        self._progress = record.progress
        return JobChanged(record, progressed)

    def _log(self, data: dict[str, object]) -> Iterator[LogLine]:
        try:
            moment = datetime.fromisoformat(str(data.get("time", "")))
        except ValueError:
            moment = None
        text, stream = str(data.get("text", "")), str(data.get("stream", ""))
        yield from self._lines.add(stream, text, moment, str(data.get("attempt_id", "")))
