"""Admit and settle: who gets a hold, how large, and that whatever goes wrong with one call touches no other."""

import asyncio
import os
import random
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import transaction

from accounts import keys
from billing.group_commit import Refused
from gateway.admission import (
    CLOSED_BEFORE,
    ESTIMATED,
    NO_SUCH_HOLD,
    SETTLED,
    STREAMED,
    Checkpoint,
    Code,
    Settlement,
    admit_one,
    settle_one,
)
from gateway.models import Outcome
from tests.gateway.conftest import Customer, new_customer
from tests.scenarios import ask, assert_books_are_clean, balance, end, hold_state, open_desk, open_desks
from tokenhub.ids import new_uuid7


@pytest.fixture(autouse=True)
def _orm_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.fixture
def boot(app_db: psycopg.Connection) -> Iterator[bytes]:
    boot = uuid.uuid4()
    app_db.execute("SELECT start_boot(%s, 'test')", [boot])
    yield boot.bytes
    app_db.execute("SELECT end_boot(%s)", [boot])


def second_key(customer: Customer, **limits: Any) -> Customer:
    issued = keys.issue(account=customer.account, name="second", **limits)
    return Customer(customer.account, issued.secret, issued.row)


# ---------------------------------------------------------------- who gets a hold


async def test_a_wallet_of_one_hundred_calls_pays_for_exactly_one_hundred(app_db: psycopg.Connection) -> None:
    customer, codes = new_customer(100_000), []

    async with open_desks(4) as desks:

        async def client(number: int) -> None:
            desk = desks[number % 4]
            for _ in range(20):
                request = ask(customer, 1000)
                admission = await desk.admit(request)
                codes.append(admission.code)
                if admission.is_held:
                    assert await desk.settle(end(request.call, admission.wallet_id, 1000)) == SETTLED

        await asyncio.gather(*(client(number) for number in range(64)))
    assert (codes.count(Code.HELD), codes.count(Code.INSUFFICIENT_CREDITS), len(codes)) == (100, 1180, 1280)
    assert balance(customer) == (0, 0)
    assert_books_are_clean(app_db)


async def test_what_does_not_fit_takes_nothing_from_those_behind(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    async with open_desk() as desk:
        admissions = await asyncio.gather(*(desk.admit(ask(customer, nanos)) for nanos in (60, 50, 40, 1)))
    assert [it.code for it in admissions] == [
        Code.HELD,
        Code.INSUFFICIENT_CREDITS,
        Code.HELD,
        Code.INSUFFICIENT_CREDITS,
    ]
    assert [it.free_nanos for it in admissions] == [100, 40, 100, 0]
    assert_books_are_clean(app_db)


async def test_each_refusal_says_why_and_stops_nobody_else_in_its_batch(app_db: psycopg.Connection) -> None:
    stranger, revoked, frozen = new_customer(100), new_customer(100), new_customer(100)
    expired, limited = new_customer(100, expires_at="2020-01-01T00:00Z"), new_customer(100, limit_nanos=10)
    slow, neighbour = new_customer(100, rpm_limit=2), new_customer(100)
    keys.revoke(key_id=revoked.key_row.key_id)
    app_db.execute("UPDATE ledger_account SET frozen = true WHERE id = %s", [frozen.wallet.pk])
    requests = [
        (ask(stranger, 5)._replace(key_hash=os.urandom(32)), Code.UNKNOWN_KEY),
        (ask(revoked, 5), Code.REVOKED),
        (ask(expired, 5), Code.EXPIRED),
        (ask(frozen, 5), Code.FROZEN),
        *zip([ask(slow, 1) for _ in range(3)], [Code.HELD, Code.HELD, Code.RATE_LIMITED], strict=True),
        *zip([ask(limited, nanos) for nanos in (8, 3, 2)], [Code.HELD, Code.KEY_LIMIT, Code.HELD], strict=True),
        (ask(neighbour, 100), Code.HELD),
    ]
    async with open_desk() as desk:
        admissions = await asyncio.gather(*(desk.admit(request) for request, _ in requests))
        assert desk.calls.batches == 1
    assert [it.code for it in admissions] == [code for _, code in requests]
    assert admissions[8].free_nanos == 2  # what the key has left
    assert_books_are_clean(app_db)


async def test_a_rate_limit_refills_with_time(owner_db: psycopg.Connection) -> None:
    customer = new_customer(100, rpm_limit=2)
    async with open_desk() as desk:
        codes = [(await desk.admit(ask(customer, 1))).code for _ in range(3)]
        assert codes == [Code.HELD, Code.HELD, Code.RATE_LIMITED]
        owner_db.execute(
            "UPDATE api_key SET rpm_tat = rpm_tat - interval '30 s' WHERE id = %s", [customer.key_row.pk]
        )  # half a minute later
        codes = [(await desk.admit(ask(customer, 1))).code for _ in range(2)]
        assert codes == [Code.HELD, Code.RATE_LIMITED]


@pytest.mark.parametrize(("window", "back"), [("day", "1 day"), ("week", "7 days"), ("month", "1 month")])
async def test_a_keys_limit_begins_anew_with_its_window(
    app_db: psycopg.Connection, owner_db: psycopg.Connection, window: str, back: str
) -> None:
    customer = new_customer(1000, limit_nanos=10, limit_window=window)
    async with open_desk() as desk:
        first = ask(customer, 10)
        admission = await desk.admit(first)
        await desk.settle(end(first.call, admission.wallet_id, 7))
        assert (await desk.admit(ask(customer, 4))).code == Code.KEY_LIMIT
        owner_db.execute(
            "UPDATE api_key SET window_start = window_start - %s::interval WHERE id = %s", [back, customer.key_row.pk]
        )
        second = ask(customer, 4)
        admission = await desk.admit(second)
        assert admission.code == Code.HELD
        await desk.settle(end(second.call, admission.wallet_id, 4))
    counters = app_db.execute("SELECT spent_nanos, held_nanos FROM api_key WHERE id = %s", [customer.key_row.pk])
    assert counters.fetchone() == (4, 0)


async def test_a_total_limit_never_begins_anew() -> None:
    customer = new_customer(1000, limit_nanos=10)
    async with open_desk() as desk:
        request = ask(customer, 10)
        admission = await desk.admit(request)
        await desk.settle(end(request.call, admission.wallet_id, 10))
        refused = await desk.admit(ask(customer, 1))
        assert (refused.code, refused.free_nanos) == (Code.KEY_LIMIT, 0)


async def test_a_key_revoked_at_one_desk_is_dead_at_every_other() -> None:
    customer = new_customer(100)
    async with open_desks(3) as desks:
        assert [(await desk.admit(ask(customer, 1))).code for desk in desks] == [Code.HELD] * 3
        keys.revoke(key_id=customer.key_row.key_id)
        assert [(await desk.admit(ask(customer, 1))).code for desk in desks] == [Code.REVOKED] * 3


# ---------------------------------------------------------------- how large


@pytest.mark.parametrize(
    ("base", "least", "most", "key_limit", "expected"),
    [
        (100, 10, 10_000, None, 350),  # the input and a quarter of 1,000
        (100, 10, 300, None, 300),
        (100, 400, 10_000, None, 400),
        (100, 10, 10_000, 200, 200),
        (900, 950, 10_000, None, 1000),  # a quarter more would be more than there is
        (0, 10, 10_000, 10, 10),
        (0, 500, 500, None, 500),  # the caller named the bound
    ],
)
async def test_a_flexible_hold_is_the_input_and_a_quarter_of_what_is_free(
    base: int, least: int, most: int, key_limit: int | None, expected: int
) -> None:
    customer = new_customer(1000, limit_nanos=key_limit)
    async with open_desk() as desk:
        admission = await desk.admit(ask(customer, most, base=base, least=least))
    assert (admission.code, admission.amount_nanos) == (Code.HELD, expected)
    assert balance(customer) == (1000, expected)


async def test_a_flexible_hold_is_refused_where_not_even_its_least_fits() -> None:
    poor, limited = new_customer(9), new_customer(1000, limit_nanos=9)
    async with open_desk() as desk:
        codes = [(await desk.admit(ask(it, 10_000, base=1, least=10))).code for it in (poor, limited)]
    assert codes == [Code.INSUFFICIENT_CREDITS, Code.KEY_LIMIT]


async def test_flexible_holds_that_do_not_fit_together_each_take_a_quarter_of_the_rest(
    app_db: psycopg.Connection,
) -> None:
    customer = new_customer(1000)
    async with open_desk() as desk:
        admissions = await asyncio.gather(*(desk.admit(ask(customer, 10_000, least=1)) for _ in range(5)))
        assert desk.calls.batches == 1
    assert [it.amount_nanos for it in admissions] == [250, 187, 140, 105, 79]
    assert balance(customer) == (1000, 761)
    assert_books_are_clean(app_db)


async def test_within_an_oversubscribed_batch_too_a_key_gets_no_more_than_it_has_left(
    app_db: psycopg.Connection,
) -> None:
    customer = new_customer(1000, limit_nanos=300)
    other = second_key(customer)
    async with open_desk() as desk:
        requests = [ask(it, 10_000, least=1) for it in (customer, customer, other, other, other, other)]
        admissions = await asyncio.gather(*(desk.admit(request) for request in requests))
    assert [(it.code, it.amount_nanos) for it in admissions] == [
        (0, 250),
        (0, 50),
        (0, 175),
        (0, 131),
        (0, 98),
        (0, 74),
    ]
    assert_books_are_clean(app_db)


# ---------------------------------------------------------------- faults stay with their call


@pytest.mark.parametrize("poison", [-1, 2**63, None, "x"])
async def test_a_poisoned_row_fails_alone(app_db: psycopg.Connection, poison: Any) -> None:
    customer = new_customer(1000)
    wallet_id = customer.wallet.pk
    requests = [ask(customer, poison if number == 41 else 10) for number in range(64)]
    async with open_desk() as desk:
        admissions = await asyncio.gather(*(desk.admit(it) for it in requests), return_exceptions=True)
        assert isinstance(admissions[41], Refused)
        assert [getattr(it, "code", None) for it in admissions].count(Code.HELD) == 63
        assert 1 <= desk.calls.bisected <= 6

        settlements = [end(it.call, wallet_id, poison if number == 17 else 10) for number, it in enumerate(requests)]
        results = await asyncio.gather(*(desk.settle(it) for it in settlements), return_exceptions=True)
        assert isinstance(results[17], Refused)
        assert results[41] == NO_SUCH_HOLD
        assert results.count(SETTLED) == 62
        assert 1 <= desk.calls.bisected <= 12
        # the poisoned call is not lost: its hold is still open
        assert await desk.settle(end(requests[17].call, wallet_id, 10)) == SETTLED
    assert balance(customer) == (370, 0)
    assert_books_are_clean(app_db)


@pytest.mark.parametrize("detail", [b"{", b'{"a": "\\u0000"}', b"\xff", b"\x00"])
async def test_a_detail_that_is_no_json_fails_alone(app_db: psycopg.Connection, detail: bytes) -> None:
    customer = new_customer(1000)
    requests = [ask(customer, 10) for _ in range(8)]
    async with open_desk() as desk:
        await asyncio.gather(*(desk.admit(it) for it in requests))
        settlements = [end(it.call, customer.wallet.pk, 10) for it in requests]
        settlements[3] = settlements[3]._replace(detail=detail)
        results = await asyncio.gather(*(desk.settle(it) for it in settlements), return_exceptions=True)
    assert isinstance(results[3], Refused)
    assert results.count(SETTLED) == 7
    assert balance(customer) == (930, 10)
    assert_books_are_clean(app_db)


async def test_retries_are_harmless_and_another_tenants_call_is_out_of_reach(app_db: psycopg.Connection) -> None:
    mine, theirs = new_customer(100), new_customer(100)
    request = ask(mine, 100)
    async with open_desk() as desk:
        assert [(await desk.admit(request)).code for _ in range(2)] == [Code.HELD, Code.HELD_BEFORE]
        both = await asyncio.gather(desk.admit(request), desk.admit(ask(mine, 1)))
        assert [it.code for it in both] == [Code.HELD_BEFORE, Code.INSUFFICIENT_CREDITS]
        assert (await desk.admit(ask(theirs, 1, call=request.call))).code == Code.CLOSED
        assert await desk.settle(end(request.call, theirs.wallet.pk, 5)) == NO_SUCH_HOLD
        assert await desk.extend(request.call, theirs.wallet.pk, 101) == NO_SUCH_HOLD
        settled = [await desk.settle(end(request.call, mine.wallet.pk, 100)) for _ in range(2)]
        assert settled == [SETTLED, CLOSED_BEFORE]
        assert (await desk.admit(request)).code == Code.CLOSED
    assert (balance(mine), balance(theirs)) == ((0, 0), (100, 0))
    assert_books_are_clean(app_db)


async def test_the_same_call_twice_in_one_batch_is_one_call(app_db: psycopg.Connection) -> None:
    customer = new_customer(1000)
    request = ask(customer, 60)
    async with open_desk() as desk:
        admissions = await asyncio.gather(desk.admit(request), desk.admit(request))
        assert [it.code for it in admissions] == [Code.HELD, Code.HELD_BEFORE]
        settlement = end(request.call, customer.wallet.pk, 60)
        results = await asyncio.gather(desk.settle(settlement), desk.settle(settlement))
        assert set(results) <= {SETTLED, CLOSED_BEFORE}
    assert balance(customer) == (940, 0)
    assert_books_are_clean(app_db)


async def test_a_hold_grows_to_a_total_and_never_shrinks(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    wallet_id, first, second = customer.wallet.pk, ask(customer, 10), ask(customer, 10)
    async with open_desk() as desk:
        await asyncio.gather(desk.admit(first), desk.admit(second))
        grown = await asyncio.gather(
            desk.extend(first.call, wallet_id, 70),
            desk.extend(second.call, wallet_id, 40),  # only 20 are left
            desk.extend(second.call, wallet_id, 30),
            desk.extend(new_uuid7(), wallet_id, 5),
        )
        assert grown == [0, Code.INSUFFICIENT_CREDITS, 0, NO_SUCH_HOLD]
        assert balance(customer) == (100, 100)
        assert await desk.extend(first.call, wallet_id, 50) == 0  # late: a smaller total changes nothing
        assert balance(customer) == (100, 100)
        for nanos in (33, 20):
            await desk.checkpoint(Checkpoint(first.call, nanos, 1, 1))
        await desk.checkpoint(Checkpoint(second.call, 10**9, 1, 1))
        checkpoints = app_db.execute(
            "SELECT checkpoint_nanos FROM hold WHERE wallet_id = %s ORDER BY amount_nanos DESC", [wallet_id]
        )
        assert checkpoints.fetchall() == [(33,), (30,)]
        assert await desk.settle(end(first.call, wallet_id, 65)) == SETTLED
        assert await desk.extend(first.call, wallet_id, 80) == CLOSED_BEFORE
        assert await desk.settle(end(second.call, wallet_id, 0, status=502)) == SETTLED
    assert balance(customer) == (35, 0)
    assert_books_are_clean(app_db)


async def test_a_growing_hold_stops_at_its_keys_limit() -> None:
    customer = new_customer(1000, limit_nanos=50)
    request = ask(customer, 10)
    async with open_desk() as desk:
        await desk.admit(request)
        codes = [await desk.extend(request.call, customer.wallet.pk, total) for total in (51, 50)]
    assert codes == [Code.KEY_LIMIT, 0]


# ---------------------------------------------------------------- callers that leave


async def test_an_admission_cancelled_in_flight_gives_its_hold_back(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    request = ask(customer, 100)
    async with open_desk() as desk:
        await desk.admit(ask(customer, 1000))  # the connection stands
        waiting = desk.admit(request)
        await asyncio.sleep(0)  # the batch has left
        waiting.cancel()
        await desk.calls.drain()
        await desk.calls.drain()
    assert hold_state(app_db, request.call) == ("released", None)
    assert balance(customer) == (100, 0)
    assert_books_are_clean(app_db)


async def test_a_retried_admission_that_is_cancelled_gives_its_hold_back(app_db: psycopg.Connection) -> None:
    """A batch whose outcome was unknown is sent again, and finds its own hold there already."""
    customer = new_customer(100)
    request = ask(customer, 100)
    async with open_desk() as desk:
        assert (await desk.admit(request)).code == Code.HELD
        again = desk.admit(request)
        await asyncio.sleep(0)
        again.cancel()
        await desk.calls.drain()
        await desk.calls.drain()
    assert hold_state(app_db, request.call) == ("released", None)
    assert_books_are_clean(app_db)


async def test_an_admission_cancelled_in_the_queue_takes_nothing(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    sent, queued = ask(customer, 10), ask(customer, 10)
    async with open_desk() as desk:
        in_flight = desk.admit(sent)
        await asyncio.sleep(0)
        waiting = desk.admit(queued)
        waiting.cancel()
        assert (await in_flight).code == Code.HELD
        await desk.calls.drain()
    assert hold_state(app_db, queued.call) is None


async def test_a_settlement_happens_even_if_nobody_waits_for_it(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    request = ask(customer, 50)
    async with open_desk() as desk:
        admission = await desk.admit(request)
        desk.settle(end(request.call, admission.wallet_id, 30)).cancel()
        await desk.calls.drain()
    assert hold_state(app_db, request.call) == ("captured", 30)


# ---------------------------------------------------------------- many at once


def _deadlocks(db: psycopg.Connection) -> int:
    row = db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(row[0]) if row else 0


async def test_many_desks_sweeps_and_grants_at_once_do_not_deadlock(
    app_db: psycopg.Connection, owner_db: psycopg.Connection
) -> None:
    chance = random.Random(1)
    customers = [new_customer(10**6) for _ in range(20)]
    wallets = {it.account.pk: it.wallet.pk for it in customers}
    before = _deadlocks(owner_db)
    name = f"desks-{uuid.uuid4().hex}"
    stop = threading.Event()

    def others() -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, application_name=name) as connection:
            while not stop.is_set():
                connection.execute("SELECT sweep_holds('1 hour')")
                someone = chance.choice(customers).account.pk
                connection.execute("SELECT grant_credit(gen_random_uuid(), %s, 1, 'more', 'test')", [someone])

    thread = threading.Thread(target=others)
    async with open_desks(8, application_name=name) as desks:

        async def client(number: int) -> None:
            desk = desks[number % 8]
            for _ in range(10):
                customer = chance.choice(customers)
                wallet_id, request = wallets[customer.account.pk], ask(customer, 20)
                assert (await desk.admit(request)).code == Code.HELD
                grown, _ = await asyncio.gather(
                    desk.extend(request.call, wallet_id, 30), desk.checkpoint(Checkpoint(request.call, 5, 1, 1))
                )
                assert grown == 0
                assert await desk.settle(end(request.call, wallet_id, chance.randrange(30))) == SETTLED

        thread.start()
        try:
            await asyncio.gather(*(client(number) for number in range(80)))
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)
    # a backend reports its statistics when it ends
    while owner_db.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert _deadlocks(owner_db) == before
    assert_books_are_clean(app_db)


async def test_a_connection_that_is_lost_is_replaced(owner_db: psycopg.Connection) -> None:
    customer, name = new_customer(100), f"desk-{uuid.uuid4().hex}"
    request = ask(customer, 50)
    async with open_desks(1, application_name=name) as [desk]:
        admission = await desk.admit(request)
        killed = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = %s"
        assert owner_db.execute(killed, [name]).fetchone() == (1,)
        assert (await desk.admit(ask(customer, 50))).code == Code.HELD
        assert await desk.settle(end(request.call, admission.wallet_id, 50)) == SETTLED


# ---------------------------------------------------------------- boots


async def test_a_process_declared_dead_is_refused_until_it_renews_its_boot(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    async with open_desk() as desk:
        fenced = desk.boot
        app_db.execute("SELECT end_boot(%s)", [uuid.UUID(bytes=fenced)])
        assert (await desk.admit(ask(customer, 1))).code == Code.BOOT_ENDED
        await desk.renew_boot()
        assert desk.boot != fenced
        assert (await desk.admit(ask(customer, 1))).code == Code.HELD
        renewed = desk.boot
        await desk.renew_boot()  # one that lives keeps its boot
        assert desk.boot == renewed


async def test_a_desk_that_closes_settles_what_is_queued_and_ends_its_boot(app_db: psycopg.Connection) -> None:
    customer = new_customer(100)
    request = ask(customer, 50)
    async with open_desk() as desk:
        admission = await desk.admit(request)
        desk.settle(end(request.call, admission.wallet_id, 20))
    assert hold_state(app_db, request.call) == ("captured", 20)
    ended = app_db.execute("SELECT ended_at IS NOT NULL FROM process_boot WHERE id = %s", [uuid.UUID(bytes=desk.boot)])
    assert ended.fetchone() == (True,)


# ---------------------------------------------------------------- what settling writes


def test_settling_writes_the_record_the_hourly_sums_and_the_overrun(app_db: psycopg.Connection, boot: bytes) -> None:
    customer = new_customer(1000)
    request = ask(customer, 100)
    admission = admit_one(boot, request)
    assert admission == (Code.HELD, customer.wallet.pk, 1000, 0, 100)
    settlement = Settlement(
        request.call, customer.wallet.pk, cost_nanos=130, status=200, outcome=Outcome.COMPLETED, input_tokens=11,
        cached_input_tokens=5, cache_write_tokens=4, output_tokens=7, reasoning_tokens=3, duration_ms=99, first_byte_ms=9,
        flags=STREAMED | ESTIMATED, detail=b'{"choices": 2}',
    )  # fmt: skip
    assert settle_one(settlement) == SETTLED
    call, where = uuid.UUID(bytes=request.call), {"account": customer.account.pk, "key": customer.key_row.pk}
    record = app_db.execute(
        "SELECT account_id, key_id, model_id, price_id, status, outcome, input_tokens, cached_input_tokens,"
        " cache_write_tokens, output_tokens, reasoning_tokens, duration_ms, first_byte_ms, streamed, sandbox, estimated,"
        " held_nanos, cost_nanos, detail FROM call_record WHERE id = %s",
        [call],
    ).fetchone()
    assert record == (*where.values(), 1, 1, 200, 1, 11, 5, 4, 7, 3, 99, 9, True, False, True, 100, 100, {"choices": 2})
    sums = "SELECT sum(calls), sum(errors), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(cost_nanos)"
    sums += " FROM usage_hour WHERE account_id = %(account)s AND key_id = %(key)s"
    assert app_db.execute(sums, where).fetchone() == (1, 0, 11, 5, 7, 100)
    overrun = app_db.execute(
        "SELECT t.amount_nanos, d.kind, c.kind FROM transfer t JOIN ledger_account d ON d.id = debit_id"
        " JOIN ledger_account c ON c.id = credit_id WHERE idempotency_key = %s",
        [f"overrun:{call}"],
    )
    assert overrun.fetchone() == (30, "overrun", "revenue")
    assert balance(customer) == (900, 0)

    failed = ask(customer, 100)
    admit_one(boot, failed)
    settle_one(end(failed.call, customer.wallet.pk, 0, status=502))
    assert app_db.execute(sums, where).fetchone() == (2, 1, 14, 5, 9, 100)
    assert_books_are_clean(app_db)


@pytest.mark.parametrize(
    ("cost", "status", "expected"),
    [
        (0, 502, ("released", None)),
        (0, 400, ("released", None)),
        (0, 399, ("captured", 0)),
        (0, 200, ("captured", 0)),
        (7, 502, ("captured", 7)),
        (7, 200, ("captured", 7)),
        (100, 200, ("captured", 100)),
        (101, 200, ("captured", 100)),
    ],
)
def test_a_failure_that_cost_nothing_is_released_all_else_is_captured(
    app_db: psycopg.Connection, boot: bytes, cost: int, status: int, expected: tuple[str, int | None]
) -> None:
    customer = new_customer(1000)
    request = ask(customer, 100)
    admit_one(boot, request)
    assert settle_one(end(request.call, customer.wallet.pk, cost, status)) == SETTLED
    assert hold_state(app_db, request.call) == expected
    assert balance(customer) == (1000 - (expected[1] or 0), 0)
    assert_books_are_clean(app_db)


# ---------------------------------------------------------------- inside a Django transaction


class Undone(Exception):
    """Makes the transaction roll back."""


def test_a_hold_taken_in_a_transaction_rolls_back_with_it(app_db: psycopg.Connection, boot: bytes) -> None:
    customer = new_customer(1000)
    request = ask(customer, 100)
    with pytest.raises(Undone), transaction.atomic():
        assert admit_one(boot, request).is_held
        assert balance(customer) == (1000, 100)
        raise Undone
    assert hold_state(app_db, request.call) is None
    assert balance(customer) == (1000, 0)


def test_a_capture_in_a_transaction_rolls_back_with_it(app_db: psycopg.Connection, boot: bytes) -> None:
    customer = new_customer(1000)
    request = ask(customer, 100)
    assert admit_one(boot, request).is_held
    with pytest.raises(Undone), transaction.atomic():
        assert settle_one(end(request.call, customer.wallet.pk, 60)) == SETTLED
        raise Undone
    assert hold_state(app_db, request.call) == ("open", None)
    assert settle_one(end(request.call, customer.wallet.pk, 40)) == SETTLED
    assert [settle_one(end(it, customer.wallet.pk, 40)) for it in (request.call, new_uuid7())] == [
        CLOSED_BEFORE,
        NO_SUCH_HOLD,
    ]
    assert balance(customer) == (960, 0)
    assert_books_are_clean(app_db)
