"""Errors are nouns that carry a code, a status and what the caller needs to act. One handler per front renders them."""

from typing import Any

from django.conf import settings


class TokenHubError(Exception):
    """Base of every error that may reach a client.

    ``code``, ``status`` and ``type`` are those of the API's error table; ``data`` holds extra members of the envelope.
    """

    code = "internal_error"
    status = 500
    type = "server_error"

    def __init__(self, message: str, *, param: str | None = None, headers: dict[str, str] | None = None, **data: Any):
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers or {}
        self.data = data


def envelope(error: TokenHubError, request_id: str) -> dict[str, Any]:
    """The body of an API error in OpenAI's shape (the fields that OpenAI has, then ours)."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            "request_id": request_id,
            "doc_url": f"{settings.PUBLIC_URL}/docs/errors#{error.code}",
            **error.data,
        }
    }
