"""Reasoning that a vendor sealed goes back to that vendor alone: others refuse what they did not seal. Pure.

Chat's ``reasoning_details`` carry it (``reasoning.encrypted``), and every client dialect has a place for those. Anthropic's seals are
bare base64; Gemini's are marked with a sign that base64 does not have.
"""

import re
from typing import Any

type Json = dict[str, Any]

_GEMINI = "gemini~"
_TO_URL_SAFE, _FROM_URL_SAFE = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")


def gemini_detail(signature: str, index: int) -> Json:
    """What Gemini put on a part of its text, as a detail of the answer."""
    return {"type": "reasoning.encrypted", "data": _GEMINI + signature, "index": index}


def gemini_signature(details: Any) -> str | None:
    """The last signature of Gemini's that came back with an assistant's message."""
    sealed = [str(detail.get("data")) for detail in details or () if isinstance(detail, dict)]
    return next((data.removeprefix(_GEMINI) for data in reversed(sealed) if is_geminis(data)), None)


def is_geminis(data: Any) -> bool:
    return isinstance(data, str) and data.startswith(_GEMINI)


# ---------------------------------------------------------------- Gemini's tool call ids


def join_id(id_: str, signature: str | None) -> str:
    """``call_<id>~<signature>``: chat clients echo ids and nothing else, so what must come back travels inside."""
    return f"call_{id_}~{signature.translate(_TO_URL_SAFE).rstrip('=')}" if signature else f"call_{id_}"


def split_id(joined: str) -> tuple[str, str | None]:
    """Gemini's id and signature, of an id that ``join_id`` made; of any other, the id without a signature."""
    id_, tilde, signature = joined.partition("~")
    if not tilde or not joined.startswith("call_") or not re.fullmatch(r"[\w-]+", signature, re.ASCII):
        return joined.removeprefix("call_"), None
    return id_.removeprefix("call_"), signature.translate(_FROM_URL_SAFE) + "=" * (-len(signature) % 4)
