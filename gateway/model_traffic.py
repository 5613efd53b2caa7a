"""How models have been doing, from all calls of the last seven days through this gateway: sums only, nobody's in particular."""

from datetime import timedelta

from django.core.cache import cache
from django.db.models import Sum

from gateway.metrics import Sums
from gateway.models import UsageHour
from tokenhub import clock

DAYS = 7
#: below so many calls a figure would say more about one caller than about the model
CALLS_LEAST = 20
#: the sums of a week do not change by the minute, and the pages that show them are open to everybody
CACHE_SECONDS = 60
CACHE_KEY = "model-traffic"


class Traffic(Sums):
    """Of one model, over ``DAYS`` days and all accounts."""

    @property
    def success_percent(self) -> str:
        """Cut, not rounded: one failed call must not read as 100."""
        hundredths = (self.calls - self.errors) * 10_000 // self.calls
        return f"{hundredths // 100}.{hundredths % 100:02}".removesuffix(".00")


def last_days() -> dict[int, Traffic]:
    """By model id, only where there were at least ``CALLS_LEAST`` calls. One query for all models, kept for a minute."""
    known: dict[int, Traffic] | None = cache.get(CACHE_KEY)
    if known is None:
        known = _read()
        cache.set(CACHE_KEY, known, CACHE_SECONDS)
    return known


def _read() -> dict[int, Traffic]:
    sums = (
        UsageHour.objects.filter(hour__gte=clock.now() - timedelta(days=DAYS))
        .values("model_id")
        .annotate(
            all_calls=Sum("calls"),
            all_errors=Sum("errors"),
            tokens=Sum("output_tokens"),
            duration=Sum("duration_ms"),
            answered=Sum("first_byte_calls"),
            waited=Sum("first_byte_ms"),
        )
        .filter(all_calls__gte=CALLS_LEAST)
    )
    return {
        row["model_id"]: Traffic(
            calls=int(row["all_calls"]),
            errors=int(row["all_errors"]),
            output_tokens=int(row["tokens"]),
            duration_ms=int(row["duration"]),
            first_byte_calls=int(row["answered"]),
            first_byte_ms=int(row["waited"]),
        )
        for row in sums
    }
