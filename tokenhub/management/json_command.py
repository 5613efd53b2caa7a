"""The operator's commands: a few lines for people, or one JSON object with ``--json``; exit 0, or 1 with the reason."""

import argparse
import json
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import DatabaseError, OperationalError, connections

from tokenhub.money import usd_to_nanos

UNREACHABLE = "the database cannot be reached; start `make run` and try again"


class JsonCommand(BaseCommand):
    """A command is ``arguments`` and ``answer``; everything about output and failure is here."""

    def arguments(self, parser: CommandParser) -> None:
        raise NotImplementedError

    def answer(self, **options: Any) -> dict[str, Any]:
        """What the command did, as JSON values. Raises ``CommandError`` with a sentence for the operator."""
        raise NotImplementedError

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
        self.arguments(parser)

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django's, but every failure has one shape: argparse's too, and always exit status 1."""
        try:
            options = vars(self.create_parser(argv[0], argv[1]).parse_args(argv[2:]))
            options.pop("args", None)
            self.execute(**options)
        except CommandError as e:
            if "--json" in argv:
                self.stdout.write(json.dumps({"error": str(e)}))
            else:
                self.stderr.write(f"{argv[1]}: {e}")
            sys.exit(1)
        finally:
            connections.close_all()

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        try:
            answer = self.answer(**options)
        except OperationalError as e:
            raise CommandError(UNREACHABLE) from e
        except DatabaseError as e:
            raise CommandError(f"the database refused this: {str(e).splitlines()[0]}") from e
        if as_json:
            self.stdout.write(json.dumps(answer))
        else:
            width = max(map(len, answer))
            for name, value in answer.items():
                self.stdout.write(f"{name.replace('_', ' '):{width}}  {value}")


def usd_amount(text: str) -> int:
    """An argparse type: dollars, not negative, to nanos."""
    try:
        nanos = usd_to_nanos(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e
    if nanos < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return nanos


def positive_usd_amount(text: str) -> int:
    if (nanos := usd_amount(text)) == 0:
        raise argparse.ArgumentTypeError("the amount must be more than 0")
    return nanos


def email_address(text: str) -> str:
    """An argparse type: an address as we store it, in lower case."""
    address = text.strip().lower()
    try:
        validate_email(address)
    except ValidationError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not an e-mail address") from e
    if len(address) > 254:
        raise argparse.ArgumentTypeError("the e-mail address is longer than 254 characters")
    return address
