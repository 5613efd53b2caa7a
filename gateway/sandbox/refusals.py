"""Answers other than a completion, decided before any output. Each wire has its own words for them."""

#: named in refusals of "our" key, so that a test can prove that a gateway keeps it to itself
PRETENDED_KEY = "sk-sandbox-pretended-vendor-key"
KEY_REFUSALS = {
    401: f"Incorrect API key provided: {PRETENDED_KEY}. You can find your API key in your vendor console.",
    402: f"The credit balance of {PRETENDED_KEY} is exhausted. Please add credit to your vendor account.",
    403: f"{PRETENDED_KEY} is not allowed to use this model in your country, region, or territory.",
}


class Refusal(Exception):
    """An error answer; ``param`` and ``code`` are for the wires that have them."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_seconds = retry_after_seconds


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> Refusal:
    return Refusal(400, message, param=param, code=code)
