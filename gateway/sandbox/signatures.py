"""Seals on reasoning that a caller must hand back unchanged: the same for the same text, and checked when they return."""

import base64
import hashlib
import hmac


def sign(*sealed: str) -> str:
    """The seal of some texts, as base64."""
    digest = hashlib.blake2b("\x1f".join(sealed).encode(errors="replace"), person=b"sandbox seal").digest()
    return base64.b64encode(digest).decode()


def verifies(signature: object, *sealed: str) -> bool:
    return isinstance(signature, str) and hmac.compare_digest(
        signature.encode(errors="replace"), sign(*sealed).encode()
    )
