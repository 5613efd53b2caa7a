"""Refuses to start with rate limits that nobody could obey: allauth would only notice at somebody's first log-in."""

from typing import Any

from allauth.core.internal.ratelimit import parse_rates
from django.conf import settings
from django.core.checks import Error


def rate_limits(app_configs: Any, **kwargs: Any) -> list[Error]:
    return [
        Error(
            f"TOKENHUB_RATE_{action.upper()} is {rate!r}: write amounts such as 5/h/ip,20/d/key",
            id="tokenhub.E100",
        )
        for action, rate in settings.ACCOUNT_RATE_LIMITS.items()
        if not _is_rate(rate)
    ]


def _is_rate(text: str) -> bool:
    try:
        return all(rate.amount > 0 and rate.per in ("ip", "key", "user") for rate in parse_rates(text))
    except ValueError:
        return False
