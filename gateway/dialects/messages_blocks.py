"""The blocks and plain values of a Messages request, checked and turned into canonical parts. One step of messages_request.

Every function takes the place that a fault is to name (``where``) and raises Invalid, Unknown or Unsupported.
"""

from collections.abc import Collection
from typing import Any

import orjson

from gateway.dialects.addresses import is_public
from gateway.dialects.faults import AddressNotAllowed, Invalid, Unknown, Unsupported

#: more is a slip, not a wish
OUTPUT_TOKENS_MAX = 10_000_000
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

type Json = dict[str, Any]


# ---------------------------------------------------------------- blocks


def parts_of(block: Json, where: str) -> list[Json]:
    """A text, image or document block as canonical parts."""
    if block["type"] == "text":
        object_of(block, where, {"type", "text", "cache_control", "citations"})
        if block.get("citations") not in (None, []):  # answers carry the key, and clients echo answers
            raise Unsupported(f"`{where}.citations` are not supported.", f"{where}.citations")
        text = text_of(block.get("text"), f"{where}.text", can_be_empty=True)
        return [marked({"type": "text", "text": text}, block, where)]
    if block["type"] == "image":
        object_of(block, where, {"type", "source", "cache_control"})
        source = _source(block.get("source"), f"{where}.source", {"base64": _IMAGE_TYPES, "url": ()})
        if source["type"] == "url" and not is_public(source["url"]):
            raise AddressNotAllowed("Use a public https:// address.", f"{where}.source.url")
        return [marked({"type": "image_url", "image_url": {"url": _address(source)}}, block, where)]
    return _document(block, where)


def _document(block: Json, where: str) -> list[Json]:
    object_of(block, where, {"type", "source", "cache_control", "title", "context", "citations"})
    if block.get("citations") not in (None, {"enabled": False}):
        raise Unsupported(f"`{where}.citations` are not supported.", f"{where}.citations")
    media_types: dict[str, tuple[str, ...]] = {"base64": ("application/pdf",), "text": ("text/plain",)}
    if isinstance(block.get("source"), dict) and block["source"].get("type") == "url":
        message = f"`{where}.source`: the pages behind an address cannot be counted beforehand; send the data."
        raise Unsupported(message, f"{where}.source.url")
    source = _source(block.get("source"), f"{where}.source", media_types)
    title, context = (
        text_of(or_else(block.get(key), ""), f"{where}.{key}", can_be_empty=True) for key in ("title", "context")
    )
    parts = [{"type": "text", "text": context}] if context else []
    if source["type"] == "text":
        text = f"{title}\n\n{source['data']}" if title else source["data"]
        return [*parts, marked({"type": "text", "text": text}, block, where)]
    file = {"filename": title or "document.pdf", "file_data": _address(source)}
    return [*parts, marked({"type": "file", "file": file}, block, where)]


def _source(source: Any, where: str, media_types: dict[str, tuple[str, ...]]) -> Json:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind in ("file", "content"):
        raise Unsupported(f"`{where}.type`: send the data itself, or a public address.", f"{where}.type")
    word_of(kind, f"{where}.type", tuple(media_types))
    object_of(source, where, {"type", "url"} if kind == "url" else {"type", "media_type", "data"})
    text_of(source.get("url" if kind == "url" else "data"), f"{where}.{'url' if kind == 'url' else 'data'}")
    if kind == "url" and source["url"].startswith("data:"):
        raise Invalid(f"`{where}.url` must be an address; data goes into a base64 source.", f"{where}.url")
    if kind != "url":
        word_of(source.get("media_type"), f"{where}.media_type", media_types[str(kind)])
    return source


def _address(source: Json) -> str:
    url: str = source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
    return url


def texts_of(value: Any, where: str) -> str | list[Json]:
    """A string, or blocks of text alone."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise Invalid(f"`{where}` must be a string or a list of text blocks.", where)
    parts: list[Json] = []
    for i, block in enumerate(value):
        kind_of(block, f"{where}[{i}]", ("text",))
        parts += parts_of(block, f"{where}[{i}]")
    return plain(parts)


def plain(parts: list[Json]) -> str | list[Json]:
    """One plain text is sent as a string: every vendor takes that."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def kind_of(block: Any, where: str, kinds: tuple[str, ...]) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise Invalid(f"`{where}` must be a block with a type.", f"{where}.type")
    if kind not in kinds:
        raise Unsupported(f"`{where}.type`: only {', '.join(kinds)} can stand here.", f"{where}.type")
    return kind


def marked(part: Json, block: Json, where: str) -> Json:
    if block.get("cache_control") is None:
        return part
    return {**part, "cache_control": cache_control_of(block["cache_control"], f"{where}.cache_control")}


def cache_control_of(value: Any, where: str) -> Json:
    object_of(value, where, {"type", "ttl"})
    word_of(value.get("type"), f"{where}.type", ("ephemeral",))
    if value.get("ttl") is None:
        return {"type": "ephemeral"}
    return {"type": "ephemeral", "ttl": word_of(value["ttl"], f"{where}.ttl", ("5m", "1h"))}


def mark(messages: list[Json], control: Json, where: str) -> None:
    """Puts a breakpoint that no part of its own carries on the last part there is.

    It must not get lost: whoever holds money for the call looks for breakpoints, because writing a cache costs extra.
    """
    for message in reversed(messages):
        content = message["content"]
        if isinstance(content, str) and content:
            message["content"] = [{"type": "text", "text": content, "cache_control": control}]
            return
        if isinstance(content, list):
            content[-1] = {"cache_control": control, **content[-1]}
            return
    raise Invalid(f"`{where}`: there is nothing before it to keep.", where)


# ---------------------------------------------------------------- values


def object_of(value: Any, where: str, allowed: Collection[str] | None = None) -> Json:
    if not isinstance(value, dict):
        raise Invalid(f"`{where}` must be an object.", where)
    for key in value if allowed is not None else ():
        if key not in (allowed or ()):
            raise Unknown(f"Unknown parameter: `{where}.{key}`.", f"{where}.{key}")
    return value


def text_of(value: Any, where: str, *, can_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or can_be_empty):
        raise Invalid(f"`{where}` is required: a string.", where)
    return value


def flag_of(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise Invalid(f"`{where}` must be true or false.", where)
    return value


def whole_of(value: Any, where: str, least: int) -> int:
    if type(value) is not int or not least <= value <= OUTPUT_TOKENS_MAX:
        raise Invalid(f"`{where}` must be a whole number from {least} to {OUTPUT_TOKENS_MAX}.", where)
    return value


def word_of(value: Any, where: str, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Invalid(f"`{where}` must be one of {', '.join(words)}.", where)
    return value


def or_else[T](value: Any, default: T) -> Any | T:
    """Null means absent."""
    return default if value is None else value


def json_of(value: Any, where: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as e:
        raise Invalid(f"`{where}` is nested too deeply or holds text that is not valid Unicode.", where) from e
