"""Anthropic's Messages answers, plain and streamed, as chat completions. Pure.

Wire facts: docs.anthropic.com/en/api/messages, /streaming (version 2023-06-01, November 2026). Prompt counts exclude cache
reads and writes there; ``usage_of`` says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from billing.meters import Usage
from gateway.dialects.counts import Counts, UsageReader, is_count, object_of
from gateway.sse import data_of

type Json = dict[str, Any]

_FINISH_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length",
    "model_context_window_exceeded": "length", "pause_turn": "length", "refusal": "content_filter",
}  # fmt: skip


def complete(answer: Json) -> tuple[list[Json], Usage | None]:
    """Choices and counts of a plain answer. Raises ValueError if it is none."""
    try:
        return [_choice(answer["content"], answer.get("stop_reason"))], usage_of(answer.get("usage"))
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError("not a Messages answer") from e


def _choice(blocks: list[Json], stop_reason: str | None) -> Json:
    texts: list[str] = []
    details: list[Json] = []
    calls: list[Json] = []
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            texts.append(block["text"])
        elif kind == "tool_use":
            function = {"name": block["name"], "arguments": orjson.dumps(block.get("input") or {}).decode()}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif kind == "thinking":
            signature = {"signature": block["signature"]} if block.get("signature") else {}
            details.append(_detail(len(details), text=block["thinking"], **signature))
        elif kind == "redacted_thinking":
            details.append(_detail(len(details), data=block["data"]))
    content = "".join(texts)
    message: Json = {"role": "assistant", "content": None if calls and not content else content, "refusal": None}
    if thoughts := "".join(detail.get("text", "") for detail in details):
        message["reasoning_content"] = thoughts
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(stop_reason)}


def _detail(index: int, **said: str) -> Json:
    return {"type": "reasoning.encrypted" if "data" in said else "reasoning.text", **said, "index": index}


def _finish_reason(stop_reason: str | None) -> str:
    return _FINISH_REASONS.get(stop_reason or "end_turn", "stop")


def _counts_of(usage: Any) -> Counts | None:
    if not isinstance(usage, dict) or not is_count(usage.get("input_tokens")):
        return None
    return Counts(
        input_tokens=usage["input_tokens"],
        output_tokens=usage.get("output_tokens"),
        cached_tokens=usage.get("cache_read_input_tokens"),
        cache_write_tokens=usage.get("cache_creation_input_tokens"),
        cache_write_1h_tokens=object_of(usage.get("cache_creation")).get("ephemeral_1h_input_tokens"),
        reasoning_tokens=object_of(usage.get("output_tokens_details")).get("thinking_tokens"),
    )


#: reads and writes of the cache lie beside the input count
usage_of = UsageReader(cached_inside_input=False, counts_of=_counts_of)


# ---------------------------------------------------------------- stream


@dataclass(slots=True)
class _Block:
    """A content block on its way. ``number`` counts the tool blocks, or the reasoning blocks."""

    kind: str
    number: int = 0
    signature: str = ""
    has_input: bool = False


class Stream:
    """Feed it events; it says the chat chunks, without ids, models or usage.

    ``usage`` is what was reported last; its output count is a placeholder until ``finished``. ``error`` is Anthropic's error
    object. After ``error`` or ``done`` nothing follows.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.done = False
        self.error: Json | None = None
        self._counts: Json = {}
        self._blocks: dict[int, _Block] = {}
        self._tool_count = self._reasoning_count = 0
        self._has_role = False

    def feed(self, event: bytes) -> list[Json]:
        """Chunks for one raw event; none for comments, pings, counts, errors and whatever is not known yet."""
        payload = data_of(event)
        if not payload or self.done or self.error is not None:
            return []
        try:
            data = orjson.loads(payload)
            return list(self._take(data.get("type") or _name_of(event), data))
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
            self.error = {"type": "api_error", "message": "unreadable event"}
            return []

    def _take(self, kind: str, data: Json) -> Iterator[Json]:
        match kind:
            case "message_start":
                self._count(data["message"].get("usage"))
                yield self._chunk({"content": ""})
            case "content_block_start":
                yield from self._start(data["index"], data["content_block"])
            case "content_block_delta":
                yield from self._change(self._blocks.get(data["index"]), data["delta"])
            case "content_block_stop":
                yield from self._stop(self._blocks.pop(data["index"], None))
            case "message_delta":
                self._count(data.get("usage"))
                if data["delta"].get("stop_reason") and not self.finished:
                    self.finished = True
                    yield self._chunk({}, _finish_reason(data["delta"]["stop_reason"]))
            case "message_stop":
                self.done = True
            case "error":
                error = data.get("error")
                self.error = error if isinstance(error, dict) else {"type": "api_error", "message": str(error)}

    def _count(self, usage: Any) -> None:
        """Counts are cumulative: later ones overwrite; one that is left out or null still holds."""
        if isinstance(usage, dict):
            self._counts |= {name: value for name, value in usage.items() if value is not None}
            self.usage = usage_of(self._counts)

    def _start(self, index: int, content: Json) -> Iterator[Json]:
        block = self._blocks[index] = _Block(content["type"])
        match block.kind:
            case "text":
                yield from self._text(content.get("text"))
            case "thinking":
                block.number = self._next_reasoning()
                yield from self._thought(block, content.get("thinking"))
                block.signature = content.get("signature") or ""
            case "redacted_thinking":
                yield self._chunk({"reasoning_details": [_detail(self._next_reasoning(), data=content["data"])]})
            case "tool_use":
                block.number = self._tool_count
                self._tool_count += 1
                call = {"id": content["id"], "type": "function", "function": {"name": content["name"], "arguments": ""}}
                yield self._chunk({"tool_calls": [{"index": block.number, **call}]})
                if content.get("input"):  # whole at once, as some compatible vendors send it
                    yield self._arguments(block, orjson.dumps(content["input"]).decode())

    def _change(self, block: _Block | None, delta: Json) -> Iterator[Json]:
        match block.kind if block else None, delta.get("type"):
            case "text", "text_delta":
                yield from self._text(delta["text"])
            case "thinking", "thinking_delta" if block:
                yield from self._thought(block, delta["thinking"])
            case "thinking", "signature_delta" if block:
                block.signature += delta["signature"]
            case "tool_use", "input_json_delta" if block and delta["partial_json"]:
                yield self._arguments(block, delta["partial_json"])

    def _stop(self, block: _Block | None) -> Iterator[Json]:
        if block and block.kind == "tool_use" and not block.has_input:
            yield self._arguments(block, "{}")
        elif block and block.signature:
            yield self._chunk({"reasoning_details": [_detail(block.number, signature=block.signature)]})

    def _text(self, text: str | None) -> Iterator[Json]:
        if text:
            yield self._chunk({"content": text})

    def _thought(self, block: _Block, text: str | None) -> Iterator[Json]:
        """Said twice: to be read, and as the piece of a block that its signature will close."""
        if text:
            yield self._chunk({"reasoning_content": text, "reasoning_details": [_detail(block.number, text=text)]})

    def _arguments(self, block: _Block, arguments: str) -> Json:
        block.has_input = True
        return self._chunk({"tool_calls": [{"index": block.number, "function": {"arguments": arguments}}]})

    def _next_reasoning(self) -> int:
        self._reasoning_count += 1
        return self._reasoning_count - 1

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        if not self._has_role:
            self._has_role = True
            delta = {"role": "assistant", **delta}
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _name_of(event: bytes) -> str:
    """The event's name, for senders that leave the type out of the data."""
    names = [line[6:].strip() for line in event.splitlines() if line.startswith(b"event:")]
    return names[-1].decode("utf-8", "replace") if names else ""
