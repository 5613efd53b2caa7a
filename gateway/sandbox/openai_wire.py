"""OpenAI's chat.completions wire format: the body of a plain answer, and the frames of a streamed one."""

import time
import uuid
from typing import Any

import orjson

from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.directives import USAGE_DETAILS, ReportedUsage
from gateway.sandbox.replies import Choice, Piece

ANOTHER_MODEL = "sandbox-another-model"
DONE_FRAME = b"data: [DONE]\n\n"


class Envelope:
    """What all frames of one answer share, and how its usage is reported."""

    def __init__(self, request: ChatRequest) -> None:
        self._usage_wish = request.directives.usage
        self._usage_in_chunks = request.include_usage and self._usage_wish != "none"
        self._prompt_tokens = request.prompt_tokens
        self._shared = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": ANOTHER_MODEL if request.directives.wrong_model else request.model,
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }

    def completion(self, choices: list[Choice], completion_tokens: int) -> dict[str, Any]:
        body = {
            **self._shared,
            "object": "chat.completion",
            "choices": [_plain_choice(choice, index) for index, choice in enumerate(choices)],
        }
        if self._usage_wish != "none":
            body["usage"] = self._usage(completion_tokens)
        return body

    def first_frame(self, index: int, choice: Choice) -> bytes:
        content = None if choice.tool_calls else ""
        return self._choice_frame(index, {"role": "assistant", "content": content, "refusal": None}, None)

    def piece_frame(self, piece: Piece) -> bytes:
        return self._choice_frame(piece.choice, piece.delta, None)

    def last_frame(self, index: int, choice: Choice) -> bytes:
        return self._choice_frame(index, {}, choice.finish_reason)

    def usage_frame(self, completion_tokens: int) -> bytes:
        """The frame after the choices' ends, empty where the caller did not ask for usage."""
        return self._frame([], usage=self._usage(completion_tokens)) if self._usage_in_chunks else b""

    def big_frame(self, line_bytes: int) -> bytes:
        """A frame without content whose line has ``line_bytes`` bytes, padded as OpenAI pads: with `obfuscation`."""
        frame = self._frame([], usage=None, obfuscation="")
        padding = "x" * max(0, line_bytes - len(frame.rstrip()))
        return self._frame([], usage=None, obfuscation=padding)

    def _choice_frame(self, index: int, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._frame([choice], usage=None)

    def _frame(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None, **more: Any) -> bytes:
        chunk = {**self._shared, "object": "chat.completion.chunk", "choices": choices, **more}
        if self._usage_in_chunks:
            chunk["usage"] = usage
        return frame(chunk)

    def _usage(self, completion_tokens: int) -> dict[str, Any] | None:
        if self._usage_wish == "null":
            return None
        if isinstance(self._usage_wish, ReportedUsage):
            wish = self._usage_wish
            return _usage(wish.prompt_tokens, wish.completion_tokens, wish.details)
        return _usage(self._prompt_tokens, completion_tokens, {})


def frame(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def _plain_choice(choice: Choice, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def _usage(prompt_tokens: int, completion_tokens: int, details: dict[str, int]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    for name, value in details.items():
        group, member = USAGE_DETAILS[name]
        usage[group][member] = value
    return usage
