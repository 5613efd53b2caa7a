"""Anthropic's Messages, as clients speak it, over canonical chat: requests in (messages_request), answers and errors out.

Wire facts: docs.anthropic.com/en/api/messages, /streaming and /errors (2026). A reasoning text whose vendor signs nothing gets an
empty signature; messages_anthropic leaves such a block out again, because Anthropic takes back only what it signed.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from billing.meters import Usage
from gateway.dialects.messages_blocks import Json
from gateway.dialects.messages_request import count_text, dropped, request

__all__ = ["Events", "complete", "count_text", "dropped", "error_body", "request", "usage_object"]

_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def complete(completion: Json, *, message_id: str, model: str, usage: Usage, cost: Any = None) -> Json:
    """A chat completion's first choice as a Messages answer. ``cost``: the charge in USD, as the serialiser takes numbers."""
    choice = (completion.get("choices") or [{}])[0]
    content = list(_content(choice.get("message") or {}, message_id))
    has_tools = any(block["type"] == "tool_use" for block in content)
    return {
        **_message(message_id, model),
        "content": content,
        "stop_reason": _stop_reason(choice.get("finish_reason"), has_tools),
        "usage": usage_object(usage) | ({} if cost is None else {"cost": cost}),
    }


def usage_object(usage: Usage) -> Json:
    """Anthropic's meaning: ``input_tokens`` leaves out what was read from the cache and what was written to it."""
    return {
        "input_tokens": max(usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": max(usage.cache_write_tokens - usage.cache_write_1h_tokens, 0),
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }


def error_body(status: int, code: str, message: str, request_id: str) -> Json:
    """Anthropic's error envelope, with its own types by HTTP status; our ``code`` goes where Anthropic has its own."""
    kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": message, "details": {"error_code": code}}
    return {"type": "error", "error": error, "request_id": request_id}


def _message(message_id: str, model: str) -> Json:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _stop_reason(finish_reason: Any, has_tools: bool) -> str:
    reason = _STOP_REASONS.get(finish_reason, "end_turn") if isinstance(finish_reason, str) else "end_turn"
    return "tool_use" if has_tools and reason == "end_turn" else reason  # some vendors end tool calls with "stop"


def _content(message: Json, message_id: str) -> Iterator[Json]:
    details = message.get("reasoning_details") or []
    reasoning = message.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning and not any(detail.get("text") for detail in details):
        yield {"type": "thinking", "thinking": reasoning, "signature": ""}
    for detail in details:
        if detail.get("type") == "reasoning.encrypted":
            yield {"type": "redacted_thinking", "data": detail.get("data") or ""}
        elif detail.get("text") or detail.get("signature"):
            yield {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail.get("signature") or ""}
    for text in (message.get("content"), message.get("refusal")):
        if isinstance(text, str) and text:
            yield {"type": "text", "text": text}
    for i, call in enumerate(message.get("tool_calls") or []):
        function = call.get("function") or {}
        yield _tool_use(
            call.get("id") or f"{message_id}_{i}", function.get("name") or "", _input(function.get("arguments"))
        )


def _tool_use(call_id: str, name: str, arguments: Json) -> Json:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _input(arguments: Any) -> Json:
    """A tool's arguments. Whatever is no JSON object (models do slip) is kept as text, for the caller to judge."""
    try:
        value = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}


# ---------------------------------------------------------------- streams

type Key = tuple[str, int]


class Events:
    """Canonical chunks as Anthropic's events: ``start``, ``feed`` for every chunk, then ``finish`` or ``error``.

    Blocks follow one another and never overlap, while chat's parallel tool calls may. So once a tool call is open, whatever
    begins after it is held until the end, when its arguments are known to be whole.
    """

    def __init__(self, *, message_id: str, model: str) -> None:
        self._message_id = message_id
        self._model = model
        self._open: Key | None = None
        self._index = 0
        self._held: dict[Key, tuple[Json, list[Json]]] = {}
        self._finish_reason: Any = None
        self._has_tools = self._reasons_in_text = False
        self._opaque_count = 0  # signatures and encrypted reasoning so far: each ends a block

    def start(self, usage_input_estimate: int) -> bytes:
        """``usage_input_estimate``: prompt tokens, as nobody knows better before the end."""
        usage = {**usage_object(Usage(input_tokens=usage_input_estimate)), "output_tokens": 0}
        message = {**_message(self._message_id, self._model), "usage": usage}
        return _event("message_start", {"message": message}) + _event("ping", {})

    def feed(self, chunk: Json) -> bytes:
        """The events for a chunk; nothing for chunks without content, as of usage."""
        out: list[bytes] = []
        for choice in chunk.get("choices") or ():
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            delta = choice.get("delta") or {}
            for key, block, change in (*self._reasoning(delta), *_texts(delta), *self._tool_calls(delta)):
                out.append(self._add(key, block, change))
        return b"".join(out)

    def finish(self, usage: Usage, cost_json: bytes) -> bytes:
        """``cost_json``: the charge in USD as a JSON number."""
        out = [self._stop()]
        for key, (block, changes) in self._held.items():
            out += [self._begin(key, block), *map(self._delta, changes), self._stop()]
        self._held.clear()
        stop_reason = _stop_reason(self._finish_reason, self._has_tools)
        counts = {**usage_object(usage), "cost": orjson.Fragment(cost_json)}
        out.append(
            _event("message_delta", {"delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": counts})
        )
        return b"".join(out) + _event("message_stop", {})

    def error(self, type: str, message: str, request_id: str) -> bytes:
        """The last event of a stream that failed; ``type`` is one of Anthropic's."""
        return _event("error", {"error": {"type": type, "message": message}, "request_id": request_id})

    # ------------------------------------------------------------ deltas: (block's key, block, change)

    def _reasoning(self, delta: Json) -> Iterator[tuple[Key, Json, Json | None]]:
        told = delta.get("reasoning_content")
        if isinstance(told, str) and told:
            self._reasons_in_text = True
            yield self._thinking({"type": "thinking_delta", "thinking": told})
        for detail in delta.get("reasoning_details") or ():
            if detail.get("type") == "reasoning.encrypted":
                self._opaque_count += 1
                yield (
                    ("redacted", self._opaque_count),
                    {"type": "redacted_thinking", "data": detail.get("data") or ""},
                    None,
                )
                continue
            if detail.get("text") and not self._reasons_in_text:  # else it repeats `reasoning_content`
                yield self._thinking({"type": "thinking_delta", "thinking": detail["text"]})
            if detail.get("signature"):
                yield self._thinking({"type": "signature_delta", "signature": detail["signature"]})
                self._opaque_count += 1

    def _thinking(self, change: Json) -> tuple[Key, Json, Json]:
        return ("thinking", self._opaque_count), {"type": "thinking", "thinking": "", "signature": ""}, change

    def _tool_calls(self, delta: Json) -> Iterator[tuple[Key, Json, Json | None]]:
        for i, call in enumerate(delta.get("tool_calls") or ()):
            self._has_tools = True
            number = call.get("index", i)
            function = call.get("function") or {}
            block = _tool_use(call.get("id") or f"{self._message_id}_{number}", function.get("name") or "", {})
            arguments = function.get("arguments")
            yield (
                ("tool", number),
                block,
                {"type": "input_json_delta", "partial_json": arguments} if arguments else None,
            )

    # ------------------------------------------------------------ blocks

    def _add(self, key: Key, block: Json, change: Json | None) -> bytes:
        changes = [change] if change else []
        if key != self._open and self._open is not None and self._open[0] == "tool":
            self._held.setdefault(key, (block, []))[1].extend(changes)
            return b""
        opening = b"" if key == self._open else self._stop() + self._begin(key, block)
        return opening + b"".join(map(self._delta, changes))

    def _begin(self, key: Key, block: Json) -> bytes:
        self._open = key
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, change: Json) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": change})

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        stop = _event("content_block_stop", {"index": self._index})
        self._open = None
        self._index += 1
        return stop


def _texts(delta: Json) -> Iterator[tuple[Key, Json, Json]]:
    for text in (delta.get("content"), delta.get("refusal")):
        if isinstance(text, str) and text:
            yield ("text", 0), {"type": "text", "text": ""}, {"type": "text_delta", "text": text}


def _event(kind: str, fields: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))
