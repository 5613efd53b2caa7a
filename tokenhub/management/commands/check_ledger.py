"""The auditor at a prompt: exit 0 if the ledger agrees with itself, 1 with every difference if not."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from gateway.auditor import audit
from tokenhub.management.json_command import JsonCommand


class Command(JsonCommand):
    help = "Check that every balance, hold, capture and call agree."

    def arguments(self, parser: CommandParser) -> None:
        """None of its own."""

    def answer(self, **options: Any) -> dict[str, Any]:
        found = audit()
        self.violated = bool(found.violations)
        return {
            "ok": not found.violations,
            "accounts": found.accounts,
            "transfers": found.transfers,
            "open_holds": found.open_holds,
            "violations": [violation._asdict() for violation in found.violations],
        }

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self.violated:
            sys.exit(1)
