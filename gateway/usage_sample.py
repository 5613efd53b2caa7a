"""What the hourly sums cannot say, because they know no single call: percentiles, and what failed calls cost.

Both are exact for what they name, and neither reads more than a bounded number of calls: percentiles are of the newest that
match, and money is added up only where all of it is in reach.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import connection
from django.db.models import Case, DateTimeField, IntegerField, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from gateway.models import CallRecord, UsageHour
from gateway.request_log import NEWEST_FIRST
from gateway.usage import Report
from gateway.usage_filters import UsageFilter

#: percentiles are of at most so many calls
CALLS_MAX = 2_000
#: of an account's calls at most so many are looked through for those that match
WALK_MAX = 20_000
OTHERS = -1
#: the inner statement is the ORM's, with its own parameters; the row without a place is that of all calls together
SPREADS = """
SELECT place, count(*), percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first_byte_ms) FILTER (WHERE first_byte_ms >= 0)
  FROM ({calls}) AS sample GROUP BY GROUPING SETS ((), (place))
"""


class Spread(NamedTuple):
    """Milliseconds to the first token, at percentiles of the calls that had one; None where none had."""

    calls: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None

    def at(self, percentile: int) -> int | None:
        return {50: self.p50_ms, 95: self.p95_ms}[percentile]


@dataclass(frozen=True, slots=True)
class Sample:
    whole: Spread = field(default_factory=Spread)
    groups: Mapping[str, Spread] = field(default_factory=dict)  # by the group's value
    is_everything: bool = True

    def of(self, value: str) -> Spread:
        return self.groups.get(value, Spread())


def read(asked: UsageFilter, report: Report) -> Sample:
    """The first tokens of the newest ``CALLS_MAX`` calls, in all and by the report's groups. One query."""
    values = [group.value for group in report.groups]
    newest = _newest(asked, report).annotate(place=_place(asked, values)).values("place", "first_byte_ms")[:CALLS_MAX]
    statement, parameters = newest.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(SPREADS.format(calls=statement), parameters)
        spreads = {place: Spread(calls, *(times or ())) for place, calls, times in cursor.fetchall()}
    whole = spreads.pop(None)
    groups = {_value(values, place): spread for place, spread in spreads.items()}
    return Sample(whole, groups, whole.calls >= report.total.calls)


def _newest(asked: UsageFilter, report: Report) -> QuerySet[CallRecord]:
    """The calls that match, the newest first; by a narrow filter, those among ``WALK_MAX`` calls of the account.

    The walk begins with the last bar that has traffic, so that a key that was used last week is found among others' calls.
    """
    calls = CallRecord.objects.filter(asked.calls).order_by(*NEWEST_FIRST)
    if not asked.is_narrow:
        return calls
    last = max((n for n, sums in enumerate(report.buckets) if sums.calls), default=0)
    start, end = asked.period.start, asked.period.bucket(last).end
    walked = CallRecord.objects.filter(account_id=asked.scope.account.pk, created_at__gte=start, created_at__lt=end)
    farthest = walked.order_by("-created_at").values("created_at")[WALK_MAX - 1 : WALK_MAX]
    since = Coalesce(Subquery(farthest), Value(start), output_field=DateTimeField())
    return calls.filter(created_at__lt=end, created_at__gte=since)


def costs(asked: UsageFilter, report: Report) -> dict[str, int] | None:
    """Nano-USD by the report's groups, of the outcome that is asked for. Two queries.

    None where the account made more than ``WALK_MAX`` calls in the period: no index leads to an outcome.
    """
    period = Q(hour__gte=asked.period.start, hour__lt=asked.period.end)
    hours = UsageHour.objects.filter(period, account_id=asked.scope.account.pk)
    if (hours.aggregate(calls=Sum("calls"))["calls"] or 0) > WALK_MAX:
        return None
    values = [group.value for group in report.groups]
    calls = CallRecord.objects.filter(asked.calls).annotate(place=_place(asked, values))
    rows = calls.values("place").annotate(sum=Sum("cost_nanos")).order_by().values_list("place", "sum")
    return {_value(values, place): int(nanos) for place, nanos in rows}


# ---------------------------------------------------------------- groups as numbers


def _place(asked: UsageFilter, values: Sequence[str]) -> Case | Value:
    places = [When(asked.is_one_of(asked.by, [value]), then=n) for n, value in enumerate(values) if value]
    return Case(*places, default=OTHERS, output_field=IntegerField()) if places else Value(OTHERS)


def _value(values: Sequence[str], place: int) -> str:
    return "" if place == OTHERS else values[place]
