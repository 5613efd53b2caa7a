"""Gemini's own API (``generateContent``): where calls go, and what its refusals mean. Bodies: gateway/dialects/chat_google.py.

Wire facts: ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.Status. There are no rate-limit headers.
"""

import math
import re
from typing import Any

import orjson

from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.upstreams.openai import RETRY_AFTER_SECONDS_MAX, _clean, retry_after_seconds
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError


def path(upstream_model: str, stream: bool) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/models/{upstream_model}:{method}"


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. Bad keys are a 400 here, told apart by their reason."""
    vendor = _vendor_error(body)
    if status in (401, 402, 403, 404) or (status == 400 and _is_about_us(vendor)):
        return NoUpstreamAvailable("This model cannot be reached right now. The operator has been told.")
    if status in (400, 413, 422):
        message = _clean(str(vendor.get("message") or ""), upstream)
        if "exceeds the maximum number of tokens" in message:
            return ContextLengthExceeded(message, param="messages")
        return InvalidRequest(message or "The model refused this request.")
    wait_seconds = _retry_after_seconds(vendor, headers)
    if status == 429:
        return RateLimitExceeded(
            "The model's vendor is busy. Try again in a moment.", headers={"retry-after": str(wait_seconds)}
        )
    if status in (408, 504):
        return UpstreamTimeout("The model's vendor took too long.")
    return UpstreamError("The model's vendor failed. Nothing was charged; try again.", retry_after_seconds=wait_seconds)


def _is_about_us(vendor: dict[str, Any]) -> bool:
    """Our key (API_KEY_INVALID, also for an expired one), our billing or our servers' location (FAILED_PRECONDITION)."""
    reasons = [str(detail.get("reason")) for detail in _details(vendor)]
    return vendor.get("status") == "FAILED_PRECONDITION" or any(reason.startswith("API_KEY_") for reason in reasons)


def _retry_after_seconds(vendor: dict[str, Any], headers: Any) -> int:
    """RetryInfo's delay ("12s", "3.5s"), rounded up."""
    for detail in _details(vendor):
        delay = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(detail.get("retryDelay")), re.ASCII)
        if delay:
            return min(max(math.ceil(float(delay[1])), 1), RETRY_AFTER_SECONDS_MAX)
    return retry_after_seconds(headers)


def _details(vendor: dict[str, Any]) -> list[dict[str, Any]]:
    details = vendor.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _vendor_error(body: bytes) -> dict[str, Any]:
    """The error object, which streams (and the compatible endpoint) wrap in a list."""
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(error, list) and error:
        error = error[0]
    error = error.get("error") if isinstance(error, dict) else None
    return error if isinstance(error, dict) else {}
