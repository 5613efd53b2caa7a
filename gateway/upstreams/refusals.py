"""A vendor's refusal in our words: what it means for the caller, and how much of what the vendor said may be passed on."""

import enum
import re
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from tokenhub.errors import TokenHubError

if TYPE_CHECKING:
    from gateway.upstreams.registry import Upstream

RETRY_AFTER_SECONDS_MAX = 120
WORDS_MAX = 500


class Meaning(enum.Enum):
    """What a refusal means, whatever status or code it came with."""

    OURS = "our key, our balance or our catalogue: never the caller's fault"
    REFUSED = "the caller's request"
    TOO_LONG = "the caller's prompt is beyond the model's window"
    BUSY = "too many calls"
    SLOW = "the vendor took too long"
    FAILED = "the vendor broke"


_BY_STATUS = {
    **dict.fromkeys((400, 413, 422), Meaning.REFUSED),
    **dict.fromkeys((401, 402, 403, 404), Meaning.OURS),
    **dict.fromkeys((408, 504), Meaning.SLOW),
    429: Meaning.BUSY,
}


def meaning_of(status: int) -> Meaning:
    """By the HTTP status alone; 529 ("overloaded") and everything unknown is a failure."""
    return _BY_STATUS.get(status, Meaning.FAILED)


def error_for(meaning: Meaning, *, words: str = "", param: str | None = None, wait_seconds: int = 1) -> TokenHubError:
    """``words``: the vendor's, cleaned; passed on only where they are about the caller's request."""
    match meaning:
        case Meaning.OURS:
            return NoUpstreamAvailable("This model cannot be reached right now. The operator has been told.")
        case Meaning.REFUSED:
            return InvalidRequest(words or "The model refused this request.", param=param)
        case Meaning.TOO_LONG:
            too_long = "The prompt is longer than the model's context window."
            return ContextLengthExceeded(words or too_long, param="messages")
        case Meaning.BUSY:
            wait = {"retry-after": str(wait_seconds)}
            return RateLimitExceeded("The model's vendor is busy. Try again in a moment.", headers=wait)
        case Meaning.SLOW:
            return UpstreamTimeout("The model's vendor took too long.", retry_after_seconds=wait_seconds)
    return UpstreamError("The model's vendor failed. Nothing was charged; try again.", retry_after_seconds=wait_seconds)


def retry_after_seconds(headers: Any) -> int:
    """SDKs stop retrying altogether when told to wait longer than two minutes."""
    value = headers.get("retry-after") or ""
    return min(max(int(value), 1), RETRY_AFTER_SECONDS_MAX) if value.isascii() and value.isdigit() else 1


# ---------------------------------------------------------------- what the vendor said


def error_object(body: bytes) -> dict[str, Any]:
    """The error in any of the vendors' wrappings: an object, a list of one, a bare text with a code beside it, or no wrapping."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(answer, list) and answer:  # Gemini's streams and its OpenAI-compatible route
        answer = answer[0]
    if not isinstance(answer, dict):
        return {}
    error = answer.get("error", answer)
    if isinstance(error, str):  # xAI
        return {"message": error, "code": answer.get("code")}
    return error if isinstance(error, dict) else {}


_SECRETS = re.compile(
    r"""
      Bearer\s+\S+ | https?://\S+ | [\w.+-]+@[\w.-]+
    | \b(?:sk|rk|pk|ak|org|proj|acct|req|key)[-_][\w\-*]{4,}
    | \b(?:organi[sz]ation|account|project|workspace|tenant|team)s?(?:[ _/-]?id)?[\s:=/]+(?:["'`][^"'`]+["'`]|[\w.-]*\d[\w.-]*)
    | \b(?:[a-z0-9-]+\.)+(?:com|cn|ai|io|net|org|dev|cloud|internal|local)\b(?::\d+)?(?:/\S*)?
    | \b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?
    """,
    re.IGNORECASE | re.VERBOSE,
)


def cleaned(message: Any, upstream: "Upstream") -> str:
    """A vendor's words without keys, hosts, account names and request ids."""
    words = message if isinstance(message, str) else ""
    for _, secret in upstream.headers:
        words = words.replace(secret.removeprefix("Bearer "), "…")
    return _SECRETS.sub("…", words)[:WORDS_MAX]
