"""OpenAI's chat completions, as spoken to OpenAI itself and to the sandbox.

Wire facts: developers.openai.com/api/reference/chat. Cached, cache-written and audio tokens lie inside ``prompt_tokens``,
reasoning inside ``completion_tokens``.
"""

import re
from typing import Any

import orjson

from billing.meters import Usage, clamp
from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError

PATH = "/chat/completions"
RETRY_AFTER_SECONDS_MAX = 120


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
    if not upstream.keeps_reasoning:
        out.pop("reasoning_content", None)
    if out["role"] == "developer" and upstream.renames_developer:
        out["role"] = "system"
    content = out.get("content")
    if isinstance(content, list):
        parts = [{key: value for key, value in part.items() if key != "cache_control"} for part in content]
        is_text = all(part["type"] == "text" for part in parts)
        out["content"] = "\n".join(part["text"] for part in parts) if upstream.flattens_text and is_text else parts
    if "tool_calls" in out:
        out["tool_calls"] = [{**call, "id": _plain_id(call["id"])} for call in out["tool_calls"]]
    if "tool_call_id" in out:
        out["tool_call_id"] = _plain_id(out["tool_call_id"])
    return out


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
    """A 200 that says it failed."""


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
        raise Failed(f"base_resp {base.get('status_code')}")


def usage_of(usage: Any) -> Usage | None:
    """The vendor's counts; None if there are none (then they are counted here). A reported zero is a zero."""
    if not isinstance(usage, dict) or "prompt_tokens" not in usage:
        return None
    prompt = usage.get("prompt_tokens_details")
    completion = usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = completion if isinstance(completion, dict) else {}
    input_tokens, output_tokens = clamp(usage["prompt_tokens"]), clamp(usage.get("completion_tokens"))
    if clamp(usage.get("total_tokens")) == input_tokens + output_tokens + clamp(completion.get("reasoning_tokens")):
        output_tokens += clamp(
            completion.get("reasoning_tokens")
        )  # xAI counts reasoning beside the answer, and only in the total
    cached_tokens = prompt.get("cached_tokens", usage.get("cached_tokens", usage.get("prompt_cache_hit_tokens")))
    cached = min(clamp(cached_tokens), input_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=min(clamp(prompt.get("cache_write_tokens")), input_tokens - cached),
        output_tokens=output_tokens,
        reasoning_tokens=min(clamp(completion.get("reasoning_tokens")), output_tokens),
    )


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. 401, 402, 403 and 404 mean our key or our catalogue, never the client's."""
    vendor = _vendor_error(body)
    message = _clean(str(vendor.get("message") or ""), upstream)
    if status in (400, 413, 422):
        if vendor.get("code") == "context_length_exceeded":
            return ContextLengthExceeded(
                message or "The prompt is longer than the model's context window.", param="messages"
            )
        param = vendor.get("param")
        return InvalidRequest(
            message or "The model refused this request.", param=param if isinstance(param, str) else None
        )
    if status == 429:
        return RateLimitExceeded(
            "The model's vendor is busy. Try again in a moment.",
            headers={"retry-after": str(retry_after_seconds(headers))},
        )
    if status in (408, 504):
        return UpstreamTimeout("The model's vendor took too long.")
    if status in (401, 402, 403, 404):
        return NoUpstreamAvailable("This model cannot be reached right now. The operator has been told.")
    return UpstreamError(
        "The model's vendor failed. Nothing was charged; try again.", retry_after_seconds=retry_after_seconds(headers)
    )


def retry_after_seconds(headers: Any, default: int = 1) -> int:
    """SDKs stop retrying altogether when told to wait longer than two minutes."""
    value = headers.get("retry-after") or ""
    return min(max(int(value), 1), RETRY_AFTER_SECONDS_MAX) if value.isascii() and value.isdigit() else default


def _vendor_error(body: bytes) -> dict[str, Any]:
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = error.get("error") if isinstance(error, dict) else None
    return error if isinstance(error, dict) else {}


_SECRETS = re.compile(
    r"(?:sk|rk|pk|org|proj|acct|req|key)[-_][\w\-*]{4,}|Bearer\s+\S+|https?://\S+|[\w.+-]+@[\w.-]+", re.IGNORECASE
)


def _clean(message: str, upstream: Upstream) -> str:
    """A vendor's words without keys, hosts, account names and request ids."""
    for _, secret in upstream.headers:
        message = message.replace(secret.removeprefix("Bearer "), "…")
    return _SECRETS.sub("…", message)[:500]
