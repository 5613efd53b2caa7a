"""Anthropic's Messages: where calls go, and what its refusals mean. Bodies: gateway/dialects/chat_anthropic.py.

Wire facts: docs.anthropic.com/en/api/errors, /versioning. Later versions than this one refuse sampling parameters even of the
models that know them.
"""

from typing import Any

from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.upstreams.openai import _clean, _vendor_error, retry_after_seconds
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError

PATH = "/messages"

#: with max_tokens added, older models say it the second way
_TOO_LONG = ("prompt is too long", "input length and `max_tokens` exceed")
#: 400s that speak of our account
_ABOUT_US = ("credit balance is too low", "API usage limits", "organization has been disabled")


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. 529 is Anthropic's "overloaded"."""
    vendor = str(_vendor_error(body).get("message") or "")
    if status in (401, 402, 403, 404) or (status == 400 and any(words in vendor for words in _ABOUT_US)):
        return NoUpstreamAvailable("This model cannot be reached right now. The operator has been told.")
    if status in (400, 413, 422):
        message = _clean(vendor, upstream)
        if vendor.startswith(_TOO_LONG):
            return ContextLengthExceeded(message, param="messages")
        return InvalidRequest(message or "The model refused this request.")
    if status == 429:
        return RateLimitExceeded(
            "The model's vendor is busy. Try again in a moment.",
            headers={"retry-after": str(retry_after_seconds(headers))},
        )
    if status in (408, 504):
        return UpstreamTimeout("The model's vendor took too long.")
    return UpstreamError(
        "The model's vendor failed. Nothing was charged; try again.", retry_after_seconds=retry_after_seconds(headers)
    )
