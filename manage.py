#!/usr/bin/env python
"""Django's command line. Beside a running `make run` it finds the embedded database by itself."""

import json
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenhub.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as e:
        reason = f"{e} (beside a running `make run` this is found by itself)"
        if "--json" in sys.argv:
            print(json.dumps({"error": reason}))  # noqa: T201 - the one place before any command can speak
            raise SystemExit(1) from None
        raise SystemExit(f"tokenhub: {reason}") from None


if __name__ == "__main__":
    main()
