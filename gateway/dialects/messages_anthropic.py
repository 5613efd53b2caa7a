"""Anthropic's Messages on both sides: what a client said goes on as it is, and what the vendor answers comes back as bytes.

Only the model, the output bound and the end user change on the way out (and what other vendors left in the conversation); only
the id, the model and the cost on the way back.
Wire facts: docs.anthropic.com/en/api/messages and /streaming (2026). ``input_tokens`` leaves out cache reads and writes, and the
counts of a stream are cumulative: later ones replace earlier ones.
"""

import re
from collections.abc import Collection
from typing import Any, TypeGuard

import msgspec
import orjson

from billing.meters import Usage
from gateway import sse
from gateway.dialects.anthropic_answers import usage_of
from gateway.dialects.counts import is_count
from gateway.dialects.messages_blocks import Json
from gateway.dialects.signatures import is_geminis

_SENT = (
    "system", "messages", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k", "thinking",
    "output_config", "cache_control",
)  # fmt: skip
_SAMPLING = {"temperature", "top_p"}
_ID_NAMES = {"tool_use": "id", "tool_result": "tool_use_id"}
_FOREIGN_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def request(
    body: Json, *, upstream_model: str, output_tokens_max: int, user: str | None = None, adjusted: Collection[str] = ()
) -> Json:
    """What goes to Anthropic. ``body`` must have passed ``messages_chat.request``; it is not changed.

    ``user``: our hash, in place of the caller's ``metadata.user_id``. ``adjusted``: canonical names of what the model does not
    take (``temperature``, ``reasoning_effort``, ``parallel_tool_calls`` …); they are left out here, too.
    """
    out: Json = {"model": upstream_model, "max_tokens": output_tokens_max}
    out |= {name: body[name] for name in _SENT if body.get(name) is not None and name not in adjusted}
    out["messages"] = [kept for message in body["messages"] if (kept := _native(message)) is not None]
    if body.get("stream"):
        out["stream"] = True
    if user is not None:
        out["metadata"] = {"user_id": user}
    _leave_out(out, adjusted)
    thinking = out.get("thinking") or {}
    if (
        thinking.get("type") == "enabled" and thinking["budget_tokens"] >= output_tokens_max
    ):  # the bound may be below the wish
        out["thinking"] = {**thinking, "budget_tokens": max(output_tokens_max - 1, 1024)}
    return out


def _leave_out(out: Json, adjusted: Collection[str]) -> None:
    if _SAMPLING & set(adjusted):  # a model without sampling parameters takes none of the three
        out.pop("top_k", None)
    if "reasoning_effort" in adjusted:
        out.pop("thinking", None)
        if "output_config" in out:
            out["output_config"] = {key: value for key, value in out["output_config"].items() if key != "effort"}
    if "parallel_tool_calls" in adjusted and "tool_choice" in out:
        choice = out["tool_choice"]
        out["tool_choice"] = {key: value for key, value in choice.items() if key != "disable_parallel_tool_use"}


def _native(message: Json) -> Json | None:
    """The message without what another vendor's answer left in it and Anthropic refuses; None if nothing else is in it.

    That is thinking without a signature of its own, and signs in tool call ids beyond Anthropic's (other vendors put a signature there).
    """
    content = message["content"]
    if isinstance(content, str):
        return message
    kept = [_with_native_id(block) for block in content if not _is_foreign(block)]
    return {**message, "content": kept} if kept else None


def _is_foreign(block: Json) -> bool:
    """Thoughts that Anthropic did not sign or seal."""
    return (block["type"] == "thinking" and not block.get("signature")) or is_geminis(block.get("data"))


def _with_native_id(block: Json) -> Json:
    name = _ID_NAMES.get(block["type"])
    if name is None or not _FOREIGN_IN_ID.search(block[name]):
        return block
    return {**block, name: _FOREIGN_IN_ID.sub("_", block[name])}


# ---------------------------------------------------------------- answers


def complete(answer: Json, *, message_id: str, model: str, counts: Json, cost: Any) -> Json:
    """The vendor's answer with our id and model. ``cost``: the charge in USD, as the serialiser takes numbers.

    ``counts``: what was billed, for an answer that does not say what it used.
    """
    usage = answer.get("usage")
    return {
        **answer,
        "id": message_id,
        "model": model,
        "usage": {**(usage if has_counts(usage) else counts), "cost": cost},
    }


def has_counts(usage: Any) -> TypeGuard[Json]:
    return isinstance(usage, dict) and is_count(usage.get("output_tokens"))


# ---------------------------------------------------------------- streams

#: SDKs add the last counts to these, and fail where there is nothing to add to
_NO_COUNTS_YET = msgspec.Raw(b'{"input_tokens":0,"output_tokens":0}')


def splice(event: bytes, *, message_id: bytes, model: bytes) -> bytes:
    """An event as the framer gives it, with our id and model (JSON strings, quotes included) in ``message_start``.

    No other event carries them; all others are returned as they came.
    """
    if b'"message_start"' not in event:  # inside text or tool input its quotes would be escaped
        return event
    try:
        fields = msgspec.json.decode(sse.data_of(event), type=dict[str, msgspec.Raw])
        message = msgspec.json.decode(fields["message"], type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, KeyError):
        return event
    message["id"], message["model"] = msgspec.Raw(message_id), msgspec.Raw(model)
    if bytes(message.get("usage", b"null")) == b"null":
        message["usage"] = _NO_COUNTS_YET
    fields["message"] = msgspec.Raw(msgspec.json.encode(message))
    return b"event: message_start\ndata: " + msgspec.json.encode(fields)


def priced(event: bytes, counts: Json, cost_json: bytes) -> bytes:
    """``message_delta`` with the charge in USD as ``usage.cost``; any other event as it came. ``counts`` as in ``complete``."""
    if b'"message_delta"' not in event:
        return event
    try:
        fields = msgspec.json.decode(sse.data_of(event), type=dict[str, msgspec.Raw])
        usage = msgspec.json.decode(fields.get("usage", msgspec.Raw(b"null")))
    except msgspec.DecodeError:
        return event
    usage = {**(usage if has_counts(usage) else counts), "cost": msgspec.Raw(cost_json)}
    fields["usage"] = msgspec.Raw(msgspec.json.encode(usage))
    return b"event: message_delta\ndata: " + msgspec.json.encode(fields)


class Stream:
    """Reads the vendor's events, one by one, while they pass.

    ``usage``: what it reported last. ``finished``: it gave a stop reason. ``done``: its last event came. ``error``: the vendor's
    error object (``type``, ``message``), after which nothing matters.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = self.done = False
        self.error: Json | None = None
        self._counts: Json = {}

    def feed(self, event: bytes) -> None:
        payload = sse.data_of(event)
        if not payload or self.error is not None or b'"content_block_' in payload[:40]:  # most events: nothing to learn
            return
        fields = _decoded(payload)
        kind = fields.get("type")
        if kind == "message_start":
            message = fields.get("message")
            self._count(message.get("usage") if isinstance(message, dict) else None)
        elif kind == "message_delta":
            delta = fields.get("delta")
            self._count(fields.get("usage"))
            self.finished = self.finished or bool(isinstance(delta, dict) and delta.get("stop_reason"))
        elif kind == "message_stop":
            self.done = True
        elif kind == "error" or fields.get("error"):
            error = fields.get("error")
            self.error = error if isinstance(error, dict) else {"type": "api_error", "message": str(error)}

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._counts |= {name: count for name, count in usage.items() if count is not None}
            self.usage = usage_of(self._counts)

    def texts(self, event: bytes) -> list[str]:
        """What the model wrote in this event, for counting it ourselves."""
        fields = _decoded(sse.data_of(event))
        if fields.get("type") == "content_block_start":
            block = fields.get("content_block")
            found = [block.get("name"), block.get("text"), block.get("thinking")] if isinstance(block, dict) else []
        else:
            delta = fields.get("delta")
            keys = ("text", "thinking", "partial_json")
            found = [delta.get(key) for key in keys] if isinstance(delta, dict) else []
        return [text for text in found if isinstance(text, str) and text]


def _decoded(payload: bytes) -> Json:
    """The event's object; an unreadable payload is an error of the vendor's."""
    if not payload:
        return {}
    try:
        fields = orjson.loads(payload)
    except orjson.JSONDecodeError:
        fields = None
    return (
        fields
        if isinstance(fields, dict)
        else {"type": "error", "error": {"type": "api_error", "message": "unreadable event"}}
    )
