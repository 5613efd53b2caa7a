"""What a translation cannot do. Pure twins of the API's errors, which need Django's settings."""


class Unsupported(ValueError):
    """The other side has no word for it."""

    code = "unsupported_parameter"

    def __init__(self, message: str, param: str | None = None):
        super().__init__(message)
        self.message = message
        self.param = param


class Invalid(ValueError):
    """The request contradicts itself."""

    code = "invalid_value"

    def __init__(self, message: str, param: str | None = None):
        super().__init__(message)
        self.message = message
        self.param = param


class AddressNotAllowed(Invalid):
    """No vendor is sent there."""

    code = "url_not_allowed"


class Unknown(Invalid):
    """No such parameter in this dialect."""

    code = "unknown_parameter"
