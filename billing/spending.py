"""What calls have cost, asked of the room that counts them: imports run the other way, so that room makes itself known."""

from datetime import datetime
from typing import NamedTuple, Protocol


class ModelSpending(NamedTuple):
    name: str
    calls: int
    cost_nanos: int


class Counter(Protocol):
    """Spans are of whole hours of UTC, their end excluded."""

    def by_hour(self, account_id: int, since: datetime, until: datetime) -> dict[datetime, int]:
        """Nano-USD by the hour's beginning; hours without calls are missing. One query."""

    def by_model(self, account_id: int, since: datetime, until: datetime) -> list[ModelSpending]:
        """The dearest model first; free calls are counted too."""

    def total_nanos(self, account_id: int, until: datetime) -> int:
        """Of all calls before."""


_counters: list[Counter] = []


def register(counter: Counter) -> None:
    _counters[:] = [counter]


def counter() -> Counter:
    return _counters[0]
