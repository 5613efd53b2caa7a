"""``manage.py first_run``: what `make run` prints; for the supervisor."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tokenhub import first_run


class Command(BaseCommand):
    help = "Makes sure that the first sign-in and its key work (development), and prints them as one JSON object."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEV:
            raise CommandError("only in development: use create_account")
        self.stdout.write(json.dumps(first_run.ensure(settings.DATA_DIR)._asdict()))
