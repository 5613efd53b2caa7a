"""Anthropic's Messages: ``POST /anthropic/v1/messages``."""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.sandbox import anthropic_request, signatures, usage, wires
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.prompt_cache import PromptCache
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.replies import Choice, Output, Piece
from gateway.sandbox.tools import ToolCall
from gateway.sandbox.usage import CacheUse
from gateway.sandbox.wires import Call

type Json = dict[str, Any]

PATH = "/anthropic/v1/messages"
STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
#: the rest goes by its hundred
ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicWire:
    name = "anthropic"

    def __init__(self, cache: PromptCache) -> None:
        self._cache = cache

    def answers(self, path: str) -> bool:
        return path == PATH

    def model_and_stream(self, call: Call) -> tuple[Any, bool]:
        return call.body.get("model"), call.body.get("stream") is True

    def read(self, call: Call) -> ChatRequest:
        return anthropic_request.read(call)

    def envelope(self, request: ChatRequest) -> "AnthropicEnvelope":
        cache = self._cache.use(request.model, anthropic_request.cache_blocks(request.native))
        return AnthropicEnvelope(request, cache)

    def headers(self, request_id: str, elapsed_ms: int) -> dict[str, str]:
        return {"request-id": request_id}

    def refusal(self, refusal: Refusal, request_id: str) -> tuple[Json, dict[str, str]]:
        wait = refusal.retry_after_seconds
        return _error(refusal) | {"request_id": request_id}, {} if wait is None else {"retry-after": str(wait)}


class AnthropicEnvelope:
    """One message on its way: content blocks one after the other, each opened, filled and closed."""

    def __init__(self, request: ChatRequest, cache: CacheUse) -> None:
        self._request = request
        self._cache = cache
        self._message = {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": request.reported_model,
        }
        self._blocks_begun = 0
        #: (kind, position) of the block that is open, and the thinking that it holds so far
        self._open: tuple[str, int] | None = None
        self._thinking = ""

    def completion(self, choices: Sequence[Choice], output: Output) -> Json:
        (choice,) = choices
        return {**self._message, "content": _content(choice), **_ending(choice), **self._usage(output)}

    def opening(self, choices: Sequence[Choice]) -> bytes:
        message: Json = {
            **self._message,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
        }
        begun = usage.member(self._request, "usage", self._counts(Output(1, 0)) | {"output_tokens": 1})
        return _frame("message_start", message=message | begun) + _frame("ping")

    def piece(self, piece: Piece) -> bytes:
        block = ("tool_use" if piece.call else piece.kind, piece.position)
        if block == self._open:
            return self._delta(piece)
        return self._close() + self._start(piece, block) + self._delta(piece)

    def closing(self, choices: Sequence[Choice], output: Output) -> bytes:
        (choice,) = choices
        end = self._close() + _frame("message_delta", delta=_ending(choice), **self._usage(output))
        return end + (_frame("message_stop") if self._request.directives.done else b"")

    def error(self, refusal: Refusal) -> bytes:
        return _frame(**_error(refusal))

    def big_line(self, line_bytes: int) -> bytes:
        return _frame("ping", padding=wires.padded(_frame("ping", padding=""), line_bytes))

    def _start(self, piece: Piece, block: tuple[str, int]) -> bytes:
        self._open = block
        self._thinking = ""
        content: Json = {"type": "text", "text": ""}
        if piece.call:
            content = _tool_use(piece.call, {})
        elif piece.kind == "reasoning":
            content = {"type": "thinking", "thinking": "", "signature": ""}
        self._blocks_begun += 1
        return _frame("content_block_start", index=self._blocks_begun - 1, content_block=content)

    def _delta(self, piece: Piece) -> bytes:
        if piece.call:
            # no input at all is said by nothing
            said = piece.text if piece.kind == "arguments" and piece.call.arguments != "{}" else ""
            return self._block_delta({"type": "input_json_delta", "partial_json": said})
        if piece.kind == "reasoning":
            self._thinking += piece.text
            return self._block_delta({"type": "thinking_delta", "thinking": piece.text})
        return self._block_delta({"type": "text_delta", "text": piece.text})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        seal = b""
        if self._open[0] == "reasoning":
            signature = signatures.sign("thinking", self._thinking)
            seal = self._block_delta({"type": "signature_delta", "signature": signature})
        self._open = None
        return seal + _frame("content_block_stop", index=self._blocks_begun - 1)

    def _block_delta(self, delta: Json) -> bytes:
        return _frame("content_block_delta", index=self._blocks_begun - 1, delta=delta)

    def _usage(self, output: Output) -> Json:
        return usage.member(self._request, "usage", self._counts(output))

    def _counts(self, output: Output) -> Json:
        """``input_tokens`` are those that no cache had to do with."""
        counted = usage.of(self._request, output, self._cache)
        cache = counted.cache
        return {
            "input_tokens": counted.prompt_tokens - cache.read_tokens - cache.written_tokens,
            "cache_creation_input_tokens": cache.written_tokens,
            "cache_read_input_tokens": cache.read_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cache.written_tokens - cache.written_1h_tokens,
                "ephemeral_1h_input_tokens": cache.written_1h_tokens,
            },
            "output_tokens": counted.completion_tokens,
            "output_tokens_details": {"thinking_tokens": counted.reasoning_tokens},
            "server_tool_use": None,
            "service_tier": "standard",
        }


def _frame(type: str, **members: Any) -> bytes:
    return f"event: {type}\ndata: ".encode() + orjson.dumps({"type": type, **members}) + b"\n\n"


def _error(refusal: Refusal) -> Json:
    usual = "api_error" if refusal.status >= 500 else "invalid_request_error"
    error = {"type": ERROR_TYPES.get(refusal.status, usual), "message": refusal.message}
    return {"type": "error", "error": error}


def _content(choice: Choice) -> list[Json]:
    content: list[Json] = []
    if choice.reasoning:
        signature = signatures.sign("thinking", choice.reasoning)
        content.append({"type": "thinking", "thinking": choice.reasoning, "signature": signature})
    if choice.text:
        content.append({"type": "text", "text": choice.text})
    return content + [_tool_use(call, _input(call)) for call in choice.tool_calls]


def _tool_use(call: ToolCall, input_: Json) -> Json:
    return {"type": "tool_use", "id": call.id.replace("call_", "toolu_"), "name": call.name, "input": input_}


def _input(call: ToolCall) -> Json:
    try:
        return orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return {}  # cut short by max_tokens


def _ending(choice: Choice) -> Json:
    reason = choice.finish_reason
    if reason == "stop" and choice.stopped_at is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": choice.stopped_at, "stop_details": None}
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "content_filter" else None
    stop_reason = STOP_REASONS.get(reason, reason) if reason else None
    return {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": details}
