"""Everything that can go wrong with a call, as clients see it. Codes, types and statuses are those of the API's error table."""

from typing import Any

from tokenhub.errors import TokenHubError


class InvalidRequest(TokenHubError):
    code = "invalid_value"
    status = 400
    type = "invalid_request_error"


class InvalidJson(InvalidRequest):
    code = "invalid_json"


class UnknownParameter(InvalidRequest):
    code = "unknown_parameter"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class UrlNotAllowed(InvalidRequest):
    code = "url_not_allowed"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class InvalidApiKey(TokenHubError):
    """One body for every reason: nothing tells a guesser whether a key exists, was revoked or has expired."""

    code = "invalid_api_key"
    status = 401
    type = "authentication_error"

    def __init__(self) -> None:
        super().__init__(
            "No valid API key was given. Send it as `Authorization: Bearer th-…`; keys are made on the Keys page.",
            headers={"www-authenticate": "Bearer"},
        )


class InsufficientCredits(TokenHubError):
    code = "insufficient_credits"
    status = 402
    type = "insufficient_quota"


class AccountFrozen(TokenHubError):
    code = "account_frozen"
    status = 402
    type = "insufficient_quota"


class ModelNotAllowed(TokenHubError):
    code = "model_not_allowed"
    status = 403
    type = "permission_error"


class IpNotAllowed(TokenHubError):
    code = "ip_not_allowed"
    status = 403
    type = "permission_error"


class ModelNotFound(TokenHubError):
    code = "model_not_found"
    status = 404
    type = "invalid_request_error"


class NotFound(TokenHubError):
    code = "not_found"
    status = 404
    type = "invalid_request_error"


class MethodNotAllowed(TokenHubError):
    code = "method_not_allowed"
    status = 405
    type = "invalid_request_error"


class RequestTooLarge(TokenHubError):
    code = "request_too_large"
    status = 413
    type = "invalid_request_error"


class UnsupportedMediaType(TokenHubError):
    code = "unsupported_media_type"
    status = 415
    type = "invalid_request_error"


class RateLimitExceeded(TokenHubError):
    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"


class UpstreamError(TokenHubError):
    code = "upstream_error"
    status = 502
    type = "upstream_error"

    def __init__(self, message: str, *, retry_after_seconds: int = 1):
        super().__init__(message, headers={"retry-after": str(retry_after_seconds)})


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    status = 504


class NoUpstreamAvailable(TokenHubError):
    code = "no_upstream_available"
    status = 503
    type = "server_error"

    def __init__(self, message: str, **data: Any):
        super().__init__(message, headers={"retry-after": "30"}, **data)


class BillingUnavailable(TokenHubError):
    code = "billing_unavailable"
    status = 503
    type = "server_error"

    def __init__(self, message: str, **data: Any):
        headers = {"retry-after": "2"} | data.pop("headers", {})
        super().__init__(message, headers=headers, **data)


class Overloaded(TokenHubError):
    code = "overloaded"
    status = 503
    type = "server_error"
