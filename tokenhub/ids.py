"""Identifiers: UUIDv7 for calls (time first, so that index pages fill in order), base62 for what people copy."""

import os
import secrets
import string
import time
import uuid

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def new_uuid7() -> bytes:
    """16 bytes of UUIDv7 (RFC 9562 §5.7)."""
    b = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    b[6] = b[6] & 0x0F | 0x70
    b[8] = b[8] & 0x3F | 0x80
    return bytes(b)


def random_base62(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


def base62(number: int, length: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits.rjust(length, BASE62[0])


def generation_id(call: bytes) -> str:
    """The public form of a call's id: ``gen-`` and 32 hex digits."""
    return "gen-" + call.hex()


def parse_generation_id(text: str) -> uuid.UUID | None:
    """The call behind a ``gen-…`` id, or None for anything else."""
    if not text.startswith("gen-") or len(text) != 36:
        return None
    try:
        call = uuid.UUID(hex=text[4:])
    except ValueError:
        return None
    return call if generation_id(call.bytes) == text else None
