"""Celery's hints: each calls one function. Rows carry the facts."""

import logging
from typing import Any

from celery import Task, shared_task
from kombu.exceptions import OperationalError

from billing import auto_top_up, notices

log = logging.getLogger(__name__)


def hint(task: Task, *arguments: Any) -> None:
    """Sends a task now; where the queue is away, the sweep finds the row that it is about."""
    try:
        task.apply_async(arguments, retry=False)
    except (OperationalError, OSError) as e:
        log.warning("%s not queued: %s", task.name, e)


@shared_task(name="billing.tasks.tell_low_balances")
def tell_low_balances() -> None:
    notices.tell_low_balances()


@shared_task(name="billing.tasks.work_event")
def work_event(event_id: str) -> None:
    from billing import webhooks  # which sends this task

    webhooks.work(event_id)


@shared_task(name="billing.tasks.run_auto_top_ups")
def run_auto_top_ups() -> None:
    auto_top_up.run_due()


@shared_task(name="billing.tasks.sweep_payments")
def sweep_payments() -> None:
    from billing import reconcile

    reconcile.sweep()


@shared_task(name="billing.tasks.compare_with_stripe", time_limit=3600)
def compare_with_stripe() -> None:
    from billing import reconcile

    reconcile.compare_lately()
