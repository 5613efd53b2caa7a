"""Brings a database to what this version serves, before anything is served. The supervisor's one step between the two."""

from typing import Any

from django.core.management import BaseCommand, CommandParser, call_command

from gateway import sweeper


class Command(BaseCommand):
    help = "Migrate and load the catalogue; with --alone also declare every earlier process dead."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--alone", action="store_true", help="nobody else uses this database: what was open is lost"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("sync_catalogue", stdout=self.stdout)
        if options["alone"]:
            sweeper.end_every_boot()
