"""Google's Gemini: ``POST /google/v1beta/models/{model}:generateContent`` and ``:streamGenerateContent?alt=sse``."""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.sandbox import gemini_request, gemini_rules, signatures, usage, wires
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.refusals import Refusal, invalid
from gateway.sandbox.replies import Choice, Output, Piece
from gateway.sandbox.tools import ToolCall
from gateway.sandbox.usage import CacheUse
from gateway.sandbox.wires import Call

type Json = dict[str, Any]

PREFIX = "/google/v1beta/models/"
PLAIN, STREAMED = ":generateContent", ":streamGenerateContent"
FINISH_REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
#: the rest goes by its hundred
ERROR_STATUSES = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


class GeminiWire:
    name = "google"

    def answers(self, path: str) -> bool:
        return path.startswith(PREFIX) and path.endswith((PLAIN, STREAMED))

    def model_and_stream(self, call: Call) -> tuple[Any, bool]:
        model, _, method = call.path.removeprefix(PREFIX).rpartition(":")
        return model, f":{method}" == STREAMED

    def read(self, call: Call) -> ChatRequest:
        model, stream = self.model_and_stream(call)
        if stream and call.query.get("alt") != "sse":
            raise invalid("The sandbox streams with alt=sse only.")
        return gemini_request.read(call.body, model, stream)

    def envelope(self, request: ChatRequest) -> "GeminiEnvelope":
        return GeminiEnvelope(request)

    def headers(self, request_id: str, elapsed_ms: int) -> dict[str, str]:
        return {"server-timing": f"gfet4t7; dur={elapsed_ms}"}

    def refusal(self, refusal: Refusal, request_id: str) -> tuple[Json, dict[str, str]]:
        return _error(refusal), {}


class GeminiEnvelope:
    """One answer on its way: every frame is a response of its own; a function's call comes whole, in one of them."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._shared = {"modelVersion": request.reported_model, "responseId": uuid.uuid4().hex[:22]}
        self._names_call_ids = gemini_rules.generation(request.model) >= 3
        #: arguments of the calls that are not whole yet, by (choice, position)
        self._arguments: dict[tuple[int, int], str] = {}

    def completion(self, choices: Sequence[Choice], output: Output) -> Json:
        if self._request.directives.blocked:
            return self._blocked(output)
        candidates = [
            _candidate(index, self._parts(choice), choice.finish_reason) for index, choice in enumerate(choices)
        ]
        return self._response(output, candidates=candidates)

    def opening(self, choices: Sequence[Choice]) -> bytes:
        return b""

    def piece(self, piece: Piece) -> bytes:
        part = self._collected(piece) if piece.call else _text_part(piece)
        if part is None:
            return b""
        # amid a stream only the prompt's tokens are known
        return _frame(self._response(Output(0, 0), candidates=[_candidate(piece.choice, [part], None)]))

    def closing(self, choices: Sequence[Choice], output: Output) -> bytes:
        if self._request.directives.blocked:
            return _frame(self._blocked(output))
        ends = [
            _candidate(index, [{"text": ""}], choice.finish_reason)
            for index, choice in enumerate(choices)
            if choice.finish_reason is not None
        ]
        responses = [self._response(output, candidates=[end]) for end in ends]
        return b"".join(map(_frame, responses or [self._response(output)]))

    def error(self, refusal: Refusal) -> bytes:
        return _frame(_error(refusal))

    def big_line(self, line_bytes: int) -> bytes:
        return _frame(self._shared | {"padding": wires.padded(_frame(self._shared | {"padding": ""}), line_bytes)})

    def _collected(self, piece: Piece) -> Json | None:
        """The call that ``piece`` completes."""
        if piece.call is None or piece.kind != "arguments":
            return None
        place = (piece.choice, piece.position)
        self._arguments[place] = self._arguments.get(place, "") + piece.text
        return self._call_part(piece.call, piece.position) if self._arguments[place] == piece.call.arguments else None

    def _parts(self, choice: Choice) -> list[Json]:
        parts: list[Json] = [{"text": choice.reasoning, "thought": True}] if choice.reasoning else []
        if choice.text:
            parts.append({"text": choice.text})
        calls = (self._call_part(call, position) for position, call in enumerate(choice.tool_calls))
        return parts + [part for part in calls if part is not None]

    def _call_part(self, call: ToolCall, position: int) -> Json | None:
        """None where max_tokens cut the arguments. The first of parallel calls bears the signature for all."""
        try:
            args = orjson.loads(call.arguments)
        except orjson.JSONDecodeError:
            return None
        named = {"id": call.id.removeprefix("call_")} if self._names_call_ids else {}
        part: Json = {"functionCall": {**named, "name": call.name, "args": args}}
        return part if position else part | {"thoughtSignature": signatures.sign("call", call.name)}

    def _blocked(self, output: Output) -> Json:
        return self._response(output, promptFeedback={"blockReason": "SAFETY"})

    def _response(self, output: Output, **members: Any) -> Json:
        return {**members, **usage.member(self._request, "usageMetadata", self._counts(output)), **self._shared}

    def _counts(self, output: Output) -> Json:
        """Thoughts are counted beside the candidates; what is zero is left out."""
        counted = usage.of(self._request, output, CacheUse())
        candidates = counted.completion_tokens - counted.reasoning_tokens
        counts = {
            "cachedContentTokenCount": counted.cache.read_tokens,
            "candidatesTokenCount": candidates,
            "thoughtsTokenCount": counted.reasoning_tokens,
        }
        return {
            "promptTokenCount": counted.prompt_tokens,
            **{name: count for name, count in counts.items() if count},
            "totalTokenCount": counted.prompt_tokens + counted.completion_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counted.prompt_tokens}],
        }


def _frame(data: Json) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\r\n\r\n"


def _text_part(piece: Piece) -> Json:
    return {"text": piece.text, "thought": True} if piece.kind == "reasoning" else {"text": piece.text}


def _candidate(index: int, parts: list[Json], finish_reason: str | None) -> Json:
    content = {"content": {"parts": parts, "role": "model"}} if parts else {}
    finish = {"finishReason": FINISH_REASONS.get(finish_reason, finish_reason.upper())} if finish_reason else {}
    return {**content, **finish, "index": index}


def _error(refusal: Refusal) -> Json:
    usual = "INTERNAL" if refusal.status >= 500 else "INVALID_ARGUMENT"
    status = ERROR_STATUSES.get(refusal.status, usual)
    error: Json = {"code": refusal.status, "message": refusal.message, "status": status}
    if refusal.retry_after_seconds is not None:
        error["details"] = [{"@type": RETRY_INFO, "retryDelay": f"{refusal.retry_after_seconds}s"}]
    return {"error": error}
