"""What operators do about money: each with a reason, each written to the audit in the same transaction."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.models import Account, AuditEvent, Membership, User
from billing import ledger, refunds, topups
from billing.admin.rows import Refused
from billing.models import BillingProfile, CreditGrant, Discrepancy, PromoCode, Refund, StripeEvent, TopUp
from tokenhub.clock import now
from tokenhub.money import NANOS_PER_USD, usd_string

#: what operators may give one account within a day; more would need a second operator's consent, which is not built
MOST_GRANTED_A_DAY_NANOS = 100 * NANOS_PER_USD


def give_credit(account: Account, operator: User, form: dict[str, Any]) -> str:
    """``form``: ``amount_nanos``, ``reason`` and ``grant_id``, the form's own: sent twice, it is one grant."""
    refuse_own(account, operator)
    amount_nanos, reason, grant_id = form["amount_nanos"], form["reason"], form["grant_id"]
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)  # two forms at once keep within the limit together
        if CreditGrant.objects.filter(pk=grant_id).exists():
            return _("This credit was given before; nothing was added.")
        _keep_within_a_day(account, amount_nanos)
        ledger.grant_credit(
            customer_id=account.pk,
            amount_nanos=amount_nanos,
            reason=reason,
            granted_by=f"operator:{operator.pk}",
            grant_id=grant_id,
        )
        _note("credit.granted", operator, str(grant_id), account, reason=reason, amount_nanos=amount_nanos)
    return _("$%(amount)s given.") % {"amount": usd_string(amount_nanos)}


def _keep_within_a_day(account: Account, amount_nanos: int) -> None:
    lately = CreditGrant.objects.filter(
        customer_id=account.pk, granted_by__startswith="operator:", created_at__gt=now() - timedelta(days=1)
    )
    given = lately.aggregate(total=Sum("amount_nanos"))["total"] or 0
    if given + amount_nanos > MOST_GRANTED_A_DAY_NANOS:
        raise Refused(
            _("An account can be given $%(most)s within 24 hours; $%(given)s was given already.")
            % {"most": usd_string(MOST_GRANTED_A_DAY_NANOS), "given": usd_string(given)}
        )


def refund(top_up: TopUp, operator: User, form: dict[str, Any]) -> str:
    refuse_own(top_up.account, operator)
    done = refunds.request(
        top_up=top_up,
        user=operator,
        credit_nanos=form["amount_nanos"],
        origin=Refund.Origin.OPERATOR,
        reason=form["reason"],
        request_key=form["request_key"],
    )
    return _("Refund: %(status)s.") % {"status": done.get_status_display()}


def look_again(top_up: TopUp, operator: User, form: dict[str, Any]) -> str:
    order = topups.refresh(top_up)
    _note("top_up.looked_again", operator, top_up.slug, top_up.account, reason=form["reason"])
    return _("Stripe was asked again: %(status)s.") % {"status": order.get_status_display()}


@transaction.atomic
def freeze(account: Account, operator: User, form: dict[str, Any]) -> str:
    _set_freeze_reason(account, form["reason"])
    _note("account.frozen", operator, account.slug, account, reason=form["reason"])
    return _("Frozen: no call is admitted, no payment is taken.")


@transaction.atomic
def thaw(account: Account, operator: User, form: dict[str, Any]) -> str:
    refuse_own(account, operator)
    is_frozen = _set_freeze_reason(account, "")
    _note("account.thawed", operator, account.slug, account, reason=form["reason"])
    return _("Still frozen, by a debt or a dispute.") if is_frozen else _("No longer frozen.")


def _set_freeze_reason(account: Account, reason: str) -> bool:
    """Whether the account is frozen now."""
    BillingProfile.objects.update_or_create(account=account, defaults={"freeze_reason": reason})
    return ledger.refresh_freeze(account.pk)


def work_again(event: StripeEvent, operator: User, form: dict[str, Any]) -> str:
    with transaction.atomic():
        StripeEvent.objects.filter(pk=event.pk).update(
            outcome=StripeEvent.Outcome.PENDING, attempts=0, error="", handled_at=None
        )
        _note("stripe_event.worked_again", operator, event.pk, None, reason=form["reason"])
    return _("The event waits to be worked again.")


def resolve(discrepancy: Discrepancy, operator: User, form: dict[str, Any]) -> str:
    with transaction.atomic():
        Discrepancy.objects.filter(pk=discrepancy.pk, resolved_at=None).update(resolved_at=Now())
        _note("discrepancy.resolved", operator, discrepancy.reference, None, reason=form["reason"])
    return _("Marked as resolved. The reconciler opens it again if it still finds it.")


def disable_code(code: PromoCode, operator: User, form: dict[str, Any]) -> str:
    with transaction.atomic():
        PromoCode.objects.filter(pk=code.pk, disabled_at=None).update(disabled_at=Now())
        _note("promo_code.disabled", operator, code.code, None, reason=form["reason"])
    return _("The code can no longer be redeemed.")


def note_code(action: str, code: PromoCode, operator: User) -> None:
    detail = {
        "max_redemptions": code.max_redemptions,
        "expires_at": code.expires_at.isoformat() if code.expires_at else None,
        "credit_days": code.credit_days,
    }
    _note(action, operator, code.code, None, reason=code.note, amount_nanos=code.amount_nanos, **detail)


def refuse_own(account: Account, operator: User) -> None:
    if Membership.objects.filter(account=account, user=operator).exists():
        raise PermissionDenied(_("This is an account of your own: another operator has to do it."))


def _note(action: str, operator: User, subject: str, account: Account | None, **detail: Any) -> None:
    AuditEvent.objects.create(account=account, actor=operator, action=action, subject=subject[:64], detail=detail)
