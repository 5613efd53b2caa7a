"""OpenAI's chat completions, as spoken to OpenAI itself and to the sandbox.

Wire facts: developers.openai.com/api/reference/chat. Cached, cache-written and audio tokens lie inside ``prompt_tokens``,
reasoning inside ``completion_tokens``.
"""

import re
from typing import Any

from billing.meters import clamp
from gateway.dialects.counts import Counts, UsageReader, is_count, object_of
from gateway.upstreams.refusals import (
    Meaning,
    cleaned,
    error_for,
    error_object,
    meaning_of,
    retry_after_seconds,
)
from gateway.upstreams.registry import MINIMAX_MEANINGS, Upstream
from tokenhub.errors import TokenHubError

PATH = "/chat/completions"


def request_body(
    body: dict[str, Any], upstream_model: str, stream: bool, adds: tuple[tuple[str, Any], ...] = ()
) -> dict[str, Any]:
    """What goes out, still without the output bound (it is known only once the call is admitted)."""
    out = {"model": upstream_model, **body, **dict(adds)}
    if stream:
        out |= {"stream": True, "stream_options": {"include_usage": True}}
    return out


def with_output_bound(serialised: bytes, output_tokens: int, name: str = "max_completion_tokens") -> bytes:
    """OpenAI's reasoning models refuse ``max_tokens``; most of its kin know nothing else."""
    return b'%s,"%b":%d}' % (serialised[:-1], name.encode(), output_tokens)


def fitted(body: dict[str, Any], upstream: Upstream, has_extras: bool) -> dict[str, Any]:
    """The body as this vendor takes it: roles it knows, ids it accepts, and no words of other dialects."""
    if not has_extras and not upstream.renames_developer and not upstream.flattens_text:
        return body
    messages = [_fitted_message(message, upstream) for message in body["messages"]]
    out = {**body, "messages": messages}
    if "tools" in body:
        out["tools"] = [{key: value for key, value in tool.items() if key != "cache_control"} for tool in body["tools"]]
    return out


def _fitted_message(message: dict[str, Any], upstream: Upstream) -> dict[str, Any]:
    out = {key: value for key, value in message.items() if key != "reasoning_details"}
    if upstream.keeps_reasoning_details and (details := _plain_thoughts(message)):
        out["reasoning_details"] = details
    if not upstream.keeps_reasoning:
        out.pop("reasoning_content", None)
    if out["role"] == "developer" and upstream.renames_developer:
        out["role"] = "system"
    content = out.get("content")
    if isinstance(content, list):
        parts = [{key: value for key, value in part.items() if key != "cache_control"} for part in content]
        is_text = all(part["type"] == "text" for part in parts)
        out["content"] = "\n".join(part["text"] for part in parts) if upstream.flattens_text and is_text else parts
    if out.get("tool_calls"):
        if upstream.keeps_reasoning and not out.get("reasoning_content"):
            out["reasoning_content"] = _LOST_THOUGHTS
        out["tool_calls"] = [{**call, "id": _plain_id(call["id"])} for call in out["tool_calls"]]
    if "tool_call_id" in out:
        out["tool_call_id"] = _plain_id(out["tool_call_id"])
    return out


def _plain_thoughts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The thoughts that nobody signed or sealed: what another vendor did means nothing to this one."""
    details = message.get("reasoning_details") or ()
    return [one for one in details if one.get("type") == "reasoning.text" and not one.get("signature")]


#: most clients lose thoughts, and a call without them is a 400 while the model thinks
_LOST_THOUGHTS = " "


def _plain_id(call_id: str) -> str:
    """Gemini's signatures travel inside the ids of its calls, behind a tilde; others would choke on their length."""
    return call_id.partition("~")[0]


#: how its kin end an answer in words of their own; None: it did not end, it failed
FINISH_REASONS: dict[str, str | None] = {
    "sensitive": "content_filter",  # Zhipu
    "model_context_window": "length",
    "model_context_window_exceeded": "length",
    "network_error": None,
    "insufficient_system_resource": None,  # DeepSeek
}
_STANDARD_END = re.compile(rb'"finish_reason": ?"(?:stop|length|tool_calls|content_filter|function_call)"')


class Failed(ValueError):
    """A 200 that says it failed; ``error`` is what that means for the caller."""

    def __init__(self, reason: str, meaning: Meaning = Meaning.FAILED):
        super().__init__(reason)
        self.error = error_for(meaning)


def ends_in_standard_words(payload: bytes) -> bool:
    return _STANDARD_END.search(payload) is not None


def normalise_ends(choices: list[Any]) -> None:
    """Finish reasons in OpenAI's words, in place. Raises Failed where the vendor gave up instead of ending."""
    for choice in choices:
        reason = choice.get("finish_reason")
        if reason == "":  # xAI, after tool calls
            said = choice.get("message") or choice.get("delta") or {}
            choice["finish_reason"] = "tool_calls" if said.get("tool_calls") else None
        elif reason in FINISH_REASONS:
            choice["finish_reason"] = FINISH_REASONS[reason]
            if choice["finish_reason"] is None:
                raise Failed(reason)


def check_base_response(base: Any) -> None:
    """MiniMax reports failures inside a 200 (``base_resp``). Raises Failed."""
    if isinstance(base, dict) and base.get("status_code") not in (None, 0):
        code = str(base["status_code"])
        raise Failed(f"base_resp {code}", MINIMAX_MEANINGS.get(code, Meaning.FAILED))


def _counts_of(usage: Any) -> Counts | None:
    """The vendor's counts; None if there are none (then they are counted here). A reported zero is a zero."""
    if not isinstance(usage, dict) or not is_count(usage.get("prompt_tokens")):
        return None
    prompt, completion = (object_of(usage.get(name)) for name in ("prompt_tokens_details", "completion_tokens_details"))
    output_tokens, thoughts = clamp(usage.get("completion_tokens")), clamp(completion.get("reasoning_tokens"))
    if clamp(usage.get("total_tokens")) == clamp(usage["prompt_tokens"]) + output_tokens + thoughts:
        output_tokens += thoughts  # xAI counts reasoning beside the answer, and only in the total
    cached_at_top = usage.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))  # Moonshot, DeepSeek
    return Counts(
        input_tokens=usage["prompt_tokens"],
        output_tokens=output_tokens,
        cached_tokens=prompt.get("cached_tokens", cached_at_top),
        cache_write_tokens=prompt.get("cache_write_tokens", prompt.get("cache_creation_input_tokens")),  # DashScope
        reasoning_tokens=thoughts,
    )


#: audio and images lie inside the input count, too, and have no rates of their own here
usage_of = UsageReader(cached_inside_input=True, counts_of=_counts_of)

#: how the vendors say that a prompt is beyond the window, where no code does
_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|maximum prompt length|exceeded model token limit"
    r"|range of input length|input is longer than|context window",
    re.IGNORECASE,
)


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. A vendor's own code says more than the status it came with."""
    vendor = error_object(body)
    message, param = cleaned(vendor.get("message"), upstream), vendor.get("param")
    return error_for(
        _meaning(upstream, status, vendor),
        words=message,
        param=param if isinstance(param, str) else None,
        wait_seconds=retry_after_seconds(headers),
    )


def _meaning(upstream: Upstream, status: int, vendor: dict[str, Any]) -> Meaning:
    for word in (vendor.get("code"), vendor.get("type"), status):
        if str(word) in upstream.meanings:
            return upstream.meanings[str(word)]
    meaning = meaning_of(status)
    is_too_long = vendor.get("code") == "context_length_exceeded" or _TOO_LONG.search(str(vendor.get("message")))
    return Meaning.TOO_LONG if meaning is Meaning.REFUSED and is_too_long else meaning
