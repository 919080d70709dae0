# SPDX-License-Identifier: Apache-2.0
"""Reading ``text/event-stream`` (WHATWG HTML, server-sent events) piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

_PENDING_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class ServerEvent:
    """``id`` is the last one seen on the stream, not only of this event."""

    event: str
    data: str
    id: str


class EventParser:
    """Give it the bytes as they come; a piece may end anywhere, also inside a character."""

    def __init__(self) -> None:
        self._pending = b""
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that are complete now. Raises ValueError when one holds more than 16 MiB."""
        events: list[ServerEvent] = []
        text = self._pending + piece
        # A "\r" at the very end may be the first half of "\r\n".
        held = text[-1:] if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = lines.split(b"\n")
        self._pending = rest + held
        for line in whole:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        if len(self._pending) + self._size > _PENDING_BYTES_MAX:
            raise ValueError("an event holds more than 16 MiB")
        return events

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            event = ServerEvent(self._event or "message", "\n".join(self._data), self._id)
            complete = bool(self._data)
            self._event, self._data, self._size = "", [], 0
            return event if complete else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None
