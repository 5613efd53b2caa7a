"""The reconciler: what no event told us is found by asking. The sweep drives waiting rows forward; the comparison reads
Stripe's own lists, mends what it can through the same functions as events, and writes down what it cannot."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, Sum
from django.db.models.functions import Now

from billing import auto_top_up, disputes, ledger, refunds, stripe_api, topups, webhooks
from billing.amounts import NANOS_PER_CENT
from billing.models import CreditLot, Discrepancy, LedgerAccount, Refund, StripeEvent, TopUp
from billing.stripe_api import PaymentRefused
from tokenhub.clock import now

log = logging.getLogger(__name__)

#: a row is left to its own event for so long
EVENT_PATIENCE = timedelta(seconds=60)
ORDER_PATIENCE = timedelta(minutes=10)
REFUND_PATIENCE = timedelta(minutes=2)
#: rows in one sweep; the next one takes the rest
BATCH = 200
#: the daily comparison looks back so far: Stripe tries its events again for three days
LOOK_BACK = timedelta(days=4)


# ---------------------------------------------------------------- the sweep


def sweep() -> None:
    """Every step is one that may be repeated; one that fails is tried again by the next sweep."""
    if stripe_api.is_configured():
        _work_waiting_events()
        _refresh_waiting_orders()
        _submit_waiting_refunds()
    _collect_debts()
    ledger.expire_lots()


def _work_waiting_events() -> None:
    waiting = StripeEvent.objects.filter(outcome="", received_at__lt=now() - EVENT_PATIENCE)
    _each(waiting.order_by("received_at").values_list("pk", flat=True)[:BATCH], webhooks.work)


def _refresh_waiting_orders() -> None:
    waiting = TopUp.objects.filter(status__in=TopUp.PENDING, created_at__lt=now() - ORDER_PATIENCE)
    _each(waiting.select_related("account").order_by("created_at")[:BATCH], _refresh)


def _refresh(order: TopUp) -> None:
    unanswered = order.origin == TopUp.Origin.AUTO and not order.payment_intent_id
    if unanswered:
        auto_top_up.resume(order)
    else:
        topups.refresh(order)


def _submit_waiting_refunds() -> None:
    waiting = Refund.objects.filter(status=Refund.Status.REQUESTED, created_at__lt=now() - REFUND_PATIENCE)
    _each(waiting.select_related("top_up").order_by("created_at")[:BATCH], refunds.submit)


def _collect_debts() -> None:
    debts = LedgerAccount.objects.filter(kind=LedgerAccount.Kind.RECEIVABLE, posted_nanos__lt=0)
    with_credit = LedgerAccount.objects.filter(
        kind=LedgerAccount.Kind.WALLET, customer_id__in=debts.values("customer_id"), posted_nanos__gt=F("held_nanos")
    )
    customers = [
        customer_id for customer_id in with_credit.values_list("customer_id", flat=True)[:BATCH] if customer_id
    ]
    _each(customers, ledger.collect_receivable)


def _each[Row](rows: Iterable[Row], act: Callable[[Row], object]) -> None:
    """One row that fails must not keep the others waiting."""
    for row in rows:
        try:
            act(row)
        except Exception:
            log.exception("sweep: %s", row)


# ---------------------------------------------------------------- the comparison


@dataclass(frozen=True, slots=True)
class Difference:
    """Amounts in cents: what Stripe says, what our rows say."""

    kind: str
    reference: str
    detail: str
    expected_cents: int | None = None
    found_cents: int | None = None


def compare_lately() -> list[Difference]:
    return compare(now() - LOOK_BACK) if stripe_api.is_configured() else []


def compare(since: datetime) -> list[Difference]:
    """Stripe's sessions, payments, refunds and disputes since a moment against our rows, both ways.

    What is found is kept for an operator; what is no longer found is marked as resolved. Raises ``PaymentsUnavailable``.
    """
    found = [*_sessions(since), *_payments(since), *_refunds(since), *_disputes(since), *_lots()]
    for one in found:
        log.error("reconciler: %s %s: %s", one.kind, one.reference, one.detail)
        Discrepancy.objects.update_or_create(
            kind=one.kind,
            reference=one.reference,
            defaults={
                "detail": one.detail,
                "expected_cents": one.expected_cents,
                "found_cents": one.found_cents,
                "last_seen_at": Now(),
                "resolved_at": None,
            },
        )
    still = Q(pk__in=[])
    for one in found:
        still |= Q(kind=one.kind, reference=one.reference)
    Discrepancy.objects.filter(resolved_at=None, first_seen_at__gte=since).exclude(still).update(resolved_at=Now())
    return found


def _sessions(since: datetime) -> Iterator[Difference]:
    paid = set()
    for session in stripe_api.sessions_since(since):
        if session.mode != "payment" or session.payment_status != "paid":
            continue
        paid.add(session.id)
        order = topups.fulfil(session.id)
        if order is None:
            continue  # another product's
        if order.status != TopUp.Status.CREDITED:
            yield Difference("paid, not credited", session.id, order.reason, session.total_cents, 0)
    credited = TopUp.objects.filter(origin=TopUp.Origin.CHECKOUT, credited_at__isnull=False, created_at__gte=since)
    for order in credited.exclude(session_id__in=paid):
        yield from _unpaid(order, order.session_id or "")


def _unpaid(order: TopUp, session_id: str) -> Iterator[Difference]:
    """A credited order that the list did not have: Stripe is asked for it alone before anybody is alarmed."""
    try:
        is_paid = stripe_api.session(session_id).payment_status == "paid"
    except PaymentRefused:
        is_paid = False
    if not is_paid:
        yield Difference("credited, not paid", order.slug, session_id, 0, order.total_cents)


def _payments(since: datetime) -> Iterator[Difference]:
    paid = set()
    for payment in stripe_api.payments_since(since):
        if payment.status != "succeeded" or not payment.order:
            continue
        paid.add(payment.id)
        order = topups.follow_payment(payment.id)
        if order and order.status != TopUp.Status.CREDITED:
            yield Difference("paid, not credited", payment.id, order.reason, payment.received_cents, 0)
    credited = TopUp.objects.filter(origin=TopUp.Origin.AUTO, credited_at__isnull=False, created_at__gte=since)
    for order in credited.exclude(payment_intent_id__in=paid):
        if stripe_api.payment(order.payment_intent_id or "").status != "succeeded":
            yield Difference("credited, not paid", order.slug, order.payment_intent_id or "", 0, order.total_cents)


def _refunds(since: datetime) -> Iterator[Difference]:
    seen = set()
    for fact in stripe_api.refunds_since(since):
        seen.add(fact.id)
        refund = refunds.follow(fact.id)
        if refund and refund.cash_cents != fact.amount_cents:
            yield Difference("refund differs", fact.id, refund.top_up.slug, fact.amount_cents, refund.cash_cents)
    ours = Refund.objects.filter(created_at__gte=since, status=Refund.Status.SUCCEEDED).exclude(stripe_id__in=seen)
    for refund in ours.select_related("top_up"):
        if stripe_api.refund(refund.stripe_id or "").amount_cents != refund.cash_cents:
            yield Difference("refund differs", refund.stripe_id or "", refund.top_up.slug, 0, refund.cash_cents)


def _disputes(since: datetime) -> Iterator[Difference]:
    for fact in stripe_api.disputes_since(since):
        dispute = disputes.follow(fact.id)
        if dispute and dispute.cash_cents != fact.amount_cents:
            yield Difference("dispute differs", fact.id, dispute.top_up.slug, fact.amount_cents, dispute.cash_cents)


def _lots() -> Iterator[Difference]:
    """Paid credit in lots against credited orders: attribution that does not add up."""
    paid = CreditLot.objects.filter(kind=CreditLot.Kind.PAID, source__startswith="topup:")
    in_lots = paid.aggregate(total=Sum("amount_nanos"))["total"] or 0
    in_orders = TopUp.objects.filter(credited_at__isnull=False).aggregate(total=Sum("credit_nanos"))["total"] or 0
    if in_lots != in_orders:
        yield Difference("lots differ from orders", "all", "", in_orders // NANOS_PER_CENT, in_lots // NANOS_PER_CENT)
