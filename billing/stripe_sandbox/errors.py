"""Stripe's error answers. Shapes: https://docs.stripe.com/api/errors"""

from typing import Any

Json = dict[str, Any]


class StripeError(Exception):
    """An error answer. ``executed`` says that the request was begun: its answer is kept for its idempotency key."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        executed: bool = False,
        **fields: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        self._error = {"type": type, "message": message, **{k: v for k, v in fields.items() if v is not None}}

    @property
    def message(self) -> str:
        return str(self._error["message"])

    def as_json(self) -> Json:
        return {"error": self._error}


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """400: the parameters do not hold, and nothing was begun."""
    return StripeError(400, message, param=param, code=code)


def refused(message: str, code: str | None = None, param: str | None = None, **fields: Any) -> StripeError:
    """400: the parameters hold, but the object's state does not allow it."""
    return StripeError(400, message, code=code, param=param, executed=True, **fields)


def missing(kind: str, id: str, *, status: int = 404, param: str = "id") -> StripeError:
    return StripeError(status, f"No such {kind}: '{id}'", code="resource_missing", param=param)


def unauthorized(key: str | None) -> StripeError:
    if key is None:
        return StripeError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    return StripeError(401, f"Invalid API Key provided: {key[:8]}{'*' * max(0, len(key) - 12)}{key[8:][-4:]}")
