"""What a vendor's wire is to the sandbox: a face over the same requests and replies."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.replies import Choice, Output, Piece


@dataclasses.dataclass(frozen=True)
class Call:
    """A call as it came in: its path, query and headers (by lower-case name), and its decoded body."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]


class Envelope(Protocol):
    """One answer's form on the wire. A stream asks in this order: opening, pieces, closing or error."""

    def completion(self, choices: Sequence[Choice], output: Output) -> dict[str, Any]:
        """The body of a plain answer."""

    def opening(self, choices: Sequence[Choice]) -> bytes:
        """What a stream says before any output."""

    def piece(self, piece: Piece) -> bytes:
        """The frames for one piece of output; may be empty where a vendor collects them."""

    def closing(self, choices: Sequence[Choice], output: Output) -> bytes:
        """What a stream says after all output."""

    def error(self, refusal: Refusal) -> bytes:
        """The frame that ends a stream in an error."""

    def big_line(self, line_bytes: int) -> bytes:
        """A frame without content, one line of which has ``line_bytes`` bytes."""


class Wire(Protocol):
    """A vendor's dialect of HTTP."""

    #: how the log names it
    name: str

    def answers(self, path: str) -> bool:
        """Whether completions are asked for at ``path``."""

    def model_and_stream(self, call: Call) -> tuple[Any, bool]:
        """What the log says of a call that is not checked yet."""

    def read(self, call: Call) -> ChatRequest:
        """The request in OpenAI's terms; a Refusal (400) where the vendor would refuse."""

    def envelope(self, request: ChatRequest) -> Envelope: ...

    def headers(self, request_id: str, elapsed_ms: int) -> dict[str, str]:
        """Headers of every answer."""

    def refusal(self, refusal: Refusal, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
        """(body, headers) of an error answer."""


def padded(frame: bytes, line_bytes: int) -> str:
    """The padding that makes a frame's longest line ``line_bytes`` long; the frame has it empty."""
    return "x" * max(0, line_bytes - max(map(len, frame.splitlines())))
