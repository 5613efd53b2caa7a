"""Sample calls for an account, to look at full pages and to measure them. For development alone."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.models import User
from gateway import sample_calls
from tokenhub.management.json_command import JsonCommand, email_address
from tokenhub.money import usd_string


class Command(JsonCommand):
    help = "Give an account calls that were never made, of the last 60 days, and the credit that pays for them."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, type=email_address)
        parser.add_argument("--calls", type=int, default=100_000)

    def answer(self, **options: Any) -> dict[str, Any]:
        if not settings.DEV:
            raise CommandError("sample calls are for development: set TOKENHUB_DEV=1 on a machine without customers")
        if options["calls"] < 1:
            raise CommandError("--calls must be at least 1")
        user = User.objects.filter(email=options["email"]).first()
        account = user.accounts.order_by("memberships__id").first() if user else None
        if user is None or account is None:
            raise CommandError(f"no account for {options['email']}")
        began = time.monotonic()
        made = sample_calls.make(account=account, user=user, calls=options["calls"])
        return {
            "account_id": account.pk,
            "email": user.email,
            "calls": made.calls,
            "cost_usd": usd_string(made.cost_nanos),
            "seconds": round(time.monotonic() - began, 1),
        }
