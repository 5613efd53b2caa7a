"""Reasoning that must survive turns, as the one opaque string that a Responses client keeps. Pure."""

import base64
from typing import Any

import orjson

type Json = dict[str, Any]

#: what may come in pieces
_PIECES = ("text", "signature", "data")


def pack_reasoning(details: list[Json]) -> str | None:
    """Chat's ``reasoning_details`` as one opaque string; None where nothing in them is signed or sealed.

    The text goes along, because a signature holds for exactly that text. Pieces of one block (same type and index) are
    joined.
    """
    blocks: dict[tuple[str, int], Json] = {}
    for detail in filter(_is_block, details):
        type_, index = detail["type"], detail.get("index", 0)
        block = blocks.setdefault((type_, index), {"type": type_, "index": index})
        for key in _PIECES:
            if detail.get(key) is not None:
                block[key] = block.get(key, "") + detail[key]
    if not any(block.get("signature") or block.get("data") for block in blocks.values()):
        return None
    return base64.b64encode(orjson.dumps(list(blocks.values()))).decode()


def unpack_reasoning(sealed: str) -> list[Json]:
    """The ``reasoning_details`` that ``pack_reasoning`` made; what others sealed is passed on as one opaque block."""
    try:
        blocks = orjson.loads(base64.b64decode(sealed, validate=True))
    except ValueError:
        blocks = None
    if isinstance(blocks, list) and blocks and all(map(_is_block, blocks)):
        return [
            {key: block[key] for key in ("type", "index", *_PIECES) if block.get(key) is not None} for block in blocks
        ]
    return [{"type": "reasoning.encrypted", "data": sealed, "index": 0}]


def _is_block(detail: Any) -> bool:
    return (
        isinstance(detail, dict)
        and detail.get("type") in ("reasoning.text", "reasoning.encrypted")
        and type(detail.get("index", 0)) is int
        and all(isinstance(detail.get(key), str | None) for key in _PIECES)
    )
