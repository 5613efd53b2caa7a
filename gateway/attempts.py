"""One try of one route, where it failed before a word was passed on: another route may still answer."""

from typing import NamedTuple

from gateway.models import Outcome
from tokenhub.errors import TokenHubError


class Attempt(NamedTuple):
    """As the receipt shows it."""

    upstream: str
    model: str
    status: int
    ms: int
    error: str


class AttemptFailed(Exception):
    """``error`` is what the client is told if no other route answers; ``wait_seconds`` what the vendor asked for (Retry-After)."""

    def __init__(self, error: TokenHubError, outcome: Outcome, *, wait_seconds: int = 0):
        super().__init__(error.message)
        self.error = error
        self.outcome = outcome
        self.wait_seconds = wait_seconds
