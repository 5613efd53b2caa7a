"""Celery's hints: each calls one function. Rows carry the facts."""

from celery import shared_task

from gateway import sweeper


@shared_task(name="gateway.tasks.sweep_holds")
def sweep_holds() -> None:
    sweeper.sweep()
