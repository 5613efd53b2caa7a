"""How models have been doing, from all calls of the last seven days through this gateway: sums only, nobody's in particular."""

from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import cache
from django.db.models import Sum

from gateway.models import UsageHour
from tokenhub import clock

DAYS = 7
#: below so many calls a figure would say more about one caller than about the model
CALLS_LEAST = 20
#: the sums of a week do not change by the minute, and the pages that show them are open to everybody
CACHE_SECONDS = 60
CACHE_KEY = "model-traffic"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one model, over ``DAYS`` days and all accounts."""

    calls: int
    errors: int
    output_tokens: int
    duration_ms: int
    first_byte_calls: int
    first_byte_ms: int

    @property
    def first_byte_mean_ms(self) -> int | None:
        """Of calls that were answered; those that were not streamed included."""
        return self.first_byte_ms // self.first_byte_calls if self.first_byte_calls else None

    @property
    def tokens_per_second(self) -> int | None:
        """Output over whole calls, the wait for the first token included."""
        return self.output_tokens * 1_000 // self.duration_ms if self.duration_ms else None

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
            int(row["all_calls"]),
            int(row["all_errors"]),
            int(row["tokens"]),
            int(row["duration"]),
            int(row["answered"]),
            int(row["waited"]),
        )
        for row in sums
    }
