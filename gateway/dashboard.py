"""How things stand: the last 30 days by day and model, today against a usual day, and how long the balance lasts.

One query reads the hourly sums; everything here is what follows from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cached_property

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, F, Func, IntegerField, Value
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from accounts.models import ApiKey
from gateway import usage_periods as periods
from gateway.metrics import Sums
from gateway.models import UsageHour
from gateway.usage import SERIES_MAX, sum_columns, sums_of
from gateway.usage_filters import Scope
from gateway.usage_periods import DAY, Period
from tokenhub import charts
from tokenhub.figures import usd
from tokenhub.money import NANOS_PER_USD

DAYS = 30
RATE_DAYS = 7
#: the runway's ruler ends here
RUNWAY_DAYS_SHOWN = 14
KEYS_SHOWN = 3


@dataclass(frozen=True)
class Overview:
    period: Period
    now: datetime
    models: dict[int, list[Sums]]  # by model: one a day
    to_this_hour: list[Sums]  # of each day, up to the hour that today has reached

    @classmethod
    def read(cls, scope: Scope, zone: tzinfo, now: datetime) -> "Overview":
        period = periods.named("30d", zone, now)
        elapsed = period.until(now).end - period.starts[-1]
        cuts = sorted({cut for start in period.starts for cut in (start, start + elapsed)})
        bucket = Func(
            F("hour"),
            Value(cuts, output_field=ArrayField(DateTimeField())),
            function="width_bucket",
            output_field=IntegerField(),
        )
        rows = UsageHour.objects.filter(scope.where, hour__gte=period.start, hour__lt=period.end)
        models: dict[int, list[Sums]] = {}
        to_this_hour = [Sums()] * len(period.starts)
        for row in rows.annotate(bucket=bucket).values("bucket", "model_id").annotate(**sum_columns()).order_by():
            begin = cuts[row["bucket"] - 1]
            day = period.bucket_of(begin)
            days = models.setdefault(row["model_id"], [Sums()] * len(period.starts))
            days[day] += sums_of(row)
            if begin == period.starts[day]:
                to_this_hour[day] += sums_of(row)
        return cls(period, now, models, to_this_hour)

    # ------------------------------------------------------------ days

    @cached_property
    def days(self) -> list[Sums]:
        return [sum((days[n] for days in self.models.values()), Sums()) for n in range(len(self.period.starts))]

    @property
    def today(self) -> Sums:
        return self.days[-1]

    @cached_property
    def total(self) -> Sums:
        return sum(self.days, Sums())

    @property
    def leaders(self) -> list[int]:
        """The models that cost most, the dearest first."""
        spent = {model: sum(day.cost_nanos for day in days) for model, days in self.models.items()}
        return sorted(spent, key=lambda model: (-spent[model], model))[:SERIES_MAX]

    def others(self) -> list[Sums]:
        leaders = set(self.leaders)
        rest = [days for model, days in self.models.items() if model not in leaders]
        return [sum((days[n] for days in rest), Sums()) for n in range(len(self.period.starts))]

    @property
    def others_count(self) -> int:
        return max(len(self.models) - SERIES_MAX, 0)

    # ------------------------------------------------------------ comparisons

    @property
    def first_day(self) -> int:
        """With traffic: the days before say nothing about a usual one."""
        return next((n for n, day in enumerate(self.days) if day.calls), len(self.days) - 1)

    @property
    def usual_nanos(self) -> int | None:
        """What the same weekdays of the last four weeks had cost by this hour, in the mean; None in the first week."""
        same = range(len(self.days) - 1 - 7, self.first_day - 1, -7)
        known = [self.to_this_hour[day].cost_nanos for day in same]
        return sum(known) // len(known) if known else None

    @property
    def until(self) -> datetime:
        """Sums are of whole hours: today and the usual day are compared up to the end of the running one."""
        return self.period.until(self.now).end

    @property
    def weekday(self) -> str:
        return date_format(self.now.astimezone(self.period.zone), "l")

    @property
    def rate_nanos(self) -> int:
        """Spent a day, in the mean of the last seven whole days; of fewer since the first call."""
        whole = self.days[self.first_day : -1][-RATE_DAYS:] or self.days[-1:]
        return sum(day.cost_nanos for day in whole) // len(whole)

    def runway_days(self, available_nanos: int) -> int | None:
        """How many days the balance lasts at this rate; None where nothing is spent."""
        return max(available_nanos, 0) // self.rate_nanos if self.rate_nanos else None


def short_usd(nanos: int) -> str:
    """Two decimals for a glance; below one cent all of them, because spending must not read as none."""
    return usd(nanos, "cents") if nanos >= NANOS_PER_USD // 100 else usd(nanos)


@dataclass(frozen=True, slots=True)
class KeyLimit:
    key: ApiKey
    spent_nanos: int
    resets_at: datetime | None

    @property
    def percent(self) -> int:
        limit = self.key.limit_nanos or 0
        return min(self.spent_nanos * 100 // limit, 100) if limit else 100

    @property
    def spent(self) -> str:
        return short_usd(self.spent_nanos)

    @property
    def bar(self) -> SafeString:
        return charts.bar(self.spent_nanos, self.key.limit_nanos or 0)


def nearest_limits(keys: Iterable[ApiKey], now: datetime) -> list[KeyLimit]:
    """The keys that have used most of their limit, in per cent."""
    lines = [_limit_of(key, now) for key in keys]
    return sorted(lines, key=lambda line: (-line.percent, line.key.pk))[:KEYS_SHOWN]


def _limit_of(key: ApiKey, now: datetime) -> KeyLimit:
    """The ledger resets a window's counter with the next call; until then it still shows the window before."""
    begins, ends = _window(key.limit_window, now)
    return KeyLimit(key, 0 if begins and key.window_start < begins else key.spent_nanos, ends)


def _window(window: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """When the running window began and ends; windows are of UTC."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case ApiKey.Window.DAY:
            return day, day + DAY
        case ApiKey.Window.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + 7 * DAY
        case ApiKey.Window.MONTH:
            first = day.replace(day=1)
            return first, (first + 31 * DAY).replace(day=1)
    return None, None
