"""Anthropic's Messages: where calls go, and what its refusals mean. Bodies: gateway/dialects/chat_anthropic.py.

Wire facts: docs.anthropic.com/en/api/errors, /versioning. Later versions than this one refuse sampling parameters even of the
models that know them.
"""

from typing import Any

from gateway.upstreams.refusals import Meaning, cleaned, error_for, error_object, meaning_of, retry_after_seconds
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError

PATH = "/messages"

#: with max_tokens added, older models say it the second way
_TOO_LONG = ("prompt is too long", "input length and `max_tokens` exceed")
#: 400s that speak of our account
_ABOUT_US = ("credit balance is too low", "API usage limits", "organization has been disabled")


def error_of(upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
    """An upstream's refusal in our words. 529 is Anthropic's "overloaded"."""
    vendor = str(error_object(body).get("message") or "")
    meaning = meaning_of(status)
    if status == 400 and any(words in vendor for words in _ABOUT_US):
        meaning = Meaning.OURS
    elif meaning is Meaning.REFUSED and vendor.startswith(_TOO_LONG):
        meaning = Meaning.TOO_LONG
    return error_for(meaning, words=cleaned(vendor, upstream), wait_seconds=retry_after_seconds(headers))
