"""The words for what moves a wallet, and its sums between two moments: what statements and the balance chart add up.

Captures are not in here: they have no index by wallet, and the room that counts calls knows their sums (spending.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet, Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.models import Transfer

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
#: by ``Transfer.kind``
CAUSES: dict[str, str | Promise] = {
    "capture": _("Request"),
    "topup": _("Top-up"),
    "promo": _("Promotional credit"),
    "promo_expiry": _("Credit expired"),
    "refund": _("Refund"),
    "refund_back": _("Refund returned"),
    "dispute": _("Dispute"),
    "dispute_back": _("Dispute won"),
    "receivable_paid": _("Debt settled"),
    "adjustment": _("Adjustment"),
}


@dataclass(frozen=True)
class KindSum:
    """All movements of one kind. ``amount_nanos`` is as the wallet sees it: credits positive, debits negative."""

    kind: str
    count: int
    amount_nanos: int

    @property
    def cause(self) -> str:
        return str(CAUSES.get(self.kind, self.kind))


def of(wallet_id: int, since: datetime) -> QuerySet[Transfer]:
    """All transfers of a wallet from a moment on, but its captures: exactly what the partial indexes hold."""
    ours = Transfer.objects.filter(Q(credit_id=wallet_id) | Q(debit_id=wallet_id), created_at__gte=since)
    return ours.exclude(kind="capture")


def signed_nanos(transfer: Transfer, wallet_id: int) -> int:
    return transfer.amount_nanos if transfer.credit_id == wallet_id else -transfer.amount_nanos


class Span(NamedTuple):
    opening_nanos: int  # the net of all before; captures apart
    kinds: list[KindSum]


def by_kind(wallet_id: int, since: datetime, until: datetime) -> Span:
    """``until`` is excluded; in the order of ``CAUSES``. An adjustment may go either way, so it may be there twice."""
    rows = of(wallet_id, EARLIEST).filter(created_at__lt=until)
    sides = rows.annotate(is_credit=_is(Q(credit_id=wallet_id)), is_before=_is(Q(created_at__lt=since)))
    grouped = sides.values("kind", "is_credit", "is_before").annotate(sum=Sum("amount_nanos"), n=Count("pk"))
    opening, kinds = 0, []
    for row in grouped:
        amount = int(row["sum"]) if row["is_credit"] else -int(row["sum"])
        if row["is_before"]:
            opening += amount
        else:
            kinds.append(KindSum(row["kind"], row["n"], amount))
    order = list(CAUSES)
    return Span(opening, sorted(kinds, key=lambda one: (order.index(one.kind), -one.amount_nanos)))


def _is(condition: Q) -> ExpressionWrapper:
    return ExpressionWrapper(condition, BooleanField())
