"""Server-sent events as bytes: framed, never re-serialised. Pure."""

import re
from collections.abc import Iterator

#: a vendor that sends a longer event is broken or hostile
EVENT_BYTES_MAX = 1 << 20

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventTooLong(Exception):
    pass


class Framer:
    """Splits a byte stream into events, however it was cut into reads. Yields each event without its final blank line."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._rest + data if self._rest else data
        if b"\r" in buffer:
            return self._feed_any_newline(buffer)
        events = buffer.split(b"\n\n")
        self._rest = events.pop()
        if len(self._rest) > EVENT_BYTES_MAX:
            raise EventTooLong
        return events

    def _feed_any_newline(self, buffer: bytes) -> list[bytes]:
        events, start = [], 0
        for boundary in _BOUNDARY.finditer(buffer):
            events.append(buffer[start : boundary.start()])
            start = boundary.end()
        self._rest = buffer[start:]
        if len(self._rest) > EVENT_BYTES_MAX:
            raise EventTooLong
        return events

    @property
    def rest(self) -> bytes:
        """What came after the last blank line: an unfinished event, or nothing."""
        return self._rest


def data_of(event: bytes) -> bytes:
    """The payload of an event: its data lines joined; empty for comments and bare fields."""
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:]
    return b"\n".join(_data_lines(event))


def _data_lines(event: bytes) -> Iterator[bytes]:
    for line in event.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].removeprefix(b" ")


def event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"
