"""The billing page: what there is, how long it lasts, and every form about paying."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Case, OuterRef, Q, Subquery, UUIDField, Value, When, Window
from django.db.models.functions import Cast, Left, RowNumber, Substr
from django.db.models.lookups import Exact
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import access
from accounts.models import Account
from accounts.powers import Power
from billing import auto_top_up, ledger, movements
from billing.balance_chart import Balance
from billing.forms import AutoTopUpForm, BillingDetailsForm, PromoCodeForm
from billing.models import AutoTopUp, CreditGrant, CreditLot, LedgerAccount, TopUp, Transfer
from billing.views import payment_history
from billing.views.offer import offer
from tokenhub.clock import now
from tokenhub.money import usd_string

MOVEMENTS_SHOWN = 5
RUNS_SHOWN = 5


@require_safe
@access.needs(Power.SEE_BILLING)
def overview(request: HttpRequest) -> HttpResponse:
    return page(request)


def page(request: HttpRequest, **refused: BaseForm) -> HttpResponse:
    """``refused`` are forms that could not be accepted, shown again with what was typed: ``auto_form``, ``promo_form``,
    ``details_form``."""
    account = _with_settings(access.account_of(request))
    profile, rule = getattr(account, "billing_profile", None), getattr(account, "auto_top_up", None)
    wallet = ledger.wallet(account.pk)
    history = Balance.read(wallet, timezone.get_current_timezone())
    orders = _latest_orders(account)
    runs = [order for order in orders if order.origin == TopUp.Origin.AUTO]
    context: dict[str, Any] = {
        "wallet": wallet,
        "owed_nanos": ledger.owed_nanos(account.pk) if wallet.frozen else 0,
        "history": history,
        "chart": history.draw(),
        "credit": Credit.of(ledger.lots_of(account.pk)),
        "offer": offer(request),
        "profile": profile,
        "rule": rule,
        "auto_form": AutoTopUpForm(initial=_bounds(rule) if rule else None),
        "spent_this_month_nanos": auto_top_up.spent_this_month_nanos(account) if rule and rule.is_on else 0,
        "runs": runs,
        "last_order": orders[0] if orders else None,
        "last_state": payment_history.state(orders[0]) if orders else None,
        "promo_form": PromoCodeForm(),
        "details_form": BillingDetailsForm(instance=profile),
        "movements": _movements(wallet),
        "now": now(),
    }
    return render(request, "billing/overview.html", context | refused)


def _with_settings(account: Account) -> Account:
    """The account with what it has set about paying, in one query."""
    return Account.objects.select_related("billing_profile", "auto_top_up").get(pk=account.pk)


def _latest_orders(account: Account) -> list[TopUp]:
    """The newest of each origin, newest first: the last payment is among them, and the last runs of auto top-up are."""
    newest = Window(RowNumber(), partition_by="origin", order_by="-created_at")
    ranked = TopUp.objects.filter(account=account).annotate(place=newest)
    return list(ranked.filter(place__lte=RUNS_SHOWN).order_by("-created_at"))


def _bounds(rule: AutoTopUp) -> dict[str, str]:
    names = ("threshold_nanos", "amount_nanos", "monthly_cap_nanos")
    return {name: usd_string(getattr(rule, name)) for name in names}


class Credit(NamedTuple):
    """What is left of what was paid and of what was given."""

    paid_nanos: int
    promo_nanos: int
    expires_at: datetime | None  # of what expires soonest
    expiring_nanos: int

    @classmethod
    def of(cls, lots: Iterable[CreditLot]) -> "Credit":
        left = {CreditLot.Kind.PAID.value: 0, CreditLot.Kind.PROMO.value: 0}
        ends: dict[datetime, int] = {}
        for lot in lots:
            left[lot.kind] += lot.left_nanos
            if lot.expires_at:
                ends[lot.expires_at] = ends.get(lot.expires_at, 0) + lot.left_nanos
        soonest = min(ends, default=None)
        return cls(left["paid"], left["promo"], soonest, ends[soonest] if soonest else 0)


# ---------------------------------------------------------------- the last movements


class Movement(NamedTuple):
    at: datetime
    cause: str
    detail: str
    amount_nanos: int  # as the wallet sees it: credits positive, debits negative
    order_slug: str | None
    receipt_number: int | None


def _movements(wallet: LedgerAccount) -> list[Movement]:
    """The latest of all transfers of a wallet but its captures: exactly what the partial indexes hold."""
    ours = Transfer.objects.filter(Q(credit_id=wallet.pk) | Q(debit_id=wallet.pk)).exclude(kind="capture")
    order = TopUp.objects.filter(pk=_named("topup:"))
    told = ours.annotate(
        reason=Subquery(CreditGrant.objects.filter(pk=_named("grant:")).values("reason")),
        order_slug=Subquery(order.values("slug")),
        receipt_number=Subquery(order.values("receipt_number")),
    )
    return [
        Movement(
            at=transfer.created_at,
            cause=str(movements.CAUSES[transfer.kind]),
            detail=transfer.reason or "",
            amount_nanos=movements.signed_nanos(transfer, wallet.pk),
            order_slug=transfer.order_slug,
            receipt_number=transfer.receipt_number,
        )
        for transfer in told.order_by("-created_at", "-idempotency_key")[:MOVEMENTS_SHOWN]
    ]


def _named(prefix: str) -> Case:
    """The id of the row that a transfer's key names, for keys with this prefix; null for others."""
    name = Cast(Substr(OuterRef("idempotency_key"), len(prefix) + 1), UUIDField())
    return Case(When(Exact(Left(OuterRef("idempotency_key"), len(prefix)), Value(prefix)), then=name))
