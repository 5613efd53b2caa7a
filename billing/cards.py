"""The Stripe customer and the saved card of an account."""

from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, AuditEvent, User
from billing import stripe_api
from billing.models import AutoTopUp, BillingProfile
from billing.stripe_api import Card, Session


def profile_of(account: Account) -> BillingProfile:
    return BillingProfile.objects.get_or_create(account=account)[0]


def customer_of(account: Account, user: User) -> str:
    """The account's Stripe customer, made when it is first needed; its idempotency key keeps two tabs to one customer."""
    profile = profile_of(account)
    if profile.stripe_customer_id:
        return profile.stripe_customer_id
    customer_id = stripe_api.create_customer(email=user.email, name=account.name, account=account.slug)
    BillingProfile.objects.filter(pk=profile.pk, stripe_customer_id=None).update(stripe_customer_id=customer_id)
    profile.refresh_from_db()
    return profile.stripe_customer_id or customer_id


def start_saving(*, account: Account, user: User) -> str:
    """The address of a page of Stripe's where a card is saved without paying anything."""
    back = f"{settings.PUBLIC_URL}{reverse('card_saved')}?session_id={{CHECKOUT_SESSION_ID}}"
    session = stripe_api.create_setup_session(
        customer_id=customer_of(account, user),
        success_url=back,
        cancel_url=f"{settings.PUBLIC_URL}{reverse('billing')}",
    )
    return session.url


def finish_saving(account: Account, session_id: str) -> bool:
    """Keeps the card that a setup session saved. False, and nothing is kept, for any session that is not this account's."""
    try:
        session = stripe_api.session(session_id)
    except stripe_api.PaymentRefused:
        return False
    return session.customer_id == profile_of(account).stripe_customer_id and _keep_from(session)


def saved_in(session_id: str) -> bool:
    """The same, heard from Stripe: the session's customer says whose card it is."""
    return _keep_from(stripe_api.session(session_id))


def _keep_from(session: Session) -> bool:
    profile = BillingProfile.objects.filter(stripe_customer_id=session.customer_id or None).first()
    if profile is None or session.mode != "setup" or session.status != "complete" or session.card is None:
        return False
    keep(profile.account, session.card)
    return True


def keep(account: Account, card: Card) -> None:
    BillingProfile.objects.filter(account=account).update(
        payment_method_id=card.payment_method_id, card_brand=card.brand, card_last4=card.last4
    )


def portal_url(account: Account, return_url: str) -> str:
    """Stripe's own pages about the customer's cards. Raises ``PaymentRefused`` for an account that never paid."""
    customer_id = profile_of(account).stripe_customer_id
    if not customer_id:
        raise stripe_api.PaymentRefused(_("There is no card to manage yet: it appears with the first payment."))
    return stripe_api.portal_url(customer_id=customer_id, return_url=return_url)


def forget(account: Account, user: User) -> None:
    """Removes the saved card, here and at Stripe; auto top-up cannot go on without one."""
    method = profile_of(account).payment_method_id
    if not method:
        return
    forget_method(method)
    AuditEvent.objects.create(account=account, actor=user, action="card.removed")
    stripe_api.detach(method)


def forget_method(payment_method_id: str) -> bool:
    """Stripe says that this card is gone. Whether somebody had it."""
    owners = BillingProfile.objects.filter(payment_method_id=payment_method_id)
    accounts = list(owners.values_list("account_id", flat=True))
    owners.update(payment_method_id="", card_brand="", card_last4="")
    AutoTopUp.objects.filter(account_id__in=accounts, is_on=True).update(
        is_on=False, stopped_at=Now(), stop_reason=_("The saved card was removed.")
    )
    return bool(accounts)


# ---------------------------------------------------------------- what stands on receipts


def billed_to(account: Account, told: dict[str, Any]) -> dict[str, list[str]]:
    """Names, address lines and tax ids: the team's own billing details, and what they leave open as the payer told Stripe.

    Kept with the payment, so that a receipt stays what it was.
    """
    profile = BillingProfile.objects.filter(account=account).first() or BillingProfile()
    names = [profile.company_name, told.get("name", "")]
    return {
        "names": list(dict.fromkeys(filter(None, names))) or [account.name],
        "address": lines_of(profile.address) or told.get("address", []),
        "tax_ids": list(dict.fromkeys(filter(None, [profile.tax_id, *told.get("tax_ids", [])]))),
    }


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
