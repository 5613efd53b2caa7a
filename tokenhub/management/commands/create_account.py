"""An account with a verified owner and one key; for an e-mail address that has one already, only another key."""

from typing import Any

from allauth.account.models import EmailAddress
from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError, transaction

from accounts import keys
from accounts.models import Account, User
from accounts.onboarding import open_account
from billing import ledger
from tokenhub.management.json_command import JsonCommand, email_address, usd_amount
from tokenhub.money import usd_string

KEY_NAME = "Command line"


class Command(JsonCommand):
    help = "Make a verified user with an account and a key. Again for the same e-mail: only a new key."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, type=email_address)
        parser.add_argument("--password", help="without one, the person resets it to log in")
        parser.add_argument(
            "--credit-usd", type=usd_amount, help="in place of the starter credit; 0 for an empty wallet"
        )
        parser.add_argument("--staff", action="store_true", help="an operator")
        parser.add_argument("--limit-usd", type=usd_amount, help="the key's limit in total")

    def answer(self, **options: Any) -> dict[str, Any]:
        account, user = account_for(options)
        issued = keys.issue(account=account, name=KEY_NAME, created_by=user, limit_nanos=options["limit_usd"])
        return {
            "user_id": user.pk,
            "account_id": account.pk,
            "email": user.email,
            "api_key": issued.secret,
            "key_id": issued.row.key_id,
            "balance_usd": usd_string(ledger.wallet(account.pk).posted_nanos),
        }


def account_for(options: dict[str, Any]) -> tuple[Account, User]:
    """The account of ``email``, opened if need be. Password, credit and role matter only when the user is new."""
    try:
        with transaction.atomic():
            # the unique address decides a race: the loser waits here for the winner's commit, then finds a whole account
            user = User.objects.create_user(options["email"], options["password"], is_staff=options["staff"])
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
            return open_account(user=user, starter_credit_nanos=options["credit_usd"]), user
    except IntegrityError:
        known = User.objects.filter(email=options["email"]).first()
        if known is None:
            raise
    account = known.accounts.order_by("memberships__id").first()
    if account is None:
        raise CommandError(f"{known.email} belongs to no account")
    return account, known
