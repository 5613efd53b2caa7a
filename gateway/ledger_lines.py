"""Every movement of a wallet, newest first, each with the balance after it. Append-only, because its rows are.

What is computed where, and why it is exact on every page: gateway/sql/ledger_lines.sql.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext

from billing import ledger
from billing.models import Hold
from billing.movements import CAUSES
from gateway.ledger_filter import LedgerFilter, Place
from gateway.usage_filters import KeyName, ModelName, Scope

ROWS_PER_PAGE = 50
#: open holds shown; an account has as many as it has calls on their way
HOLDS_MAX = 200
_SQL = (Path(__file__).parent / "sql" / "ledger_lines.sql").read_text()
STATEMENTS = {order: _SQL.format(order=order) for order in ("ASC", "DESC")}
#: who gave credit needs no saying where the reason says it
_SELF_EVIDENT = ("tokenhub", "promo code")


class Row(NamedTuple):
    """A row of the statement: column for column, in its order."""

    at: datetime
    call: Any
    transfer: str
    kind: str
    amount_nanos: int
    model_id: int | None
    key_id: int | None
    order_slug: str | None
    receipt_number: int | None
    card_last4: str | None
    is_test: bool | None
    reason: str | None
    granted_by: str | None
    posted_nanos: int
    newer_credits_nanos: int
    newer_debits_nanos: int
    newer_hours_nanos: int
    newer_calls_nanos: int

    @property
    def place(self) -> Place:
        return Place(self.at, self.call, self.transfer)

    @property
    def hour(self) -> datetime:
        return self.at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Line:
    row: Row
    balance_nanos: int
    model: ModelName | None
    key: KeyName | None

    @property
    def id(self) -> str:
        return self.row.place.name

    @property
    def cause(self) -> str:
        return str(CAUSES.get(self.row.kind, self.row.kind))

    @property
    def is_call(self) -> bool:
        return self.row.kind == "capture"

    @property
    def what(self) -> str:
        """In a few words, without the key's name."""
        row = self.row
        if self.is_call:
            return self.model.name if self.model else gettext("a model that is gone")
        if row.order_slug:
            card = (
                gettext("card ending %(last4)s") % {"last4": row.card_last4} if row.card_last4 else gettext("payment")
            )
            return gettext("receipt %(number)s, %(card)s") % {"number": row.receipt_number, "card": card}
        words = row.reason or self.cause
        if row.granted_by and row.granted_by not in _SELF_EVIDENT:
            # an operator's name is not the customer's business
            words = gettext("%(reason)s, by operator") % {"reason": words}
        return words

    @property
    def url(self) -> str:
        """The page about it; empty where there is none."""
        if self.is_call:
            return reverse("usage_request", args=[self.id])
        return reverse("top_up_page", args=[self.row.order_slug]) if self.row.order_slug else ""


@dataclass(frozen=True)
class Page:
    lines: list[Line]
    older: str  # cursors; empty where there is no more
    newer: str


def page(asked: LedgerFilter, *, before: str = "", after: str = "", rows: int = ROWS_PER_PAGE) -> Page:
    """``before`` goes on to older lines, ``after`` to newer ones. What arrives meanwhile moves nothing. One query."""
    if after:
        found = _rows(asked, "ASC", max(asked.after, Place.read(after)), asked.before, rows + 1)
        shown, is_more = found[-rows:], len(found) > rows
        older, newer = bool(shown), is_more
    else:
        end = min(asked.before, Place.read(before)) if before else asked.before
        found = _rows(asked, "DESC", asked.after, end, rows + 1)
        shown = found[:rows]
        older, newer = len(found) > rows, bool(before)
    # balances follow from the newest row on, the one too many included
    balances = dict(zip((row.place for row in found), _balances(found), strict=True))
    scope = asked.scope
    lines = [
        Line(row, balances[row.place], _of(scope.models, row.model_id), _of(scope.keys, row.key_id)) for row in shown
    ]
    return Page(lines, str(shown[-1].place) if older and shown else "", str(shown[0].place) if newer and shown else "")


def _rows(asked: LedgerFilter, order: str, after: Place, before: Place, rows: int) -> list[Row]:
    values = {
        "account": asked.scope.account.pk,
        "kinds": asked.kinds,
        "calls": asked.has_calls,
        "rows": rows,
        **{f"after_{name}": value for name, value in after._asdict().items()},
        **{f"before_{name}": value for name, value in before._asdict().items()},
    }
    with connection.cursor() as cursor:
        cursor.execute(STATEMENTS[order], values)
        return [Row._make(row) for row in cursor.fetchall()]


def _balances(rows: Iterable[Row]) -> list[int]:
    """After each of the rows, which come newest first. Each knows what lies between itself and the row before it."""
    balances = []
    moved = hours = calls = 0  # all that is newer; the calls of the row's own hour apart
    hour = None
    for row in rows:
        moved += int(row.newer_credits_nanos) - int(row.newer_debits_nanos)
        hours += int(row.newer_hours_nanos)
        calls = int(row.newer_calls_nanos) + (calls if row.hour == hour else 0)
        hour = row.hour
        balances.append(row.posted_nanos - moved + hours + calls)
    return balances


def _of[T](names: dict[int, T], pk: int | None) -> T | None:
    return names.get(pk) if pk is not None else None


# ---------------------------------------------------------------- holds


class HoldLine(NamedTuple):
    hold: Hold
    model: ModelName | None
    key: KeyName | None


def holds(scope: Scope) -> list[HoldLine]:
    """What calls on their way may cost at most, as of now; the newest first."""
    wallet = ledger.wallet(scope.account.pk)
    rows = Hold.objects.filter(wallet_id=wallet.pk, closed_at__isnull=True).order_by("-created_at", "-id")[:HOLDS_MAX]
    return [HoldLine(hold, scope.models.get(hold.model_id), scope.keys.get(hold.key_id)) for hold in rows]
