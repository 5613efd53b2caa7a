"""The wall clock, behind one name, so that dated rules (prices, expiries) can be tested."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
