"""Tokens as OpenAI means them, whatever the wire: the prompt with all that was cached, the output with its reasoning."""

import dataclasses
from typing import Any

from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.directives import ReportedUsage
from gateway.sandbox.replies import Output


@dataclasses.dataclass(frozen=True)
class CacheUse:
    """Tokens of a prompt that were read from or written to a cache; ``written_1h_tokens`` is a part of the written."""

    read_tokens: int = 0
    written_tokens: int = 0
    written_1h_tokens: int = 0


@dataclasses.dataclass(frozen=True)
class Usage:
    """What an answer reports. Figures of a directive may be negative or absurd."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cache: CacheUse


def of(request: ChatRequest, output: Output, cache: CacheUse) -> Usage:
    """The counted usage, or the one that a directive wants."""
    wish = request.directives.usage
    if not isinstance(wish, ReportedUsage):
        return Usage(request.prompt_tokens, output.tokens, output.reasoning_tokens, cache)
    details = wish.details
    written_1h = details.get("write1h", 0)
    return Usage(
        wish.prompt_tokens,
        wish.completion_tokens,
        details.get("reasoning", request.directives.reasoning or 0),
        CacheUse(details.get("cached", 0), details.get("write", written_1h), written_1h),
    )


def member(request: ChatRequest, name: str, reported: dict[str, Any]) -> dict[str, Any]:
    """``{name: reported}``, or what a directive wants in its place: null, or not even the member."""
    wish = request.directives.usage
    if wish == "none":
        return {}
    return {name: None if wish == "null" else reported}
