"""How long the usage pages take with a million calls of one account, in a database of its own.

    .venv/bin/python -m benchmarks.usage_pages [--calls 1000000] [--rounds 20]

Prints, for each page, the median of the milliseconds in which Django answers (middleware, queries and templates; no
socket), the CPU milliseconds of it that are Python's, the number of queries, and the slowest of them in the last round.
On a machine that is busy with other work the second figure is the one to keep.
"""

import argparse
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from tokenhub.embedded import Postgres, Valkey


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenhub-usage-") as name:
        folder = Path(name)
        postgres, valkey = Postgres(folder / "postgres", durable=False), Valkey(folder / "valkey", durable=False)
        try:
            postgres.start()
            valkey.start()
            os.environ |= {
                "TOKENHUB_DEV": "1",
                "TOKENHUB_DATA_DIR": name,
                "DATABASE_URL": postgres.database_url,
                "DATABASE_OWNER_URL": postgres.owner_url,
                "REDIS_URL": valkey.url,
                "DJANGO_SETTINGS_MODULE": "tokenhub.settings",
            }
            measure(arguments.calls, arguments.rounds)
        finally:
            valkey.stop()
            postgres.stop()


def measure(calls: int, rounds: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from accounts.models import User
    from accounts.onboarding import open_account
    from gateway import sample_calls

    call_command("migrate", verbosity=0)
    call_command("sync_catalogue", verbosity=0)
    user = User.objects.create_user(f"{uuid.uuid4().hex}@example.test")
    account = open_account(user=user)
    began = time.perf_counter()
    made = sample_calls.make(account=account, user=user, calls=calls)
    print(f"{made.calls:,} calls made in {time.perf_counter() - began:.0f} s")
    spread_movements(account.pk)
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    print(f"{'page':100} {'ms':>5} {'CPU':>5} {'queries':>7} {'slowest':>9}")
    for path in pages(account.pk):
        took, cpu = [], []
        for _ in range(rounds):
            with CaptureQueriesContext(connection) as captured:
                start, cpu_start = time.perf_counter(), time.process_time()
                response = browser.get(path)
                took.append((time.perf_counter() - start) * 1_000)
                cpu.append((time.process_time() - cpu_start) * 1_000)
            if response.status_code != 200:
                raise SystemExit(f"{path} answered {response.status_code}")
        slowest = max(float(query["time"]) for query in captured) * 1_000
        medians = f"{statistics.median(took):5.0f} {statistics.median(cpu):5.0f}"
        print(f"{path:100} {medians} {len(captured):7} {slowest:6.0f} ms", flush=True)


def spread_movements(account_id: int) -> None:
    """A movement that is no call every seven hours of the sample's days, so that the ledger's filters have wide gaps."""
    from django.db import connections

    from billing import ledger
    from gateway.sample_calls import DAYS, OWNER

    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "INSERT INTO transfer (idempotency_key, kind, debit_id, credit_id, amount_nanos, created_at)"
            " SELECT 'adjustment:' || gen_random_uuid(), 'adjustment', house_account('adjustment'), %s, 1000, at"
            " FROM generate_series(now() - make_interval(days => %s), now(), interval '7 hours') at",
            [ledger.wallet(account_id).pk, DAYS],
        )
        cursor.execute("ANALYZE transfer")


def pages(account_id: int) -> list[str]:
    """Wide ranges, and filters that match many, few and no calls."""
    from accounts.models import Account
    from gateway.models import CallRecord
    from gateway.usage_filters import Scope
    from tokenhub import clock

    key = next(key for key in Scope(Account.objects.get(pk=account_id)).keys.values() if key.name == "Laptop")
    calls = CallRecord.objects.filter(account_id=account_id).order_by("created_at")
    middle = calls[calls.count() // 2]
    call = f"gen-{middle.pk.hex}"
    cursor = f"{middle.created_at:%Y-%m-%dT%H:%M:%S.%fZ}~{call}"
    wide = "range=custom&from=2020-01-01&to=2099-12-31"
    return [
        "/dashboard",
        "/usage",
        "/usage?range=30d",
        "/usage?range=30d&by=member",
        "/usage?range=30d&by=app&metric=speed",
        "/usage?range=30d&metric=first_token_p95&by=key",
        "/usage?range=24h&by=status",
        "/usage?range=30d&status=error",
        f"/usage?range=30d&key={key.key_id}",
        f"/usage?{wide}",
        f"/usage?{wide}&key={key.key_id}&endpoint=responses&metric=first_token_p95",
        "/usage/requests",
        f"/usage/requests?{wide}",
        f"/usage/requests?{wide}&before={cursor}",
        f"/usage/requests?{wide}&status=error",
        f"/usage/requests?{wide}&key={key.key_id}&status=error",
        f"/usage/requests?{wide}&key={key.key_id}&endpoint=responses",
        f"/usage/requests?{wide}&app=nobody",
        f"/usage/requests?range=30d&peek={call}",
        f"/usage/requests/{call}",
        "/billing/ledger",
        f"/billing/ledger?before={cursor}",
        f"/billing/ledger?after={cursor}",
        f"/billing/ledger?show=calls&before={cursor}",
        "/billing/ledger?show=credit",
        f"/billing/ledger?show=credit&before={cursor}",
        f"/billing/ledger?show=returns&before={cursor}",
        f"/billing/ledger?from={middle.created_at:%Y-%m-%d}&to={middle.created_at:%Y-%m-%d}",
        "/billing/ledger?show=holds",
        "/billing",
        "/billing/receipts",
        f"/billing/statements/{clock.now():%Y-%m}",
    ]


if __name__ == "__main__":
    main()
