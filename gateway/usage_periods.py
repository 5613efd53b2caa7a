"""From when to when, and in which steps: the time axis of the usage pages. Pure, apart from the words.

Sums are kept by whole hours of UTC, so every boundary is one. Where a zone is half an hour off, a day begins at the
whole hour of UTC before local midnight (in India at 23:30); charts, totals, request log and export all cut there, so
they agree to the nano.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

HOUR = timedelta(hours=1)
#: from a day's first hour of UTC into the day itself, whatever its zone
INTO_THE_DAY = timedelta(minutes=59)
DAY = timedelta(days=1)
BUCKETS_MAX = 60
#: the finest steps that suit a period of at most so many hours; longer ones get whole days
STEPS = ((50, 1), (7 * 24 + 1, 3), (14 * 24 + 1, 6))

RANGES: dict[str, str | Promise] = {
    "today": _("Today"),
    "24h": _("24 h"),
    "7d": _("7 d"),
    "30d": _("30 d"),
    "month": _("Month"),
    "custom": _("Custom"),
}
RANGE_DEFAULT = "7d"
#: what a range may name: no call is older, and a slip in the year must not make a century
DATES = (date(2020, 1, 1), date(2100, 1, 1))
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):00Z")


class BadPeriod(Exception):
    """A custom range that names no time. ``problems``: a sentence for each field, ``from`` and ``to``."""

    def __init__(self, problems: dict[str, str]):
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True)
class Period:
    """Whole hours of UTC, the end excluded."""

    name: str
    start: datetime
    end: datetime
    zone: tzinfo

    @property
    def hours(self) -> int:
        return (self.end - self.start) // HOUR

    @property
    def before(self) -> "Period":
        """The same number of hours, directly before."""
        return Period(self.name, self.start - (self.end - self.start), self.start, self.zone)

    def until(self, moment: datetime) -> "Period":
        """What of it has begun at a moment, the running hour included."""
        return Period(self.name, self.start, max(self.start, min(self.end, floor_hour(moment) + HOUR)), self.zone)

    @cached_property
    def step_hours(self) -> int:
        """Of one bucket; whole days from 24 on."""
        for most, step in STEPS:
            if self.hours <= most:
                return step
        return 24 * -(-self.hours // (24 * (BUCKETS_MAX - 1)))

    @cached_property
    def starts(self) -> list[datetime]:
        """Where each bucket begins; the first at ``start``, all others at steps of the local day."""
        return [self.start, *(tick for tick in self._ticks() if self.start < tick < self.end)]

    def _ticks(self) -> Iterator[datetime]:
        day = self._local(self.start).date()
        days = max(1, self.step_hours // 24)
        while (begin := midnight(day, self.zone)) < self.end:
            next_begin = midnight(day + days * DAY, self.zone)
            while begin < next_begin:
                yield begin
                begin = begin + timedelta(hours=self.step_hours) if self.step_hours < 24 else next_begin
            day += days * DAY

    def bucket_of(self, hour: datetime) -> int:
        return bisect_right(self.starts, hour) - 1

    def bucket(self, number: int) -> "Period":
        ends = [*self.starts[1:], self.end]
        return Period("custom", self.starts[number], ends[number], self.zone)

    # ------------------------------------------------------------ words

    @cached_property
    def labels(self) -> list[str]:
        """One a bucket, in the person's zone; no longer than it takes to tell them apart, for an axis on a phone."""
        if self.step_hours < 24:
            form = "H:i" if self.hours <= 25 else "D H:i" if self.hours <= 7 * 24 + 1 else "j M H:i"
            return [date_format(start.astimezone(self.zone), form) for start in self.starts]
        return [date_format(self._local(start), "D j M") for start in self.starts]

    def _local(self, day_start: datetime) -> datetime:
        return (day_start + INTO_THE_DAY).astimezone(self.zone)

    @property
    def step_name(self) -> str:
        if self.step_hours < 24:
            return ngettext("one-hour steps", "%(n)d-hour steps", self.step_hours) % {"n": self.step_hours}
        days = self.step_hours // 24
        return ngettext("daily", "%(n)d-day steps", days) % {"n": days}

    @property
    def before_name(self) -> str:
        """What it is compared with."""
        if (self.hours % 24 in (1, 23) and self.hours > 24) or self.hours % 24 == 0:
            days = round(self.hours / 24)
            return ngettext("the day before", "the %(n)d days before", days) % {"n": days}
        return ngettext("the hour before", "the %(n)d hours before", self.hours) % {"n": self.hours}

    @property
    def words(self) -> str:
        if self.hours < 23:
            first, last = self.start.astimezone(self.zone), self.end.astimezone(self.zone)
            return f"{date_format(first, 'j M Y, H:i')} – {date_format(last, 'H:i')}"
        first, last = self._local(self.start), (self.end - HOUR).astimezone(self.zone)
        if first.date() == last.date():
            return date_format(first, "j M Y")
        return f"{date_format(first, 'j M Y')} – {date_format(last, 'j M Y')}"

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last local day of it."""
        return self._local(self.start).date(), (self.end - HOUR).astimezone(self.zone).date()

    @property
    def query(self) -> dict[str, str]:
        """As exact instants, which mean the same in every zone."""
        return {"range": "custom", "from": f"{self.start:%Y-%m-%dT%H:00Z}", "to": f"{self.end:%Y-%m-%dT%H:00Z}"}


def named(name: str, zone: tzinfo, now: datetime) -> Period:
    """One of ``RANGES`` but the custom one. Days are calendar days, today included."""
    if name == "24h":
        end = floor_hour(now) + HOUR
        return Period(name, end - DAY, end, zone)
    today = now.astimezone(zone).date()
    first = {"today": today, "7d": today - 6 * DAY, "30d": today - 29 * DAY, "month": today.replace(day=1)}[name]
    return Period(name, midnight(first, zone), midnight(today + DAY, zone), zone)


def custom(from_text: str, to_text: str, zone: tzinfo) -> Period:
    """``from`` and ``to`` as local dates, both included, or as whole hours of UTC (``2026-11-22T14:00Z``), the end excluded."""
    problems = {}
    start, end = _moment(from_text, zone, after=0), _moment(to_text, zone, after=1)
    wanted = gettext("Give a date such as 2026-11-22.")
    if start is None:
        problems["from"] = wanted
    if end is None:
        problems["to"] = wanted
    if start and end and start >= end:
        problems["to"] = gettext("This lies before the start.")
    if problems or start is None or end is None:
        raise BadPeriod(problems)
    return Period("custom", start, end, zone)


def _moment(text: str, zone: tzinfo, after: int) -> datetime | None:
    """``after``: whole days to add to a plain date."""
    instant = _INSTANT.fullmatch(text)
    try:
        day = date.fromisoformat(instant[1] if instant else text)
        hour = time(int(instant[2])) if instant else None
    except ValueError:
        return None
    if not DATES[0] <= day <= DATES[1]:
        return None
    return datetime.combine(day, hour, UTC) if hour is not None else midnight(day + after * DAY, zone)


def floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The whole hour of UTC in which a local day begins."""
    return floor_hour(datetime.combine(day, time(), zone))
