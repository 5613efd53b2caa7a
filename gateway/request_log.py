"""The calls of a filter one by one, newest first, fifty at a time."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import F, Q, QuerySet, Sum
from django.http import Http404
from django.utils.dateparse import parse_datetime

from gateway.models import CallRecord, UsageHour
from gateway.usage_filters import Scope, UsageFilter
from gateway.usage_periods import HOUR
from tokenhub.ids import generation_id, parse_generation_id

ROWS_PER_PAGE = 50
NEWEST_FIRST = ("-created_at", "-id")


class Cursor(NamedTuple):
    """A call's place in the log: a batch of calls shares its moment, the id tells them apart."""

    created_at: datetime
    id: uuid.UUID

    @classmethod
    def of(cls, record: CallRecord) -> "Cursor":
        return cls(record.created_at, record.pk)

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Raises ``Http404`` for something that never was one."""
        moment, _tilde, call = text.partition("~")
        try:
            at = parse_datetime(moment)
        except ValueError:
            at = None
        call_id = parse_generation_id(call)
        if at is None or at.tzinfo is None or call_id is None:
            raise Http404
        return cls(at, call_id)

    def __str__(self) -> str:
        return f"{self.created_at.isoformat()}~{generation_id(self.id.bytes)}"

    # the first comparison bounds the walk along the index; the second is the exact one, which an index cannot use
    @property
    def older(self) -> Q:
        return Q(created_at__lte=self.created_at) & (Q(created_at__lt=self.created_at) | Q(id__lt=self.id))

    @property
    def newer(self) -> Q:
        return Q(created_at__gte=self.created_at) & (Q(created_at__gt=self.created_at) | Q(id__gt=self.id))


@dataclass(frozen=True, slots=True)
class Page:
    records: list[CallRecord]
    older: str  # cursors; empty where there is no more
    newer: str


def page(asked: UsageFilter, *, before: str = "", after: str = "", rows: int = ROWS_PER_PAGE) -> Page:
    """Cursors, not numbers: calls that arrive meanwhile move nothing. ``before`` goes on to older calls, ``after`` to newer ones."""
    if after:
        cursor = Cursor.read(after)
        records = list(_calls(asked, after=cursor, rows=rows + 1).order_by("created_at", "id")[: rows + 1])
        shown = records[:rows][::-1]
        return Page(shown, _edge(shown, -1, bool(shown)), _edge(shown, 0, len(records) > rows))
    cursor_before = Cursor.read(before) if before else None
    records = list(_calls(asked, before=cursor_before, rows=rows + 1).order_by(*NEWEST_FIRST)[: rows + 1])
    shown = records[:rows]
    return Page(shown, _edge(shown, -1, len(records) > rows), _edge(shown, 0, bool(before)))


def _edge(records: list[CallRecord], place: int, exists: bool) -> str:
    return str(Cursor.of(records[place])) if exists and records else ""


def _calls(
    asked: UsageFilter, *, rows: int, before: Cursor | None = None, after: Cursor | None = None
) -> QuerySet[CallRecord]:
    calls = CallRecord.objects.filter(asked.calls)
    if before:
        calls = calls.filter(before.older)
    if after:
        calls = calls.filter(after.newer)
    if asked.is_narrow:
        calls = calls.filter(_where_they_lie(asked, rows=rows, before=before, after=after))
    return calls


def _where_they_lie(asked: UsageFilter, *, rows: int, before: Cursor | None, after: Cursor | None) -> Q:
    """The hours that hold the next ``rows`` matching calls, as the hourly sums know them.

    The index leads to an account's calls by time alone. For a filter that few calls match, walking it would read them all;
    an index for each filter would cost every call. The sums say where to look.
    """
    hours = UsageHour.objects.filter(asked.hours)
    if before:
        hours = hours.filter(hour__lte=before.created_at)
    if after:
        hours = hours.filter(hour__gt=after.created_at - HOUR)
    counted = {"error": Sum("errors"), "ok": Sum(F("calls") - F("errors"))}.get(asked.status, Sum("calls"))
    order = "hour" if after else "-hour"
    found, spans = 0, []
    for hour, count in (
        hours.values("hour").annotate(n=counted).filter(n__gt=0).order_by(order).values_list("hour", "n")
    ):
        spans.append(hour)
        # those of the cursor's own hour may lie on its other side
        found += 0 if hour in _hours_of(before, after) else int(count)
        if found >= rows:
            break
    where = Q(pk__in=[])
    for begin, end in _runs(sorted(spans)):
        where |= Q(created_at__gte=begin, created_at__lt=end)
    return where


def _hours_of(*cursors: Cursor | None) -> set[datetime]:
    return {c.created_at.replace(minute=0, second=0, microsecond=0) for c in cursors if c}


def _runs(hours: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Neighbouring hours as one span each."""
    begin = end = None
    for hour in hours:
        if begin is not None and end == hour:
            end += HOUR
            continue
        if begin is not None and end is not None:
            yield begin, end
        begin, end = hour, hour + HOUR
    if begin is not None and end is not None:
        yield begin, end


def count(asked: UsageFilter) -> int:
    """How many calls match, from the hourly sums."""
    counted = {"error": Sum("errors"), "ok": Sum(F("calls") - F("errors"))}.get(asked.status, Sum("calls"))
    return int(UsageHour.objects.filter(asked.hours).aggregate(n=counted)["n"] or 0)


def find(scope: Scope, text: str) -> CallRecord:
    """The call named ``gen-…``. Another team's, or a colleague's for whoever may not see those, is as unknown as a random one."""
    call = parse_generation_id(text)
    record = CallRecord.objects.filter(scope.where, pk=call).first() if call else None
    if record is None:
        raise Http404
    return record
