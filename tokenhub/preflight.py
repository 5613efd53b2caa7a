"""Whether these settings may serve anybody: ``python -m tokenhub.preflight`` prints one line and exits 1 if not.

A process of its own, since the supervisor itself stays without Django.
"""

import os
import sys

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def refusal() -> str:
    """The reasons, on one line; empty if there is none."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenhub.settings")
    try:
        django.setup()
    except ImproperlyConfigured as e:
        return str(e)
    found = run_checks(tags=["security"])
    return "; ".join(str(it.msg) for it in found if (it.id or "").startswith("tokenhub.E"))


if __name__ == "__main__":
    sys.exit(refusal() or 0)
