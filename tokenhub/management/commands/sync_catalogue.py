"""``manage.py sync_catalogue [FILE]``: the reviewed price files into the database, and what that changed."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _

from gateway.catalogue import Catalogue, CatalogueError, load_file, load_files, sync


class Command(BaseCommand):
    help = "Loads the reviewed price files (all of gateway/catalogue, or one) and prints what changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="one file; other provider groups stay as they are")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            catalogue = load_file(options["file"]) if options["file"] else load_files()
            changed = sync(catalogue)
        except (CatalogueError, DatabaseError) as e:
            if options["json"]:
                self.stdout.write(json.dumps({"error": str(e)}, ensure_ascii=False))
                sys.exit(1)
            raise CommandError(str(e)) from e
        if options["json"] or options["verbosity"]:
            self._report(catalogue, changed, as_json=options["json"])

    def _report(self, catalogue: Catalogue, changed: list[str], *, as_json: bool) -> None:
        models = catalogue.models
        counts = {"models": len(models), "prices": sum(len(model.prices) for model in models)}
        if as_json:
            self.stdout.write(json.dumps({"changed": changed, **counts}, ensure_ascii=False))
            return
        for line in changed or [_("nothing changed")]:
            self.stdout.write(line)
        self.stdout.write(_("%(models)d models, %(prices)d prices") % counts)
