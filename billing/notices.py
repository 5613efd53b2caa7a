"""Low-balance mails: one when a team's available balance falls below its threshold, the next only after it was above."""

from django.conf import settings
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts import letters
from accounts.models import Account, Membership
from billing.ledger import wallet
from billing.models import LedgerAccount, TopUp
from tokenhub.money import usd_string

#: the wallet has less that nothing holds than the team's threshold; false where there is none
_IS_LOW = Exists(
    LedgerAccount.objects.filter(
        customer_id=OuterRef("pk"),
        kind=LedgerAccount.Kind.WALLET,
        posted_nanos__lt=F("held_nanos") + OuterRef("low_balance_nanos"),
    )
)


def tell_low_balances() -> int:
    """How many teams were told. The row count of the claim decides between two workers who do this at once."""
    Account.objects.filter(~_IS_LOW, low_balance_told_at__isnull=False).update(low_balance_told_at=None)
    fallen = Account.objects.filter(_IS_LOW, low_balance_told_at=None)
    return sum(_tell(account) for account in fallen)


def _tell(account: Account) -> bool:
    claimed = Account.objects.filter(pk=account.pk, low_balance_told_at=None).update(low_balance_told_at=Now())
    if not claimed:
        return False
    sent = [_sent(member, account) for member in _listeners(account)]
    if sent and not any(sent):  # the mail server is away: the next round tries again
        Account.objects.filter(pk=account.pk).update(low_balance_told_at=None)
        return False
    return True


def _listeners(account: Account) -> QuerySet[Membership]:
    members = account.memberships.select_related("user")
    return members.filter(notifies_balance=True, user__is_active=True).order_by("id")


def _sent(member: Membership, account: Account) -> bool:
    context = {
        "team": account.name,
        "available": f"${usd_string(wallet(account.pk).available_nanos)}",
        "threshold": f"${usd_string(account.low_balance_nanos or 0)}",
        "billing_url": f"{settings.PUBLIC_URL}{reverse('billing')}?team={account.slug}",
        "notifications_url": f"{settings.PUBLIC_URL}{reverse('settings_notifications')}?team={account.slug}",
    }
    return letters.send("emails/low_balance", member.user.email, context)


def tell_auto_top_up_stopped(order: TopUp, reason: str) -> int:
    """How many people were told that a charge failed, and that there will be no other until they look."""
    account = order.account
    context = {
        "team": account.name,
        "amount": f"${usd_string(order.price_nanos)}",
        "reason": reason,
        "available": f"${usd_string(wallet(account.pk).available_nanos)}",
        "pay_url": f"{settings.PUBLIC_URL}{reverse('top_up')}?team={account.slug}&amount={usd_string(order.credit_nanos)}",
    }
    return sum(letters.send("emails/auto_top_up_stopped", member.user.email, context) for member in _listeners(account))
