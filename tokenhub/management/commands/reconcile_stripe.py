"""Compares Stripe's own lists with our rows, mends what can be mended, and prints the differences."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import reconcile, stripe_api
from tokenhub.clock import now
from tokenhub.management.json_command import JsonCommand


def day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(f"{text!r} is not a day: write it like 2026-11-30") from None


class Command(JsonCommand):
    help = "Compare Stripe's sessions, payments, refunds and disputes with the ledger, and print the differences."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=day, help="the first day to look at (UTC); without it, the last four days")

    def answer(self, **options: Any) -> dict[str, Any]:
        if not stripe_api.is_configured():
            raise CommandError(
                "no payments to compare: STRIPE_SECRET_KEY is not set, and the test checkout does not run"
            )
        since = options["since"] or now() - reconcile.LOOK_BACK
        try:
            differences = reconcile.compare(since)
        except stripe_api.PaymentsUnavailable as e:
            raise CommandError(f"Stripe does not answer: {e.message}") from e
        return {"since": since.isoformat(), "differences": [asdict(one) for one in differences]}
