"""Celery's hints: each calls one function. Rows carry the facts."""

from celery import shared_task

from billing import notices


@shared_task(name="billing.tasks.tell_low_balances")
def tell_low_balances() -> None:
    notices.tell_low_balances()
