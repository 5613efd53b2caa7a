"""The job queue: tasks are hints that call one function each; rows carry the facts, so losing the queue loses nothing."""

import logging.config
import os
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenhub.settings")

SWEEP_SECONDS = 5
LOW_BALANCE_SECONDS = 60
PAYMENTS_SECONDS = 60

# containers and `make run` may well be root; messages are JSON, so nothing in the queue can become code
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("tokenhub")


@app.add_defaults  # called at first use: importing this package does not load the settings
def configuration() -> dict[str, Any]:
    from django.conf import settings

    return settings.CELERY | {"beat_schedule": BEAT_SCHEDULE}


#: each entry expires before its successor comes, so that a worker that was away does not find a pile
BEAT_SCHEDULE = {
    "sweep-holds": {
        "task": "gateway.tasks.sweep_holds",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "tell-low-balances": {
        "task": "billing.tasks.tell_low_balances",
        "schedule": LOW_BALANCE_SECONDS,
        "options": {"expires": LOW_BALANCE_SECONDS},
    },
    "sweep-payments": {
        "task": "billing.tasks.sweep_payments",
        "schedule": PAYMENTS_SECONDS,
        "options": {"expires": PAYMENTS_SECONDS},
    },
    "run-auto-top-ups": {
        "task": "billing.tasks.run_auto_top_ups",
        "schedule": PAYMENTS_SECONDS,
        "options": {"expires": PAYMENTS_SECONDS},
    },
    "compare-with-stripe": {
        "task": "billing.tasks.compare_with_stripe",
        "schedule": crontab(hour="3", minute="17"),  # by the clock: an interval would begin anew with each restart
        "options": {"expires": 3600},
    },
}

app.autodiscover_tasks()


@signals.setup_logging.connect
def log_like_everything_else(**kwargs: Any) -> None:
    """A receiver here keeps Celery from setting up a format of its own."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
