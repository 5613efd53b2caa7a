"""The balance page: what there is, what is held, and every movement but the captures (those are the usage page's)."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import Case, F, Q, QuerySet, Sum, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import access
from billing import ledger
from billing.models import CreditGrant, LedgerAccount, Transfer
from tokenhub.clock import now

MOVEMENTS_PER_PAGE = 25
GRANT_PREFIX = "grant:"


class Movement(NamedTuple):
    at: datetime
    cause: str
    detail: str
    amount_nanos: int  # as the wallet sees it: credits positive, debits negative


@require_safe
@access.signed_in
def billing(request: HttpRequest) -> HttpResponse:
    """``?before=`` is the cursor of the last line seen: ``<time>~<idempotency key>``."""
    wallet = ledger.wallet(access.account_of(request).pk)
    transfers = movements_of(wallet).order_by("-created_at", "-idempotency_key")
    if cursor := request.GET.get("before"):
        transfers = transfers.filter(_after(cursor))
    page = list(transfers[: MOVEMENTS_PER_PAGE + 1])
    shown = page[:MOVEMENTS_PER_PAGE]
    context = {
        "balance": wallet,
        "credited_nanos": (credited := credited_nanos(wallet)),
        "spent_nanos": credited - wallet.posted_nanos,
        "movements": _described(shown, wallet),
        "older": _cursor(shown[-1]) if len(page) > MOVEMENTS_PER_PAGE else "",
        "is_first_page": not cursor,
        "now": now(),
    }
    return render(request, "billing/billing.html", context)


def movements_of(wallet: LedgerAccount) -> QuerySet[Transfer]:
    """All transfers of a wallet but its captures: exactly what the partial indexes hold."""
    return Transfer.objects.filter(Q(credit_id=wallet.pk) | Q(debit_id=wallet.pk)).exclude(kind="capture")


def credited_nanos(wallet: LedgerAccount) -> int:
    """Everything that came in, less what went out again other than for calls. So credited − posted is what calls cost."""
    signed = Case(When(credit_id=wallet.pk, then=F("amount_nanos")), default=-F("amount_nanos"))
    return int(movements_of(wallet).aggregate(total=Sum(signed))["total"] or 0)


def _described(transfers: Iterable[Transfer], wallet: LedgerAccount) -> list[Movement]:
    transfers = list(transfers)
    reasons = _grant_reasons(transfers)
    return [
        Movement(
            at=transfer.created_at,
            cause=_cause(transfer.kind),
            detail=reasons.get(transfer.idempotency_key, ""),
            amount_nanos=transfer.amount_nanos if transfer.credit_id == wallet.pk else -transfer.amount_nanos,
        )
        for transfer in transfers
    ]


def _grant_reasons(transfers: list[Transfer]) -> dict[str, str]:
    keys = [transfer.idempotency_key for transfer in transfers if transfer.idempotency_key.startswith(GRANT_PREFIX)]
    grants = CreditGrant.objects.in_bulk([uuid.UUID(key.removeprefix(GRANT_PREFIX)) for key in keys])
    return {f"{GRANT_PREFIX}{grant_id}": grant.reason for grant_id, grant in grants.items()}


def _cause(kind: str) -> str:
    causes = {
        "promo": _("Credit"),
        "promo_expiry": _("Credit expired"),
        "topup": _("Top-up"),
        "refund": _("Refund"),
        "refund_back": _("Refund returned"),
        "dispute": _("Dispute"),
        "dispute_back": _("Dispute won"),
        "receivable_paid": _("Debt settled"),
        "adjustment": _("Adjustment"),
    }
    return causes.get(kind, kind)


def _cursor(transfer: Transfer) -> str:
    return f"{transfer.created_at.isoformat()}~{transfer.idempotency_key}"


def _after(cursor: str) -> Q:
    """What follows the cursor in the page's order. Raises ``Http404`` for something that never was one."""
    text, _tilde, key = cursor.partition("~")
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or "\0" in key:
        raise Http404
    return Q(created_at__lt=at) | Q(created_at=at, idempotency_key__lt=key)
