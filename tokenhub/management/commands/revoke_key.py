"""A key that is dead at once: the admitting statement reads its row."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import keys
from tokenhub.management.json_command import JsonCommand


class Command(JsonCommand):
    help = "Revoke a key for every process at once."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--key-id", required=True, help="key-…, as the keys page shows it")

    def answer(self, **options: Any) -> dict[str, Any]:
        key = keys.revoke(key_id=options["key_id"])
        if key is None or key.revoked_at is None:
            raise CommandError(f"there is no key {options['key_id']}")
        return {"key_id": key.key_id, "account_id": key.account_id, "revoked_at": key.revoked_at.isoformat()}
