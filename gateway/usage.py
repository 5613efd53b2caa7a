"""What a filter's calls add up to: totals by group, and the same over time. Read from ``UsageHour`` alone, so that the
number of calls behind a chart does not matter.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Case, DateTimeField, F, Func, IntegerField, Q, Sum, Value, When
from django.utils.translation import gettext, ngettext

from gateway.metrics import Sums
from gateway.models import UsageHour
from gateway.usage_filters import ENDPOINTS, NO_APP, UsageFilter
from tokenhub import clock

#: groups with a colour of their own; the rest is Other
SERIES_MAX = 5
#: groups with a line of their own in the table of totals
GROUPS_MAX = 25
OTHER = SERIES_MAX
SUMMED = [column.name for column in fields(Sums)]
FIELDS = {"model": "model_id", "key": "key_id", "member": "key_id", "app": "app", "endpoint": "endpoint"}


@dataclass(frozen=True, slots=True)
class Group:
    value: str  # in addresses; empty for Other
    label: str
    sums: Sums
    place: int  # of its colour: 0 to SERIES_MAX


@dataclass(frozen=True, slots=True)
class Series:
    value: str
    label: str
    place: int
    sums: list[Sums]  # one a bucket


@dataclass(frozen=True)
class Report:
    total: Sums
    total_before: Sums  # of the period before, to the same hour
    groups: list[Group]
    series: list[Series]
    buckets: list[Sums]
    buckets_before: list[Sums]

    @property
    def is_empty(self) -> bool:
        return not self.total.calls


def has_any(where: Q) -> bool:
    return UsageHour.objects.filter(where).exists()


def report(asked: UsageFilter) -> Report:
    """Three queries, whatever the period and the number of calls."""
    leaders = _leaders(asked)
    table = _by_bucket(asked, asked.hours, asked.period.starts, [value for value, _sums in leaders[:SERIES_MAX]])
    buckets = [_add(table, bucket=n) for n in range(len(asked.period.starts))]
    total = sum(buckets, Sums())
    before, total_before = _before(asked)
    if asked.by == "status":
        leaders = _outcomes(total)
        table = {
            (n, place): sums for n in range(len(buckets)) for place, (_v, sums) in enumerate(_outcomes(buckets[n]))
        }
    return Report(
        total,
        total_before,
        _groups(asked, leaders, total),
        _series(asked, leaders, table, len(buckets)),
        buckets,
        before,
    )


# ---------------------------------------------------------------- the three queries


def _leaders(asked: UsageFilter) -> list[tuple[str, Sums]]:
    """Groups by their value in addresses, the largest first."""
    if asked.by == "status":
        return []
    column = FIELDS[asked.by]
    rows = UsageHour.objects.filter(asked.hours).values(column).annotate(**sum_columns())
    order = f"-sum_{asked.metric.field}" if asked.metric.is_sum else "-sum_calls"
    rows = rows.order_by(order, column)
    if asked.by != "member":  # several keys are one member, so only all of them show who leads
        rows = rows[: GROUPS_MAX + 1]
    folded: dict[str, Sums] = {}
    for row in rows:
        value = _value(asked, row[column])
        folded[value] = folded.get(value, Sums()) + _of_outcome(asked, sums_of(row))
    weight = asked.metric.field if asked.metric.is_sum else "calls"
    return sorted(folded.items(), key=lambda item: -getattr(item[1], weight))


def _by_bucket(
    asked: UsageFilter, where: Q, starts: Sequence[datetime], leaders: Sequence[str]
) -> dict[tuple[int, int], Sums]:
    """Sums by (bucket, place among the leaders; ``OTHER`` for all else)."""
    bucket = Func(
        F("hour"),
        Value(list(starts), output_field=ArrayField(DateTimeField())),
        function="width_bucket",
        output_field=IntegerField(),
    )
    places = [When(asked.is_one_of(asked.by, [value]), then=n) for n, value in enumerate(leaders)]
    place = Case(*places, default=OTHER, output_field=IntegerField()) if places else Value(OTHER)
    rows = UsageHour.objects.filter(where).annotate(bucket=bucket, place=place).values("bucket", "place")
    return {
        (row["bucket"] - 1, row["place"]): _of_outcome(asked, sums_of(row))
        for row in rows.annotate(**sum_columns()).order_by()
    }


def _before(asked: UsageFilter) -> tuple[list[Sums], Sums]:
    """The period before: by bucket, and in all up to the hour that the present one has reached."""
    before = asked.period.before
    shift = asked.period.start - before.start
    starts = [start - shift for start in asked.period.starts]
    reached = asked.period.until(clock.now()).end - shift
    cuts = sorted({*starts, reached})
    where = asked.dimensions & Q(hour__gte=before.start, hour__lt=before.end)
    buckets, total = [Sums()] * len(starts), Sums()
    for (cut, _place), sums in _by_bucket(asked, where, cuts, []).items():
        buckets[bisect_right(starts, cuts[cut]) - 1] += sums
        if cuts[cut] < reached:
            total += sums
    return buckets, total


def sum_columns() -> dict[str, Sum]:
    return {f"sum_{name}": Sum(name) for name in SUMMED}


def sums_of(row: Mapping[str, Any]) -> Sums:
    return Sums(*(int(row[f"sum_{name}"]) for name in SUMMED))


def _of_outcome(asked: UsageFilter, sums: Sums) -> Sums:
    """Of one outcome only the number of calls is known."""
    match asked.status:
        case "ok":
            return Sums(calls=sums.answered)
        case "error":
            return Sums(calls=sums.errors, errors=sums.errors)
    return Sums(calls=sums.calls, errors=sums.errors) if asked.by == "status" else sums


def _outcomes(sums: Sums) -> list[tuple[str, Sums]]:
    return [("ok", Sums(calls=sums.answered)), ("error", Sums(calls=sums.errors, errors=sums.errors))]


# ---------------------------------------------------------------- arranged


def _value(asked: UsageFilter, stored: Any) -> str:
    """As addresses have it. A key or a model that is gone from the directory keeps its number."""
    scope = asked.scope
    match asked.by:
        case "model":
            return scope.models[stored].slug if stored in scope.models else str(stored)
        case "key":
            return scope.keys[stored].key_id if stored in scope.keys else str(stored)
        case "member":
            return str(scope.keys[stored].owner_id or "") if stored in scope.keys else ""
        case "endpoint":
            return next(name for name, endpoint in ENDPOINTS.items() if endpoint == stored)
    return stored or NO_APP


def _groups(asked: UsageFilter, leaders: Sequence[tuple[str, Sums]], total: Sums) -> list[Group]:
    shown = leaders[:GROUPS_MAX]
    groups = [
        Group(value, _label(asked, value), sums, min(n, OTHER)) for n, (value, sums) in enumerate(shown) if sums.calls
    ]
    if len(leaders) > GROUPS_MAX:
        rest = Sums(*(whole - sum(getattr(sums, name) for _v, sums in shown) for name, whole in _items(total)))
        groups.append(Group("", gettext("All others"), rest, OTHER))
    return groups


def _series(
    asked: UsageFilter, leaders: Sequence[tuple[str, Sums]], table: Mapping[tuple[int, int], Sums], buckets: int
) -> list[Series]:
    named = [
        Series(value, _label(asked, value), place, [table.get((n, place), Sums()) for n in range(buckets)])
        for place, (value, sums) in enumerate(leaders[:SERIES_MAX])
        if sums.calls
    ]
    others = len(leaders) - SERIES_MAX
    if others <= 0:
        return named
    label = gettext("Other") if others + SERIES_MAX > GROUPS_MAX else ngettext("Other (%(n)d)", "Other (%(n)d)", others)
    rest = [table.get((n, OTHER), Sums()) for n in range(buckets)]
    return [*named, Series("", label % {"n": others}, OTHER, rest)]


def _label(asked: UsageFilter, value: str) -> str:
    return asked.label(asked.by, value) if value else gettext("nobody any more")


def _add(table: Mapping[tuple[int, int], Sums], *, bucket: int) -> Sums:
    return sum((table[key] for key in table if key[0] == bucket), Sums())


def _items(sums: Sums) -> list[tuple[str, int]]:
    return [(name, getattr(sums, name)) for name in SUMMED]
