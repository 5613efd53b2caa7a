"""Error answers in OpenAI's shape."""

from typing import Any

#: status → (type, code); the rest goes by its hundred
KINDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "credit_balance_exhausted"),
    403: ("permission_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}
#: named in refusals of "our" key, so that a test can prove that a gateway keeps it to itself
PRETENDED_KEY = "sk-sandbox-pretended-vendor-key"
KEY_REFUSALS = {
    401: f"Incorrect API key provided: {PRETENDED_KEY}. You can find your API key in your vendor console.",
    402: f"The credit balance of {PRETENDED_KEY} is exhausted. Please add credit to your vendor account.",
    403: f"{PRETENDED_KEY} is not allowed to use this model in your country, region, or territory.",
}


class Refusal(Exception):
    """An answer other than a completion, decided before any output."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        kind, usual_code = KINDS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
        self.type = kind
        self.code = code or usual_code
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None, code: str = "invalid_value") -> Refusal:
    return Refusal(400, message, param=param, code=code)
