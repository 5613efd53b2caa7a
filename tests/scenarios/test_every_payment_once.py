"""Events doubled, shuffled, late and lost, the web process killed among them: every payment is credited once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from billing import ledger, reconcile, topups
from billing.models import StripeEvent, TopUp
from tests import servers
from tests.accounts.people import person
from tests.billing.till import SECRET, Till, forget_client
from tests.scenarios import assert_books_are_clean
from tests.servers import Server

PATIENCE_SECONDS = 90
WEBHOOK = "/billing/stripe/webhook"


@pytest.fixture
def double() -> Iterator[Server]:
    double = servers.start_stripe(TOKENHUB_STRIPE_SANDBOX_SECRET=SECRET)
    yield double
    double.stop()


@pytest.fixture
def payments_env(double: Server) -> dict[str, str]:
    return {
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": double.url,
    }


@pytest.fixture
def till(double: Server, settings: object) -> Iterator[Till]:
    settings.STRIPE = {"api_key": "sk_test_x", "api_base": double.url, "webhook_secrets": [SECRET]}  # type: ignore[attr-defined]
    forget_client()
    yield Till(double.url)
    forget_client()


@pytest.fixture
def worker(payments_env: dict[str, str]) -> Iterator[None]:
    """Celery, as `make run` starts it."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "tokenhub",
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        "4",
    ]
    process = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle"], cwd=servers.ROOT, env=os.environ | payments_env
    )
    yield
    process.terminate()
    process.wait(30)


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Other processes bring it about: there is no event to await."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.1)


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.long)])
def test_every_payment_is_credited_once(
    sandbox: Server, till: Till, worker: None, payments_env: dict[str, str], owner_db: psycopg.Connection, count: int
) -> None:
    buyers = [person() for _ in range(4)]
    web = servers.start_web(sandbox, **payments_env)
    till.ask("delivery", url=web.url + WEBHOOK, mode="now", duplicates=2, shuffle=1)
    orders = [till.order(buyers[at % 4].account, buyers[at % 4].user) for at in range(count)]
    for at, order in enumerate(orders):
        till.ask("delivery", mode="drop" if at % 5 == 0 else "now")  # one in five is never told
        till.pay(order)
        if at == count // 2:
            web.kill()
    web = servers.start_web(sandbox, **payments_env)
    till.ask("delivery", url=web.url + WEBHOOK, mode="now")
    come_back_to_the_page_at_once(orders[:6])
    told = [order.pk for at, order in enumerate(orders) if at % 5]
    eventually(lambda: TopUp.objects.filter(pk__in=told, credited_at=None).count() == 0, "events are worked on")

    owner_db.execute(
        "UPDATE top_up SET created_at = now() - interval '11 minutes' WHERE id = ANY (%s)", [[o.pk for o in orders]]
    )
    reconcile.sweep()
    eventually(
        lambda: not StripeEvent.objects.filter(outcome="", object_id__in=[o.session_id for o in orders]).exists(),
        "no event waits",
    )
    web.stop()
    for buyer in buyers:
        assert ledger.wallet(buyer.account.pk).posted_nanos == count // 4 * 10 * 10**9
    assert sum(till.truth_cents(order) for order in TopUp.objects.filter(pk__in=[o.pk for o in orders])) == count * 1000
    assert_books_are_clean(owner_db)


def come_back_to_the_page_at_once(orders: list[TopUp]) -> None:
    def look(order: TopUp) -> None:
        try:
            topups.refresh(order)
        finally:
            connection.close()  # of this thread

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(look, orders * 3))
