"""Gemini's native answers, plain and streamed, as chat completions. Pure.

Wire facts: ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/thought-signatures (read November 2026).
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson

from billing.meters import Usage, clamp
from gateway.dialects.counts import Counts, UsageReader, is_count
from gateway.dialects.signatures import gemini_detail, join_id
from gateway.sse import data_of

type Json = dict[str, Any]

_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "NO_IMAGE",
            "ESCALATION",
        ),
        "content_filter",
    ),
}


def complete(answer: Json) -> tuple[list[Json], Usage | None]:
    """Choices and counts of a plain answer. Raises ValueError if it is none."""
    try:
        return _complete(answer)
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError("not a Gemini answer") from e


def _complete(answer: Json) -> tuple[list[Json], Usage | None]:
    candidates = answer.get("candidates") or []
    usage = usage_of(answer.get("usageMetadata"))
    if not candidates:
        if "promptFeedback" not in answer:
            raise ValueError("neither candidates nor promptFeedback")
        blocked = {"role": "assistant", "content": "", "refusal": None}
        return [{"index": 0, "message": blocked, "logprobs": None, "finish_reason": "content_filter"}], usage
    return [_choice(candidate, answer.get("responseId") or "") for candidate in candidates], usage


def _choice(candidate: Json, response_id: str) -> Json:
    index = candidate.get("index", 0)
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
    calls: list[Json] = []
    details: list[Json] = []
    for part in _parts_of(candidate):
        if "functionCall" in part:
            calls.append(_tool_call(part, f"{response_id}_{index}_{len(calls)}"))
            continue
        if kind := _text_kind(part):
            texts[kind].append(part["text"])
        if part.get("thoughtSignature"):
            details.append(gemini_detail(part["thoughtSignature"], len(details)))
    content = "".join(texts["content"])
    message: Json = {"role": "assistant", "content": None if calls and not content else content, "refusal": None}
    if texts["reasoning_content"]:
        message["reasoning_content"] = "".join(texts["reasoning_content"])
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    finish = _finish_reason(candidate.get("finishReason") or "STOP", has_calls=bool(calls))
    return {"index": index, "message": message, "logprobs": _logprobs(candidate), "finish_reason": finish}


_COUNTS = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")


def _counts_of(usage: Any) -> Counts | None:
    """None if there are no counts. JSON leaves out zeros, so a count that is missing beside others is a zero."""
    if not isinstance(usage, dict) or not any(is_count(usage.get(name)) for name in _COUNTS):
        return None
    input_tokens = clamp(clamp(usage.get("promptTokenCount")) + clamp(usage.get("toolUsePromptTokenCount")))
    answer, thoughts = clamp(usage.get("candidatesTokenCount")), clamp(usage.get("thoughtsTokenCount"))
    # some models count thoughts among the candidates' tokens already; the total tells
    is_inclusive = thoughts <= answer and usage.get("totalTokenCount") == input_tokens + answer
    return Counts(
        input_tokens=input_tokens,
        output_tokens=answer if is_inclusive else answer + thoughts,
        cached_tokens=usage.get("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


#: every modality lies inside the input count, too (``promptTokensDetails`` only tells them apart)
usage_of = UsageReader(cached_inside_input=True, counts_of=_counts_of)


def _parts_of(candidate: Json) -> list[Json]:
    return (candidate.get("content") or {}).get("parts") or []


def _text_kind(part: Json) -> str | None:
    """Which chat field a part's text belongs to; None for parts without text."""
    if not part.get("text"):
        return None
    return "reasoning_content" if part.get("thought") else "content"


def _tool_call(part: Json, id_default: str) -> Json:
    call = part["functionCall"]
    arguments = orjson.dumps(call.get("args") or {}).decode()
    return {
        "id": join_id(call.get("id") or id_default, part.get("thoughtSignature")),
        "type": "function",
        "function": {"name": call.get("name") or "", "arguments": arguments},
    }


def _finish_reason(reason: str, *, has_calls: bool) -> str:
    if reason == "STOP" and has_calls:
        return "tool_calls"
    # broken calls (MALFORMED_FUNCTION_CALL and its kin) and reasons not known yet end the answer where it is
    return _FINISH_REASONS.get(reason, "content_filter" if reason.startswith("IMAGE_") else "stop")


def _logprobs(candidate: Json) -> Json | None:
    result = candidate.get("logprobsResult") or {}
    if not result.get("chosenCandidates"):
        return None
    tops = [step.get("candidates") or [] for step in result.get("topCandidates") or ()]
    tops += [[]] * (len(result["chosenCandidates"]) - len(tops))
    content = [
        _logprob(chosen) | {"top_logprobs": [_logprob(other) for other in top]}
        for chosen, top in zip(result["chosenCandidates"], tops, strict=False)
    ]
    return {"content": content, "refusal": None}


def _logprob(token: Json) -> Json:
    text = token.get("token") or ""
    return {"token": text, "logprob": token.get("logProbability", 0.0), "bytes": list(text.encode())}


# ---------------------------------------------------------------- stream


class Stream:
    """Feed it events; it says the chat chunks, without ids, models or usage.

    Gemini marks no end: ``finished`` tells that every choice ended, ``done`` stays False.
    An error may come as a bare JSON object or list behind the events: feed what the framer has left over, too.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.done = False
        self.error: Json | None = None
        self._ended: dict[int, bool] = {}  # by choice: whether it has its finish reason
        self._call_counts: defaultdict[int, int] = defaultdict(int)
        self._signature_counts: defaultdict[int, int] = defaultdict(int)

    @property
    def finished(self) -> bool:
        return bool(self._ended) and all(self._ended.values())

    def feed(self, event: bytes) -> list[Json]:
        """Chunks for one raw event; none for comments, counts and errors."""
        payload = data_of(event) or (event.strip() if event.lstrip().startswith((b"{", b"[")) else b"")
        if not payload or self.error is not None:
            return []
        try:
            answer = orjson.loads(payload)
        except orjson.JSONDecodeError:
            answer = None
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        try:
            if not answer.get("error"):
                return self._take(answer)
            self.error = answer["error"] if isinstance(answer["error"], dict) else {"message": str(answer["error"])}
        except (AttributeError, KeyError, TypeError):
            self.error = {"message": "unreadable event"}
        return []

    def _take(self, answer: Json) -> list[Json]:
        usage = usage_of(answer.get("usageMetadata"))
        self.usage = usage if usage is not None else self.usage
        candidates = answer.get("candidates") or []
        if not candidates and "promptFeedback" in answer and not self._ended:
            return [self._chunk(0, {"content": ""}), self._end(0, "content_filter")]
        response_id = answer.get("responseId") or ""
        return [chunk for candidate in candidates for chunk in self._chunks(candidate, response_id)]

    def _chunks(self, candidate: Json, response_id: str) -> Iterator[Json]:
        index = candidate.get("index", 0)
        logprobs = _logprobs(candidate)
        for part in _parts_of(candidate):
            if "functionCall" in part:
                count = self._call_counts[index]
                self._call_counts[index] += 1
                call = _tool_call(part, f"{response_id}_{index}_{count}")
                yield self._chunk(index, {"tool_calls": [{"index": count, **call}]})
                continue
            if kind := _text_kind(part):
                yield self._chunk(index, {kind: part["text"]}, logprobs if kind == "content" else None)
                logprobs = None if kind == "content" else logprobs
            if part.get("thoughtSignature"):
                detail = gemini_detail(part["thoughtSignature"], self._signature_counts[index])
                self._signature_counts[index] += 1
                yield self._chunk(index, {"reasoning_details": [detail]})
        reason = candidate.get("finishReason")
        if reason and not self._ended.get(index):
            yield self._end(index, _finish_reason(reason, has_calls=self._call_counts[index] > 0))

    def _chunk(self, index: int, delta: Json, logprobs: Json | None = None) -> Json:
        if index not in self._ended:
            self._ended[index] = False
            delta = {"role": "assistant", **delta}
        choice: Json = {"index": index, "delta": delta, "finish_reason": None}
        return {"choices": [choice | {"logprobs": logprobs} if logprobs else choice]}

    def _end(self, index: int, reason: str) -> Json:
        chunk = self._chunk(index, {})
        self._ended[index] = True
        chunk["choices"][0]["finish_reason"] = reason
        return chunk
