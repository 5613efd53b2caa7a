"""What a dead process held is ended; what a living one holds is left alone."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from gateway import sweeper
from gateway.admission import CLOSED_BEFORE, Code, admit_one, settle_one
from gateway.models import CallRecord, Outcome
from gateway.sweeper import Swept
from tests.gateway.conftest import Customer, new_customer
from tests.scenarios import ask, assert_books_are_clean, balance, end, hold_state, open_desk
from tokenhub.ids import new_uuid7

ROOT = Path(__file__).parents[2]
#: longer than the heartbeats of whatever else runs are apart, so that no sweep here ends a living process
SILENCE_SECONDS = 7

_PROCESS = """
import asyncio, os, sys
from gateway.admission import Checkpoint, Desk, Request, Settlement
from tokenhub.ids import new_uuid7

async def main(key_hash):
    desk = Desk(os.environ["DATABASE_URL"], name="victim")
    await desk.open()
    calls = [new_uuid7() for _ in range(10)]
    admissions = await asyncio.gather(*(desk.admit(Request(call, key_hash, 0, 100, 100, 1, 1)) for call in calls))
    await asyncio.gather(*(desk.checkpoint(Checkpoint(call, 30, 12, 4)) for call in calls[:3]))
    await desk.checkpoint(Checkpoint(calls[3], 30, 12, 4, model_id=7, price_id=8))  # a fallback answers
    await desk.settle(Settlement(calls[9], admissions[9].wallet_id, 50, 200, 1))
    print(desk.boot.hex(), *(call.hex() for call in calls), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(bytes.fromhex(sys.argv[1])))
"""


@pytest.fixture(scope="module", autouse=True)
def _server_older_than_the_silence(django_db_setup: None) -> None:
    """A sweep gives every process one full silence after the database's start; the database itself can say when that is over."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "SELECT pg_sleep(greatest(0, extract(epoch FROM pg_postmaster_start_time() - now()) + %s))",
            [SILENCE_SECONDS + 0.1],
        )


@pytest.fixture(autouse=True)
def _nothing_left_by_others(_server_older_than_the_silence: None) -> None:
    while any(sweeper.sweep(SILENCE_SECONDS)):
        pass


@dataclass
class Victim:
    """A process with ten calls of 100 nanos: four with a checkpoint at 30, five without, one settled at 50."""

    customer: Customer
    process: subprocess.Popen[str]
    boot: uuid.UUID
    calls: list[bytes]


@pytest.fixture
def victim() -> Iterator[Victim]:
    customer = new_customer(1000)
    key_hash = bytes(customer.key_row.hash).hex()
    process = subprocess.Popen([sys.executable, "-c", _PROCESS, key_hash], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "DJANGO_SETTINGS_MODULE": "tokenhub.settings"})  # fmt: skip
    assert process.stdout is not None
    boot, *calls = process.stdout.readline().split()
    yield Victim(customer, process, uuid.UUID(hex=boot), [bytes.fromhex(call) for call in calls])
    process.kill()
    process.wait()
    process.stdout.close()


def fall_silent(owner_db: psycopg.Connection, boot: uuid.UUID, interval: str = "1 minute") -> None:
    owner_db.execute("UPDATE process_boot SET heartbeat_at = now() - %s::interval WHERE id = %s", [interval, boot])


def test_the_holds_of_a_killed_process_end_at_their_checkpoints(
    owner_db: psycopg.Connection, app_db: psycopg.Connection, victim: Victim
) -> None:
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(0, 0)  # it lives: left alone
    assert balance(victim.customer) == (950, 900)

    victim.process.kill()
    victim.process.wait()
    fall_silent(owner_db, victim.boot)
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(captured=4, released=5)
    assert balance(victim.customer) == (830, 0)
    states = [hold_state(app_db, call) for call in victim.calls]
    assert states == [("captured", 30)] * 4 + [("released", None)] * 5 + [("captured", 50)]
    record = CallRecord.objects.get(pk=uuid.UUID(bytes=victim.calls[0]))
    assert (record.status, record.outcome, record.estimated) == (598, Outcome.PROCESS_LOST, True)
    assert (record.input_tokens, record.output_tokens, record.cost_nanos) == (12, 4, 30)
    assert (record.model_id, record.price_id) == (1, 1)
    fallback = CallRecord.objects.get(pk=uuid.UUID(bytes=victim.calls[3]))
    assert (fallback.model_id, fallback.price_id) == (7, 8)  # that was answering, not what was asked for
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(0, 0)
    assert balance(victim.customer) == (830, 0)
    assert_books_are_clean(app_db)


def test_a_process_that_is_heard_again_in_time_keeps_its_holds(owner_db: psycopg.Connection, victim: Victim) -> None:
    fall_silent(owner_db, victim.boot)
    owner_db.execute("SELECT heartbeat(%s)", [victim.boot])
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(0, 0)
    assert balance(victim.customer) == (950, 900)


def test_after_an_outage_of_the_database_every_process_gets_its_time(
    owner_db: psycopg.Connection, victim: Victim
) -> None:
    fall_silent(owner_db, victim.boot, "2 days")
    assert sweeper.sweep(86_400) == Swept(0, 0)  # the server itself is younger than that
    assert balance(victim.customer) == (950, 900)


async def test_a_zombie_is_refused_and_its_late_settlement_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, owner_db: psycopg.Connection, app_db: psycopg.Connection, victim: Victim
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    fall_silent(owner_db, victim.boot)
    sweeper.sweep(SILENCE_SECONDS)
    async with open_desk() as desk:
        desk.boot = victim.boot.bytes
        assert (await desk.admit(ask(victim.customer, 1))).code == Code.BOOT_ENDED
        assert await desk.settle(end(victim.calls[0], victim.customer.wallet.pk, 90)) == CLOSED_BEFORE
        assert hold_state(app_db, victim.calls[0]) == ("captured", 30)
        await desk.renew_boot()
        assert desk.boot != victim.boot.bytes
        assert (await desk.admit(ask(victim.customer, 1))).code == Code.HELD
    assert_books_are_clean(app_db)


def test_an_orderly_end_frees_its_holds_at_once(app_db: psycopg.Connection) -> None:
    customer, boot = new_customer(100), uuid.uuid4()
    app_db.execute("SELECT start_boot(%s, 'test')", [boot])
    request = ask(customer, 100)
    admit_one(boot.bytes, request)
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(0, 0)
    app_db.execute("SELECT end_boot(%s)", [boot])
    assert sweeper.sweep(SILENCE_SECONDS) == Swept(captured=0, released=1)
    assert settle_one(end(request.call, customer.wallet.pk, 100)) == CLOSED_BEFORE
    assert balance(customer) == (100, 0)


def test_more_holds_than_one_sweep_takes_end_with_the_next(app_db: psycopg.Connection) -> None:
    customer, boot, count = new_customer(1000), uuid.uuid4(), 600
    app_db.execute("SELECT start_boot(%s, 'test')", [boot])
    ones, calls = [1] * count, [uuid.UUID(bytes=new_uuid7()) for _ in range(count)]
    app_db.execute(
        "SELECT admit(%s, %s, %s, %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[])",
        [boot, calls, [bytes(customer.key_row.hash)] * count, [0] * count, ones, ones, ones, ones],
    )
    assert balance(customer) == (1000, count)
    app_db.execute("SELECT end_boot(%s)", [boot])
    assert [sweeper.sweep(SILENCE_SECONDS).released for _ in range(3)] == [512, 88, 0]
    assert balance(customer) == (1000, 0)
    assert_books_are_clean(app_db)


def test_a_sweep_says_that_a_sweeper_lives_even_after_it_was_declared_dead(app_db: psycopg.Connection) -> None:
    def living() -> set[uuid.UUID]:
        rows = app_db.execute("SELECT id FROM process_boot WHERE name = 'sweeper' AND ended_at IS NULL").fetchall()
        return {boot for (boot,) in rows}

    sweeper.sweep(SILENCE_SECONDS)
    [before] = living()
    sweeper.sweep(SILENCE_SECONDS)
    assert living() == {before}
    app_db.execute("SELECT end_boot(%s)", [before])
    sweeper.sweep(SILENCE_SECONDS)
    [after] = living()
    assert after != before


@pytest.mark.parametrize(
    ("started", "heard", "ended", "found"),
    [
        ("200 s", "1 s", None, True),
        ("100 s", "1 s", None, False),  # it has not had its time yet
        ("200 s", "90 s", None, False),  # nobody sweeps any more
        ("200 s", "1 s", "0 s", False),
    ],
)
def test_a_dead_process_open_hold_is_a_violation_once_a_sweeper_has_had_its_time(
    owner_db: psycopg.Connection, app_db: psycopg.Connection, started: str, heard: str, ended: str | None, found: bool
) -> None:
    customer, boot = new_customer(100), uuid.uuid4()
    app_db.execute("SELECT start_boot(%s, 'test')", [boot])
    request = ask(customer, 100)
    admit_one(boot.bytes, request)
    call = uuid.UUID(bytes=request.call)
    with owner_db.transaction(force_rollback=True):
        owner_db.execute("ALTER TABLE hold DISABLE TRIGGER USER")
        owner_db.execute("UPDATE hold SET created_at = now() - interval '10 min' WHERE id = %s", [call])
        owner_db.execute("UPDATE process_boot SET ended_at = now() WHERE name = 'sweeper' AND ended_at IS NULL")
        fall_silent(owner_db, boot, "5 min")
        owner_db.execute(
            "INSERT INTO process_boot (id, name, started_at, heartbeat_at, ended_at) VALUES"
            " (gen_random_uuid(), 'sweeper', now() - %s::interval, now() - %s::interval, now() - %s::interval)",
            [started, heard, ended],
        )
        violations = owner_db.execute("SELECT rule, what FROM check_ledger()").fetchall()
    assert violations == ([("C5 open hold of a dead process", str(call))] if found else [])
    app_db.execute("SELECT end_boot(%s)", [boot])
