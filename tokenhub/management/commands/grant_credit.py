"""Promotional credit by hand: one posting, with its reason."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.models import Account, AuditEvent
from billing import ledger
from tokenhub.management.json_command import JsonCommand, email_address, positive_usd_amount
from tokenhub.money import usd_string


class Command(JsonCommand):
    help = "Give credit to the account of an e-mail address."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, type=email_address)
        parser.add_argument("--usd", required=True, type=positive_usd_amount)
        parser.add_argument("--reason", required=True, help="shown to the customer beside the amount")

    @transaction.atomic
    def answer(self, **options: Any) -> dict[str, Any]:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("the reason is empty: say why, the customer reads it")
        account = Account.objects.filter(memberships__user__email=options["email"]).order_by("memberships__id").first()
        if account is None:
            raise CommandError(f"no account for {options['email']}")
        ledger.grant_credit(
            customer_id=account.pk, amount_nanos=options["usd"], reason=reason, granted_by="manage.py grant_credit"
        )
        granted_usd = usd_string(options["usd"])
        AuditEvent.objects.create(
            account=account, action="credit.granted", detail={"usd": granted_usd, "reason": reason}
        )
        return {
            "account_id": account.pk,
            "email": options["email"],
            "granted_usd": granted_usd,
            "balance_usd": usd_string(ledger.wallet(account.pk).posted_nanos),
        }
