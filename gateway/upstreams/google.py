"""Gemini's own API (``generateContent``): where calls go, and what its refusals mean. Bodies: gateway/dialects/chat_google.py.

Wire facts: ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.Status. There are no rate-limit headers.
"""

import math
import re
from typing import Any

from gateway.upstreams.refusals import (
    RETRY_AFTER_SECONDS_MAX,
    Meaning,
    cleaned,
    error_for,
    error_object,
    meaning_of,
    retry_after_seconds,
)
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError


def path(upstream_model: str, stream: bool) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/models/{upstream_model}:{method}"


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. Bad keys are a 400 here, told apart by their reason."""
    vendor = error_object(body)
    message = cleaned(vendor.get("message"), upstream)
    meaning = meaning_of(status)
    if status == 400 and _is_about_us(vendor):
        meaning = Meaning.OURS
    elif meaning is Meaning.REFUSED and "exceeds the maximum number of tokens" in message:
        meaning = Meaning.TOO_LONG
    return error_for(meaning, words=message, wait_seconds=_retry_after_seconds(vendor, headers))


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
