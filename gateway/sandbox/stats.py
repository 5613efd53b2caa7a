"""What reached the stand-in, for tests that must prove it: counters, the last body, the last fifty calls."""

from collections import deque
from typing import Any

LOG_LENGTH = 50
TEXT_CHARACTERS_MOST = 2_000


class Stats:
    """Counters since the start or the last reset. ``open`` is the calls in progress, so a reset leaves it."""

    def __init__(self) -> None:
        self.open = 0
        self.reset()

    def reset(self) -> None:
        self.requests = self.streams = self.chunks = self.aborted = self.flaky_calls = 0
        self.last_request: dict[str, Any] | None = None
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def begin(self, wire: str, model: Any, stream: bool, body: dict[str, Any]) -> dict[str, Any]:
        """Opens a call's line in the log; the caller fills it while the call goes on."""
        line: dict[str, Any] = {
            "wire": wire,
            "model": model,
            "stream": stream,
            "status": None,
            "chunks_sent": 0,
            "aborted": False,
            "prompt_tokens": 0,
            "completion_tokens": 0,
        }
        self.requests += 1
        self.streams += stream
        self.last_request = _abridged(body)
        self.log.append(line)
        return line

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "streams": self.streams,
            "chunks": self.chunks,
            "open": self.open,
            "aborted": self.aborted,
            "last_request": self.last_request,
            "log": list(self.log),
        }


def _abridged(value: Any) -> Any:
    """``value`` with every text that is longer than TEXT_CHARACTERS_MOST replaced by its length."""
    if isinstance(value, str) and len(value) > TEXT_CHARACTERS_MOST:
        return f"({len(value)} characters)"
    if isinstance(value, list):
        return [_abridged(item) for item in value]
    if isinstance(value, dict):
        return {name: _abridged(item) for name, item in value.items()}
    return value
