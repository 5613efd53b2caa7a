"""How a customer begins: user, account, membership, wallet and starter credit in one transaction."""

from django.db import transaction

from accounts.models import Account, Membership, User
from accounts.signals import account_opened


@transaction.atomic
def open_account(*, user: User, name: str = "", starter_credit_nanos: int | None = None) -> Account:
    """``starter_credit_nanos`` replaces the configured starter credit (0: an empty wallet)."""
    account = Account.objects.create(name=name or user.email.partition("@")[0])
    Membership.objects.create(account=account, user=user, role=Membership.Role.OWNER)
    account_opened.send(sender=Account, account=account, amount_nanos=starter_credit_nanos)
    return account
