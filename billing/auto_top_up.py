"""Auto top-up: charges the saved card when the balance is low, inside the bounds that its owner set, and stops at the
first failure. Runs from the scheduler; a lost run is made by the next one."""

import logging
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.models import Account, AuditEvent, User
from billing import cards, notices, stripe_api, topups
from billing.amounts import cents
from billing.models import AutoTopUp, LedgerAccount, TopUp
from billing.stripe_api import CardDeclined, PaymentRefused, PaymentsUnavailable
from tokenhub.clock import now
from tokenhub.errors import TokenHubError

log = logging.getLogger(__name__)

#: between two charges, however fast the credit goes
COOL_DOWN = timedelta(minutes=10)

#: the wallet has less that nothing holds than the rule's threshold; a frozen account is not charged
_IS_LOW = Exists(
    LedgerAccount.objects.filter(
        customer_id=OuterRef("account_id"),
        kind=LedgerAccount.Kind.WALLET,
        frozen=False,
        posted_nanos__lt=F("held_nanos") + OuterRef("threshold_nanos"),
    )
)


class CardMissing(TokenHubError):
    code = "card_missing"
    status = 409
    type = "invalid_request_error"


def save(
    *,
    account: Account,
    user: User,
    is_on: bool,
    threshold_nanos: int,
    amount_nanos: int,
    monthly_cap_nanos: int,
) -> AutoTopUp:
    """Raises ``CardMissing`` where it shall be on and there is no saved card."""
    if is_on and not cards.profile_of(account).has_card:
        raise CardMissing(_("Save a card first: auto top-up charges it when the balance is low."))
    bounds = {
        "threshold_nanos": threshold_nanos,
        "amount_nanos": amount_nanos,
        "monthly_cap_nanos": monthly_cap_nanos,
    }
    with transaction.atomic():
        rule, _made = AutoTopUp.objects.update_or_create(
            account=account, defaults=bounds | {"is_on": is_on, "user": user, "stopped_at": None, "stop_reason": ""}
        )
        AuditEvent.objects.create(
            account=account, actor=user, action="auto_top_up.on" if is_on else "auto_top_up.off", detail=bounds
        )
    return rule


def turn_off(account: Account, user: User) -> None:
    with transaction.atomic():
        if AutoTopUp.objects.filter(account=account, is_on=True).update(is_on=False):
            AuditEvent.objects.create(account=account, actor=user, action="auto_top_up.off")


def recent_runs(account: Account, count: int) -> QuerySet[TopUp]:
    return _runs(account).order_by("-created_at")[:count]


def spent_this_month_nanos(account: Account) -> int:
    """What auto top-up has charged, or may be charging, since the month began (UTC)."""
    runs = _runs(account).filter(created_at__gte=_month_began(now()))
    counted = runs.filter(Q(status=TopUp.Status.CREDITED) | Q(status__in=TopUp.PENDING))
    return int(counted.aggregate(total=Sum("credit_nanos"))["total"] or 0)


def _runs(account: Account) -> QuerySet[TopUp]:
    return TopUp.objects.filter(account=account, origin=TopUp.Origin.AUTO)


def _month_began(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


# ---------------------------------------------------------------- a run


def run_due() -> int:
    """Charges whoever is low and has agreed to it. How many charges were tried."""
    return sum(_run(rule) for rule in _due())


def _due() -> QuerySet[AutoTopUp]:
    rested = Q(last_run_at=None) | Q(last_run_at__lt=Now() - COOL_DOWN)
    return AutoTopUp.objects.filter(rested, _IS_LOW, is_on=True).select_related("account", "user")


def _run(rule: AutoTopUp) -> bool:
    if spent_this_month_nanos(rule.account) + rule.amount_nanos > rule.monthly_cap_nanos:
        return False
    if _runs(rule.account).filter(status__in=TopUp.PENDING).exists():
        return False  # the last one is not over
    claimed = AutoTopUp.objects.filter(pk=rule.pk, is_on=True, last_run_at=rule.last_run_at).update(last_run_at=Now())
    if not claimed:
        return False
    order = topups.order_of(
        account=rule.account,
        user=rule.user,
        credit_nanos=rule.amount_nanos,
        request_key=uuid.uuid4(),
        origin=TopUp.Origin.AUTO,
    )
    charge(order)
    return True


def charge(order: TopUp) -> None:
    """Charges the saved card for an order. Repeatable: the order's id is the idempotency key."""
    profile = cards.profile_of(order.account)
    if not profile.has_card or not profile.stripe_customer_id:
        _stop(order, _("There is no saved card any more."))
        return
    try:
        payment = stripe_api.charge_card(
            order=str(order.id),
            customer_id=profile.stripe_customer_id,
            payment_method_id=profile.payment_method_id,
            amount_cents=cents(order.price_nanos),
        )
    except PaymentsUnavailable as e:
        log.warning("auto top-up %s: %s", order.slug, e.message)  # the sweep asks again, with the same key
    except CardDeclined as e:  # the bank may just want its customer to confirm; either way nobody is there
        _give_up(e.payment_intent_id)
        _stop(order, e.message)
    except PaymentRefused as e:
        _stop(order, e.message)
    else:
        topups.settle_payment(order, payment)
        if order.status == TopUp.Status.FAILED:
            _stop(order, order.reason)


def _give_up(payment_intent_id: str) -> None:
    """So that a payment that we call failed cannot be paid later."""
    try:
        stripe_api.cancel_payment(payment_intent_id)
    except (PaymentRefused, PaymentsUnavailable) as e:
        log.warning("payment %s stays open: %s", payment_intent_id, e.message)  # were it paid, it would be credited


def _stop(order: TopUp, reason: str) -> None:
    """A failed charge: no more of them until somebody has looked."""
    topups.fail(order, reason)
    stopped = AutoTopUp.objects.filter(account_id=order.account_id, is_on=True).update(
        is_on=False, stopped_at=Now(), stop_reason=reason
    )
    if stopped:
        notices.tell_auto_top_up_stopped(order, reason)


def resume(order: TopUp) -> None:
    """An order whose charge was never answered. After a day the same key could charge twice: then it is given up."""
    if now() - order.created_at < topups.REPEATABLE:
        charge(order)
    else:
        _stop(order, _("The payment service did not answer for a day."))
