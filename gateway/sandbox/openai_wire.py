"""OpenAI's chat completions: ``POST /v1/chat/completions``."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.sandbox import chat_request, usage, wires
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.replies import Choice, Output, Piece
from gateway.sandbox.usage import CacheUse
from gateway.sandbox.wires import Call

PATH = "/v1/chat/completions"
DONE_FRAME = b"data: [DONE]\n\n"
#: status → (type, code); the rest goes by its hundred
ERROR_KINDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "credit_balance_exhausted"),
    403: ("permission_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}


class OpenAiWire:
    name = "openai"

    def answers(self, path: str) -> bool:
        return path == PATH

    def model_and_stream(self, call: Call) -> tuple[Any, bool]:
        return call.body.get("model"), call.body.get("stream") is True

    def read(self, call: Call) -> ChatRequest:
        return chat_request.read(call.body)

    def envelope(self, request: ChatRequest) -> "OpenAiEnvelope":
        return OpenAiEnvelope(request)

    def headers(self, request_id: str, elapsed_ms: int) -> dict[str, str]:
        return {"x-request-id": request_id, "openai-processing-ms": str(elapsed_ms)}

    def refusal(self, refusal: Refusal, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
        wait = refusal.retry_after_seconds
        return _error(refusal), {} if wait is None else {"retry-after": str(wait)}


class OpenAiEnvelope:
    """What all frames of one answer share, and how its usage is reported."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._usage_in_chunks = request.include_usage and request.directives.usage != "none"
        self._shared = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": request.reported_model,
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }

    def completion(self, choices: Sequence[Choice], output: Output) -> dict[str, Any]:
        return {
            **self._shared,
            "object": "chat.completion",
            "choices": [_plain_choice(choice, index) for index, choice in enumerate(choices)],
            **self._usage(output),
        }

    def opening(self, choices: Sequence[Choice]) -> bytes:
        return b"".join(
            self._choice_frame(
                index, {"role": "assistant", "content": None if choice.tool_calls else "", "refusal": None}, None
            )
            for index, choice in enumerate(choices)
        )

    def piece(self, piece: Piece) -> bytes:
        return self._choice_frame(piece.choice, _delta(piece), None)

    def closing(self, choices: Sequence[Choice], output: Output) -> bytes:
        """The choices' ends, then usage where the caller asked for it."""
        ends = [
            self._choice_frame(index, {}, choice.finish_reason)
            for index, choice in enumerate(choices)
            if choice.finish_reason is not None
        ]
        usage_frame = self._frame([], **self._usage(output)) if self._usage_in_chunks else b""
        return b"".join(ends) + usage_frame + (DONE_FRAME if self._request.directives.done else b"")

    def error(self, refusal: Refusal) -> bytes:
        return _frame(_error(refusal))

    def big_line(self, line_bytes: int) -> bytes:
        """Padded as OpenAI pads: with `obfuscation`."""
        padding = wires.padded(self._frame([], obfuscation=""), line_bytes)
        return self._frame([], obfuscation=padding)

    def _choice_frame(self, index: int, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        return self._frame([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    def _frame(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        unreported = {"usage": None} if self._usage_in_chunks else {}
        return _frame({**self._shared, "object": "chat.completion.chunk", "choices": choices, **unreported, **more})

    def _usage(self, output: Output) -> dict[str, Any]:
        counted = usage.of(self._request, output, CacheUse())
        reported = {
            "prompt_tokens": counted.prompt_tokens,
            "completion_tokens": counted.completion_tokens,
            "total_tokens": counted.prompt_tokens + counted.completion_tokens,
            "prompt_tokens_details": {
                "cached_tokens": counted.cache.read_tokens,
                "cache_write_tokens": counted.cache.written_tokens,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": counted.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
        return usage.member(self._request, "usage", reported)


def _frame(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def _error(refusal: Refusal) -> dict[str, Any]:
    usual = ("server_error" if refusal.status >= 500 else "invalid_request_error", None)
    kind, code = ERROR_KINDS.get(refusal.status, usual)
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code or code}}


def _delta(piece: Piece) -> dict[str, Any]:
    if piece.kind == "reasoning":
        return {"reasoning_content": piece.text}
    if piece.call is None:
        return {"content": piece.text}
    if piece.kind == "arguments":
        return {"tool_calls": [{"index": piece.position, "function": {"arguments": piece.text}}]}
    opening = {"name": piece.call.name, "arguments": ""}
    return {"tool_calls": [{"index": piece.position, "id": piece.call.id, "type": "function", "function": opening}]}


def _plain_choice(choice: Choice, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}
