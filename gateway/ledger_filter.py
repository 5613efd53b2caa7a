"""Which movements of whose wallet: everything that the address of the ledger page says."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import Http404, QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.movements import CAUSES
from gateway.usage_filters import Scope
from gateway.usage_periods import DATES
from tokenhub.ids import generation_id, parse_generation_id

ALL, CALLS, CREDIT, RETURNS, HOLDS = "all", "calls", "credit", "returns", "holds"
SHOWS: dict[str, str | Promise] = {
    ALL: _("All"),
    CALLS: _("Calls"),
    CREDIT: _("Top-ups and credit"),
    RETURNS: _("Refunds and disputes"),
    HOLDS: _("Holds"),
}
#: kinds of transfers; what is in neither of the two is only under "All"
KINDS: dict[str, tuple[str, ...]] = {
    ALL: tuple(kind for kind in CAUSES if kind != "capture"),
    CREDIT: ("topup", "promo", "promo_expiry", "adjustment"),
    RETURNS: ("refund", "refund_back", "dispute", "dispute_back", "receivable_paid"),
}
NO_CALL, EVERY_CALL = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)


class Place(NamedTuple):
    """Where a line stands: a batch of calls shares its moment, the ids tell them apart. Ordered as gateway/sql/ledger_lines.sql says."""

    at: datetime
    call: uuid.UUID  # of a transfer: EVERY_CALL
    transfer: str  # its key; empty for a call

    @classmethod
    def before(cls, moment: datetime) -> "Place":
        """Older than all that happened at or after a moment."""
        return cls(moment, NO_CALL, "")

    @classmethod
    def read(cls, text: str) -> "Place":
        """Raises ``Http404`` for something that never was one."""
        moment, _tilde, name = text.partition("~")
        try:
            at = parse_datetime(moment)
        except ValueError:
            at = None
        # no id is longer; PostgreSQL's texts have no NUL
        if at is None or at.tzinfo is None or not 0 < len(name) <= 200 or "\0" in name:
            raise Http404
        try:
            at = at.astimezone(UTC)
        except OverflowError:
            raise Http404 from None
        call = parse_generation_id(name)
        return cls(at, call, "") if call else cls(at, EVERY_CALL, name)

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.name}"

    @property
    def name(self) -> str:
        return self.transfer or generation_id(self.call.bytes)


OLDEST = Place.before(datetime.min.replace(tzinfo=UTC))
NEWEST = Place.before(datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True)
class LedgerFilter:
    scope: Scope
    show: str
    after: Place  # the range, both ends excluded
    before: Place
    days: Mapping[str, str] = field(default_factory=dict)  # ``from`` and ``to`` as the address has them
    problems: Mapping[str, str] = field(default_factory=dict)  # field → sentence

    @classmethod
    def read(cls, scope: Scope, query: QueryDict, zone: tzinfo | None = None) -> "LedgerFilter":
        """Days are those of the person's zone, both included. Raises ``Http404`` for a choice that there is not."""
        zone = zone or timezone.get_current_timezone()
        show = query.get("show", ALL)
        if show not in SHOWS:
            raise Http404
        days = {name: str(query[name]) for name in ("from", "to") if query.get(name)}
        ends: dict[str, datetime] = {}
        problems: dict[str, str] = {}
        for name, text in days.items():
            day = _day(text)
            if day is None:
                problems[name] = gettext("Give a date such as 2026-11-22.")
            else:
                next_day = timedelta(days=1 if name == "to" else 0)
                ends[name] = datetime.combine(day + next_day, time(), zone)
        if len(ends) == 2 and ends["from"] >= ends["to"]:
            problems["to"] = gettext("This lies before the start.")
        after = Place.before(ends["from"].astimezone(UTC)) if "from" in ends else OLDEST
        before = Place.before(ends["to"].astimezone(UTC)) if "to" in ends else NEWEST
        return cls(scope, show, after, before, days, problems)

    @property
    def is_holds(self) -> bool:
        return self.show == HOLDS

    @property
    def has_calls(self) -> bool:
        return self.show in (ALL, CALLS)

    @property
    def kinds(self) -> list[str]:
        return list(KINDS.get(self.show, ()))

    @property
    def is_everything(self) -> bool:
        return self.show == ALL and not self.days

    def query(self, **changed: str) -> str:
        """The address's query with something changed."""
        asked = {"show": self.show, **self.days} | changed
        return urlencode({name: value for name, value in asked.items() if value and (name, value) != ("show", ALL)})


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if DATES[0] <= day <= DATES[1] else None
