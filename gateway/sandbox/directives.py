"""The marker ``[[sandbox: …]]`` in the last user message: how a caller asks for a certain behaviour (docs/sandbox.md)."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

MARKER = re.compile(r"\[\[\s*sandbox\s*:(.{0,500}?)\]\]", re.IGNORECASE | re.DOTALL)
UNCLOSED = re.compile(r"\[\[\s*sandbox\s*:", re.IGNORECASE)
NUMBER = re.compile(r"-?[0-9]{1,18}")

TOKENS_MOST = 1_000_000
LINE_BYTES_MOST = 64 * 1024 * 1024
DELAY_MILLISECONDS_MOST = 600_000
#: parts of the prompt (the first three; `write1h` is a part of `write`) and of the completion
USAGE_DETAILS = ("cached", "write", "write1h", "reasoning")
FINISH_REASONS = ("stop", "length", "content_filter", "none")
#: what vendors say beyond OpenAI's words; reported as they are, on every wire
VENDOR_FINISH_REASONS = (
    # Anthropic
    "model_context_window_exceeded", "pause_turn",
    # Gemini, in capitals there
    "blocklist", "escalation", "language", "malformed_function_call", "malformed_response", "missing_thought_signature",
    "other", "prohibited_content", "recitation", "spii", "too_many_tool_calls", "unexpected_tool_call",
    # vendors that speak OpenAI's wire
    "insufficient_system_resource", "network_error", "sensitive",
)  # fmt: skip


class Malformed(Exception):
    """A directive that cannot be understood; its text says which and why."""


@dataclasses.dataclass(frozen=True)
class ReportedUsage:
    """Usage to report in place of the counted one; ``details`` by the names of USAGE_DETAILS."""

    prompt_tokens: int
    completion_tokens: int
    details: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Directives:
    """What the marker asks for; the defaults are an ordinary answer."""

    fail_status: int | None = None
    key_refused_status: int | None = None
    retry_after_seconds: int | None = None
    html: bool = False
    hang: bool = False
    delay_seconds: float | None = None
    tokens_per_second: float | None = None
    tokens: int | None = None
    reasoning: int | None = None
    refusal: bool = False
    blocked: bool = False
    finish_reason: str | None = None
    #: "cut" (the connection), "error" (an event), or "hang" (silence), after this many chunks
    accident: str | None = None
    accident_after_chunks: int = 0
    big_line_bytes: int | None = None
    wrong_model: bool = False
    done: bool = True
    #: "counted", "none" (not even the member), "null", or figures of the caller's
    usage: str | ReportedUsage = "counted"


def without_marker(text: str) -> str:
    return MARKER.sub("", text).strip() if "[[" in text else text


def parse(text: str) -> Directives:
    """The directives of a message's text, or Malformed."""
    if "[[" not in text:
        return Directives()
    wishes: dict[str, Any] = {}
    for marker in MARKER.findall(text):
        for directive in filter(None, map(str.strip, marker.split(";"))):
            wishes |= _parse_one(directive)
    if UNCLOSED.search(MARKER.sub("", text)):
        raise Malformed("sandbox marker is not closed: it ends with ]]")
    return Directives(**wishes)


def _parse_one(directive: str) -> dict[str, Any]:
    name, *arguments = directive.lower().split()
    parser = PARSERS.get(name)
    if parser is None:
        raise Malformed(f"sandbox directive {directive!r} is unknown; known are {', '.join(PARSERS)}")
    try:
        return parser(arguments)
    except ValueError as e:
        raise Malformed(f"sandbox directive {directive!r}: {e}") from e


def _whole(text: str, least: int, most: int) -> int:
    if not NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _one(arguments: list[str]) -> str:
    if len(arguments) != 1:
        raise ValueError("takes one value")
    return arguments[0]


def _number(field: str, least: int, most: int) -> Callable[[list[str]], dict[str, Any]]:
    return lambda arguments: {field: _whole(_one(arguments), least, most)}


def _switch(field: str, value: Any) -> Callable[[list[str]], dict[str, Any]]:
    def parse_switch(arguments: list[str]) -> dict[str, Any]:
        if arguments:
            raise ValueError("takes no value")
        return {field: value}

    return parse_switch


def _accident(kind: str) -> Callable[[list[str]], dict[str, Any]]:
    return lambda arguments: {"accident": kind, **_number("accident_after_chunks", 0, TOKENS_MOST)(arguments)}


def _fail(arguments: list[str]) -> dict[str, Any]:
    if not arguments:
        raise ValueError("takes a status")
    wishes: dict[str, Any] = {"fail_status": _whole(arguments[0], 400, 599)}
    for option in arguments[1:]:
        name, _, value = option.partition("=")
        if name != "retry-after":
            raise ValueError(f"{option!r} is unknown; use retry-after=SECONDS")
        wishes["retry_after_seconds"] = _whole(value, 0, 86_400)
    return wishes


def _too_many(arguments: list[str]) -> dict[str, Any]:
    return {"retry_after_seconds": 1} | _fail(["429", *arguments])


def _status(arguments: list[str]) -> dict[str, Any]:
    status = _whole(_one(arguments), 401, 403)
    return {"key_refused_status": status}


def _stop(arguments: list[str]) -> dict[str, Any]:
    reason = _one(arguments)
    if reason not in FINISH_REASONS + VENDOR_FINISH_REASONS:
        raise ValueError(f"use {', '.join(FINISH_REASONS)} or a vendor's: {', '.join(VENDOR_FINISH_REASONS)}")
    return {"finish_reason": reason}


def _delay(arguments: list[str]) -> dict[str, Any]:
    return {"delay_seconds": _whole(_one(arguments), 0, DELAY_MILLISECONDS_MOST) / 1000}


def _usage(arguments: list[str]) -> dict[str, Any]:
    text = "".join(arguments)
    if text in ("none", "null"):
        return {"usage": text}
    figures = text.split(",")
    if len(figures) < 2:
        raise ValueError("use none, null, or PROMPT,COMPLETION[,cached=K][,write=W][,write1h=H][,reasoning=R]")
    bound = 10**17
    details = {}
    for figure in figures[2:]:
        name, _, value = figure.partition("=")
        if name not in USAGE_DETAILS:
            raise ValueError(f"{figure!r} is unknown; use {', '.join(f'{known}=N' for known in USAGE_DETAILS)}")
        details[name] = _whole(value, -bound, bound)
    reported = ReportedUsage(_whole(figures[0], -bound, bound), _whole(figures[1], -bound, bound), details)
    return {"usage": reported}


PARSERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "fail": _fail,
    "429": _too_many,
    "status": _status,
    "html": _switch("html", True),
    "hang": _switch("hang", True),
    "delay-ms": _delay,
    "pace": _number("tokens_per_second", 0, TOKENS_MOST),
    "tokens": _number("tokens", 0, TOKENS_MOST),
    "reasoning": _number("reasoning", 0, TOKENS_MOST),
    "refusal": _switch("refusal", True),
    "blocked": _switch("blocked", True),
    "stop": _stop,
    "fail-after": _accident("cut"),
    "error-after": _accident("error"),
    "hang-after": _accident("hang"),
    "big-line": _number("big_line_bytes", 1, LINE_BYTES_MOST),
    "wrong-model": _switch("wrong_model", True),
    "no-done": _switch("done", False),
    "usage": _usage,
}
