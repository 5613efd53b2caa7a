"""Orders of credit: the row first, then Stripe with the row's id, then the credit, by whoever hears of the payment first.

The webhook, the return page and the reconciler all call ``fulfil`` (or ``refresh``), at once or twice or late. What an
event says is a hint: the object is read again from Stripe, and ``credit_top_up`` in the database credits once.
"""

import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, User
from billing import cards, ledger, stripe_api
from billing.amounts import cents, fee_nanos
from billing.models import TopUp
from billing.stripe_api import Payment, PaymentRefused, PaymentsUnavailable, Session
from tokenhub.clock import now
from tokenhub.money import usd_string

log = logging.getLogger(__name__)

Status = TopUp.Status
#: how long a payment page can be used; Stripe wants 30 minutes at least
SESSION_LIFE = timedelta(hours=1)
#: an order that Stripe gave no page for within this time will get none: the page could not live long enough
SESSION_PATIENCE = timedelta(minutes=25)
#: Stripe remembers idempotency keys for 24 hours; after that the same request could charge again
REPEATABLE = timedelta(hours=23)


# ---------------------------------------------------------------- ordering


def start(
    *, account: Account, user: User, credit_nanos: int, request_key: uuid.UUID, saves_card: bool = False
) -> TopUp:
    """The order of a form, with Stripe's page to pay it on (``checkout_url``). The same form twice is the same order.

    Raises ``PaymentsUnavailable`` where Stripe does not answer: then the order stands unpaid, and trying again continues it.
    """
    order = order_of(
        account=account, user=user, credit_nanos=credit_nanos, request_key=request_key, origin=TopUp.Origin.CHECKOUT
    )
    if order.status == Status.CREATED:
        _open_session(order, user, saves_card)
        order.refresh_from_db()
    return order


def order_of(
    *, account: Account, user: User | None, credit_nanos: int, request_key: uuid.UUID, origin: TopUp.Origin
) -> TopUp:
    """The order of a request, made when it is first asked for."""
    order, _made = TopUp.objects.get_or_create(
        account=account,
        # a form that the browser kept, sent again with another amount, is another order
        request_key=uuid.uuid5(request_key, str(credit_nanos)),
        defaults={
            "user": user,
            "origin": origin,
            "is_test": not settings.STRIPE_LIVEMODE,
            "credit_nanos": credit_nanos,
            "fee_nanos": fee_nanos(credit_nanos, settings.TOPUP_FEE_BASIS_POINTS),
        },
    )
    return order


def _open_session(order: TopUp, user: User, saves_card: bool) -> None:
    lines = [
        (_("TokenHub credit, $%(amount)s") % {"amount": usd_string(order.credit_nanos)}, cents(order.credit_nanos))
    ]
    if order.fee_nanos:
        lines.append((_("Card fee"), cents(order.fee_nanos)))
    page = f"{settings.PUBLIC_URL}{reverse('top_up_page', args=[order.slug])}?team={order.account.slug}"
    session = stripe_api.create_session(
        order=str(order.id),
        customer_id=cards.customer_of(order.account, user),
        lines=lines,
        keeps_card=saves_card,
        # of the row, not of now: a repeat must say the same, or Stripe refuses its idempotency key
        expires_at=order.created_at + SESSION_LIFE,
        success_url=page,
        cancel_url=page,
    )
    TopUp.objects.filter(pk=order.pk, session_id=None).update(session_id=session.id, checkout_url=session.url)
    _move(order, [Status.CREATED], Status.OPEN)


def cancel(order: TopUp) -> TopUp:
    """Gives an unpaid order up. Whoever has paid meanwhile is credited instead."""
    if order.status == Status.OPEN and order.session_id:
        try:
            stripe_api.expire_session(order.session_id)
        except PaymentRefused:
            log.info("order %s can no longer be cancelled", order.slug)  # paid or expired: Stripe tells which
        return refresh(order)
    return order


# ---------------------------------------------------------------- what came of it


def fulfil(session_id: str) -> TopUp | None:
    """Drives the order of a Checkout session to where Stripe says that it is. None: no order of ours.

    Raises ``PaymentsUnavailable``; it may be called at any time, by anybody, as often as they like.
    """
    session = stripe_api.session(session_id)
    order = _order_of(session)
    if order is None or session.livemode != (not order.is_test):
        return None
    TopUp.objects.filter(pk=order.pk, session_id=None).update(session_id=session.id, checkout_url=session.url)
    if session.payment:
        _note_payment(order, session.payment)
    if session.payment_status == "paid":
        _credit(
            order,
            currency=session.currency,
            subtotal_cents=session.subtotal_cents,
            tax_cents=session.tax_cents,
            total_cents=session.total_cents,
            told=session.billed_to,
        )
        if session.payment and session.payment.is_kept and session.payment.card:
            cards.keep(order.account, session.payment.card)
    elif session.payment_status == "no_payment_required":
        _review(order, _("The payment page asked for no payment."))
    elif session.status == "expired":
        _close(order, Status.EXPIRED, _("The payment page was closed before anything was paid."))
    elif session.status == "complete":
        _wait_for_bank(order, session)
    order.refresh_from_db()
    return order


def _order_of(session: Session) -> TopUp | None:
    order = TopUp.objects.filter(session_id=session.id).select_related("account").first()
    if order or session.mode != "payment":
        return order
    # the answer that named the session was lost: the session names the order
    return _ordered(session.order, session_id=None)


def _wait_for_bank(order: TopUp, session: Session) -> None:
    """A bank debit: the page is done, the money is on its way, or it came back."""
    if session.payment and session.payment.status in ("requires_payment_method", "canceled"):
        _close(order, Status.FAILED, _("The bank did not pay. Nothing was taken."))
    else:
        _move(order, [Status.CREATED, Status.OPEN], Status.PROCESSING)


def follow_payment(payment_intent_id: str) -> TopUp | None:
    """The order behind a payment, driven to where Stripe says that it is. None: no order of ours."""
    order = TopUp.objects.filter(payment_intent_id=payment_intent_id).select_related("account").first()
    payment = stripe_api.payment(payment_intent_id)
    order = order or _ordered(payment.order)
    if order is None or payment.livemode != (not order.is_test):
        return None
    if order.origin == TopUp.Origin.CHECKOUT:
        return fulfil(order.session_id) if order.session_id else order
    settle_payment(order, payment)
    return order


def settle_payment(order: TopUp, payment: Payment) -> None:
    """What a charge of a saved card came to."""
    _note_payment(order, payment)
    if payment.status == "succeeded":
        paid = payment.received_cents
        _credit(
            order, currency=payment.currency, subtotal_cents=paid, tax_cents=0, total_cents=paid, told={}
        )  # fmt: skip
    elif payment.status == "processing":
        _move(order, [Status.CREATED], Status.PROCESSING)
    else:
        _close(order, Status.FAILED, order.reason or _("The card was not charged."))
    order.refresh_from_db()


def fail(order: TopUp, reason: str) -> None:
    _close(order, Status.FAILED, reason)


def _note_payment(order: TopUp, payment: Payment) -> None:
    known: dict[str, Any] = {"payment_intent_id": payment.id}
    if payment.card:
        known |= {"card_brand": payment.card.brand, "card_last4": payment.card.last4}
    TopUp.objects.filter(pk=order.pk).update(**known)


def _credit(
    order: TopUp,
    *,
    currency: str,
    subtotal_cents: int,
    tax_cents: int,
    total_cents: int,
    told: dict[str, Any],
) -> None:
    """``told``: what the payer told Stripe of themselves."""
    if order.status == Status.CREDITED:
        return
    if currency != "usd":
        _review(order, _("It was paid in another currency than ordered."))
        return
    try:
        with transaction.atomic():
            TopUp.objects.filter(pk=order.pk, billed_to__isnull=True).update(
                billed_to=cards.billed_to(order.account, told)
            )
            ledger.credit_top_up(
                top_up_id=order.pk, subtotal_cents=subtotal_cents, tax_cents=tax_cents, total_cents=total_cents
            )
    except IntegrityError:
        log.exception("order %s: %s cents were paid, which is not what was ordered", order.slug, subtotal_cents)
        _review(order, _("What was paid is not what was ordered."))


def _review(order: TopUp, reason: str) -> None:
    _move(order, [*TopUp.PENDING, Status.FAILED, Status.EXPIRED], Status.REVIEW, reason=reason)


def _close(order: TopUp, status: TopUp.Status, reason: str) -> None:
    _move(order, TopUp.PENDING, status, reason=reason, closed_at=Now())


def _move(order: TopUp, sources: Sequence[TopUp.Status], target: TopUp.Status, **fields: Any) -> bool:
    """Whether it was this call that moved the order: the row count decides between two."""
    moved = TopUp.objects.filter(pk=order.pk, status__in=sources).update(status=target, **fields)
    if moved:
        order.refresh_from_db()
    return bool(moved)


# ---------------------------------------------------------------- orders that nobody has news of


def refresh(order: TopUp) -> TopUp:
    """Asks Stripe about one order and drives it forward. Stripe being away changes nothing and raises nothing."""
    try:
        _look_at(order)
    except PaymentsUnavailable as e:
        log.warning("order %s: %s", order.slug, e.message)
    except PaymentRefused as e:
        _review(order, _("Stripe does not know this payment."))
        log.warning("order %s: %s", order.slug, e.message)
    order.refresh_from_db()
    return order


def _look_at(order: TopUp) -> None:
    if order.session_id:
        fulfil(order.session_id)
    elif order.payment_intent_id:
        settle_payment(order, stripe_api.payment(order.payment_intent_id))
    elif order.origin == TopUp.Origin.CHECKOUT and now() - order.created_at > SESSION_PATIENCE:
        # nobody was ever shown a page to pay on
        _close(order, Status.EXPIRED, _("The payment page could not be opened. Nothing was taken."))


def _ordered(text: str, **conditions: Any) -> TopUp | None:
    """The order that an object of Stripe's names; anybody may have written that name."""
    try:
        order_id = uuid.UUID(text)
    except ValueError:
        return None
    return TopUp.objects.filter(pk=order_id, **conditions).select_related("account").first()
