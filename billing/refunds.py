"""Refunds: the credit is taken first, then Stripe is asked; a refund that fails gives the credit back, once.

A refund that somebody makes in Stripe's own dashboard arrives here as news, and takes its share of the credit.
"""

import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, User
from billing import ledger, stripe_api, topups
from billing.amounts import NANOS_PER_CENT
from billing.models import CreditLot, Refund, TopUp
from billing.stripe_api import PaymentRefused, PaymentsUnavailable, RefundFact
from tokenhub.clock import now
from tokenhub.errors import TokenHubError
from tokenhub.money import usd_string

log = logging.getLogger(__name__)

Status = Refund.Status
#: Stripe's words for a refund that will not come
FAILED = ("failed", "canceled")


class NotRefundable(TokenHubError):
    code = "not_refundable"
    status = 409
    type = "invalid_request_error"


def refundable_until(top_up: TopUp) -> datetime | None:
    """Until when a customer may refund this themselves; None: not at all."""
    if top_up.credited_at is None or not settings.REFUND_DAYS:
        return None
    return top_up.credited_at + timedelta(days=settings.REFUND_DAYS)


def refundable_nanos(top_up: TopUp, at: datetime | None = None) -> int:
    """What of this order a customer could have back now: its own credit that no call has used, in whole cents."""
    until = refundable_until(top_up)
    if until is None or (at or now()) > until:
        return 0
    return unused_nanos(top_up)


def unused_nanos(top_up: TopUp) -> int:
    """The order's own credit that is neither used, nor held by a call, nor disputed. Whole cents."""
    wallet = ledger.wallet(top_up.account_id)
    if wallet.frozen or top_up.credited_at is None:
        return 0
    lots: dict[str, CreditLot] = {lot.source: lot for lot in ledger.lots_of(top_up.account_id)}
    lot = lots.get(f"topup:{top_up.id}")
    left = min(lot.left_nanos if lot else 0, wallet.available_nanos, top_up.unreturned_nanos)
    return left - left % NANOS_PER_CENT


def request(
    *,
    top_up: TopUp,
    user: User | None,
    credit_nanos: int,
    origin: Refund.Origin,
    reason: str = "",
    request_key: uuid.UUID | None = None,
) -> Refund:
    """Takes the credit and asks Stripe to pay it back. Raises ``NotRefundable``.

    A customer's own refund keeps to the window; an operator's does not, but is of unused credit, too. Where Stripe does not
    answer, the refund stays requested and is repeated until it does. The same form (``request_key``) twice is one refund.
    """
    if request_key and (known := Refund.objects.filter(request_key=request_key, top_up=top_up).first()):
        return known
    most = refundable_nanos(top_up) if origin == Refund.Origin.CUSTOMER else unused_nanos(top_up)
    if not 0 < credit_nanos <= most or credit_nanos % NANOS_PER_CENT:
        raise NotRefundable(
            _("Of this payment, $%(amount)s can be refunded now.") % {"amount": usd_string(most)}
            if most
            else _("Nothing of this payment can be refunded now.")
        )
    try:
        refund = _take(
            top_up, request_key=request_key, user=user, credit_nanos=credit_nanos, origin=origin, reason=reason
        )
    except IntegrityError:  # the other click was faster
        return Refund.objects.get(request_key=request_key, top_up=top_up)
    submit(refund)
    refund.refresh_from_db()
    return refund


def _take(top_up: TopUp, *, user: User | None, credit_nanos: int, origin: str, reason: str, **row: Any) -> Refund:
    with transaction.atomic():
        refund = Refund.objects.create(
            top_up=top_up,
            user=user,
            origin=origin,
            credit_nanos=credit_nanos,
            cash_cents=top_up.cash_of(credit_nanos),
            reason=reason,
            **row,
        )
        taken = ledger.claw_back(
            key=refund.clawback_key, kind="refund", top_up_id=top_up.pk, amount_nanos=credit_nanos, whole=True
        )
        if taken is None:  # a call or another tab was faster
            raise NotRefundable(_("The balance has changed meanwhile. Look again at what can be refunded."))
        AuditEvent.objects.create(
            account_id=top_up.account_id,
            actor=user,
            action="refund.requested",
            subject=top_up.slug,
            detail={"credit_nanos": credit_nanos, "reason": reason, "origin": origin},
        )
    return refund


def submit(refund: Refund) -> None:
    """Asks Stripe, again if need be: the row's id is the idempotency key, and within a day it is the same refund.

    After a day Stripe has forgotten the key, so its list is searched instead, and nothing is asked twice.
    """
    try:
        if refund.stripe_id is None:
            stripe_id = _ask(refund)
            Refund.objects.filter(pk=refund.pk, stripe_id=None).update(stripe_id=stripe_id)
            refund.stripe_id = stripe_id
        follow(refund.stripe_id)
    except PaymentsUnavailable as e:
        log.warning("refund %s: %s", refund.id, e.message)
    except PaymentRefused as e:
        _fail(refund, e.message)


def _ask(refund: Refund) -> str:
    payment, name = refund.top_up.payment_intent_id or "", str(refund.id)
    if now() - refund.created_at < topups.REPEATABLE:
        made = stripe_api.create_refund(refund=name, payment_intent_id=payment, amount_cents=refund.cash_cents)
        return made.id
    for fact in stripe_api.refunds_of(payment):
        if fact.refund == name:
            return fact.id
    raise PaymentRefused(_("The payment service never heard of this refund."))


def follow(refund_id: str) -> Refund | None:
    """Takes over what Stripe says of one refund, whoever made it. None: of no payment of ours.

    It is read once more at the end: somebody else may have applied newer news while ours were on their way, and whoever
    reads what was applied last is done.
    """
    fact = stripe_api.refund(refund_id)
    refund = _known(fact) or _from_elsewhere(fact)
    while refund:
        _settle(refund, fact)
        latest = stripe_api.refund(refund_id)
        if latest == fact:
            break
        fact = latest
    return refund


def _known(fact: RefundFact) -> Refund | None:
    found = Refund.objects.select_related("top_up").filter(stripe_id=fact.id).first()
    if found is None and fact.refund:
        try:
            ours = uuid.UUID(fact.refund)
        except ValueError:
            return None
        found = Refund.objects.select_related("top_up").filter(pk=ours, stripe_id=None).first()
        # another payment's refund may carry any metadata: only the order's own payment counts
        if found and found.top_up.payment_intent_id != fact.payment_intent_id:
            return None
    return found


def _from_elsewhere(fact: RefundFact) -> Refund | None:
    top_up = topups.follow_payment(fact.payment_intent_id) if fact.payment_intent_id else None
    if top_up is None or top_up.credited_at is None:
        return None
    try:
        with transaction.atomic():
            return Refund.objects.create(
                top_up=top_up,
                stripe_id=fact.id,
                origin=Refund.Origin.STRIPE,
                cash_cents=fact.amount_cents,
                credit_nanos=_share(top_up, fact.amount_cents),
                reason=fact.reason,
                status=Status.PENDING,
            )
    except IntegrityError:  # the other event about the same refund was faster
        return Refund.objects.select_related("top_up").get(stripe_id=fact.id)


def _share(top_up: TopUp, cash_cents: int) -> int:
    """The credit behind a part of the cash, such that all parts together are all of the credit."""
    others = top_up.refunds.exclude(status=Status.FAILED).aggregate(cash=Sum("cash_cents"), credit=Sum("credit_nanos"))
    return max(0, top_up.credit_of((others["cash"] or 0) + cash_cents) - (others["credit"] or 0))


def _settle(refund: Refund, fact: RefundFact) -> None:
    Refund.objects.filter(pk=refund.pk, stripe_id=None).update(stripe_id=fact.id)
    if fact.status in FAILED:
        _fail(refund, fact.failure or fact.status)
        return
    with transaction.atomic():
        ledger.claw_back(
            key=refund.clawback_key, kind="refund", top_up_id=refund.top_up_id, amount_nanos=refund.credit_nanos
        )
        done = fact.status == "succeeded"
        Refund.objects.filter(pk=refund.pk).exclude(status=Status.FAILED).update(
            status=Status.SUCCEEDED if done else Status.PENDING, settled_at=Now() if done else None
        )


def _fail(refund: Refund, failure: str) -> None:
    with transaction.atomic():
        ledger.give_back(key=refund.clawback_key)
        Refund.objects.filter(pk=refund.pk).update(status=Status.FAILED, failure=failure[:200], settled_at=Now())
