"""PostgreSQL is killed (-9) while calls are being paid: what was acknowledged is there, once, and nothing stays held."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from billing.group_commit import Unavailable
from gateway.admission import CLOSED_BEFORE, SETTLED, Desk, Request, Settlement
from tests.scenarios import assert_books_are_clean, open_desks
from tokenhub.embedded import Postgres
from tokenhub.ids import new_uuid7

ROOT = Path(__file__).parents[2]
CLIENTS, WALLETS = 48, 8
FUNDS, HOLD, COST = 10**12, 1000, 700


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A durable server of its own, migrated as `make run` does it."""
    server = Postgres(tmp_path_factory.mktemp("killed"), durable=True)
    server.start()
    try:
        env = {**os.environ, "DATABASE_URL": server.database_url, "DATABASE_OWNER_URL": server.owner_url}
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=env, check=True)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def starter(postgres: Postgres) -> Iterator[ThreadPoolExecutor]:
    """The server ends with the thread that started it, so that thread must outlive the story."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@dataclass
class Story:
    postgres: Postgres
    starter: ThreadPoolExecutor
    wallets: list[tuple[int, bytes]]  # id, key hash
    acknowledged: dict[bytes, int] = field(default_factory=dict)  # call: wallet
    admitted: int = 0
    found_again: int = 0  # outcomes that were unknown for a while
    told_unavailable: int = 0
    is_over: bool = False

    async def call(self, desk: Desk, wallet_id: int, key_hash: bytes) -> None:
        request = Request(new_uuid7(), key_hash, 0, HOLD, HOLD, 1, 1)
        try:
            admission = await desk.admit(request)
        except Unavailable:  # the client was told 503; the hold that may have been taken is the desk's to give back
            self.told_unavailable += 1
            return
        assert admission.is_held, admission
        self.admitted += 1
        code = await desk.settle(Settlement(request.call, wallet_id, COST, 200, 1))
        assert code in (SETTLED, CLOSED_BEFORE)
        self.found_again += (admission.code != 0) + (code == CLOSED_BEFORE)
        self.acknowledged[request.call] = wallet_id

    async def client(self, number: int, desk: Desk) -> None:
        wallet_id, key_hash = self.wallets[number % WALLETS]
        while not self.is_over:
            await self.call(desk, wallet_id, key_hash)

    async def killer(self, desk: Desk, kills: int, refusals: list[int]) -> None:
        """``refusals``: after the first kills, how many calls in turn find the server away for longer than they wait."""
        for number in range(kills):
            enough = len(self.acknowledged) + random.randrange(200, 800)
            while len(self.acknowledged) < enough:  # noqa: ASYNC110 - a count, not an event
                await asyncio.sleep(0.01)
            await asyncio.to_thread(self.postgres.kill)
            for _ in range(refusals[number] if number < len(refusals) else 0):
                with pytest.raises(Unavailable):
                    await desk.admit(Request(new_uuid7(), self.wallets[0][1], 0, HOLD, HOLD, 1, 1))
            await asyncio.get_running_loop().run_in_executor(self.starter, self.postgres.start)
        self.is_over = True

    async def run(self, kills: int, refusals: list[int]) -> None:
        async with open_desks(2, self.postgres.database_url, connect_timeout=2) as desks:
            clients = [self.client(number, desks[number % 2]) for number in range(CLIENTS)]
            await asyncio.gather(self.killer(desks[0], kills, refusals), *clients)
            for desk in desks:  # the desks live on: no sweeper may be needed for what they hold
                await desk.admit(Request(new_uuid7(), b"\0" * 32, 0, 1, 1, 1, 1))
                await _until_idle(desk)
            with psycopg.connect(self.postgres.superuser_url) as db:
                assert db.execute("SELECT count(*) FROM hold WHERE state = 'open'").fetchone() == (0,)


async def _until_idle(desk: Desk) -> None:
    for lane in (desk.calls,):
        async with asyncio.timeout(60):
            await lane.drain()


def _open_wallets(postgres: Postgres) -> list[tuple[int, bytes]]:
    wallets = []
    with psycopg.connect(postgres.superuser_url, autocommit=True) as db:
        for _ in range(WALLETS):
            name = uuid.uuid4().hex
            key_hash = hashlib.sha256(name.encode()).digest()
            [account] = db.execute(
                "INSERT INTO account (name, slug, keeps_history) VALUES (%s, %s, true) RETURNING id", [name, name[:40]]
            ).fetchone() or [0]
            db.execute("SELECT grant_credit(gen_random_uuid(), %s, %s, 'test', 'test')", [account, FUNDS])
            db.execute(
                "INSERT INTO api_key (public_id, hash, last4, name, account_id, limit_window, window_start, rpm_tat,"
                " spent_nanos, held_nanos) VALUES (%s, %s, '0000', 'x', %s, 'total', '2000-01-01', '2000-01-01', 0, 0)",
                [name[:10], key_hash, account],
            )
            [wallet] = db.execute("SELECT id FROM ledger_account WHERE customer_id = %s", [account]).fetchone() or [0]
            wallets.append((wallet, key_hash))
    return wallets


def _assert_nothing_lost_or_doubled(story: Story) -> None:
    ids = [wallet_id for wallet_id, _ in story.wallets]
    with psycopg.connect(story.postgres.superuser_url) as db:
        captured: dict[uuid.UUID, int] = dict(
            db.execute(
                "SELECT h.id, h.wallet_id FROM hold h JOIN transfer t ON t.hold_id = h.id AND t.amount_nanos = %s"
                " JOIN call_record c ON c.id = h.id AND c.cost_nanos = %s"
                " WHERE h.captured_nanos = %s AND h.wallet_id = ANY (%s)",
                [COST, COST, COST, ids],
            ).fetchall()
        )
        assert captured == {uuid.UUID(bytes=call): wallet_id for call, wallet_id in story.acknowledged.items()}
        for wallet_id in ids:
            paid = sum(it == wallet_id for it in story.acknowledged.values())
            row = db.execute(
                "SELECT posted_nanos, held_nanos FROM ledger_account WHERE id = %s", [wallet_id]
            ).fetchone()
            assert row == (FUNDS - COST * paid, 0)
        assert_books_are_clean(db)


def _run(postgres: Postgres, starter: ThreadPoolExecutor, kills: int, refusals: list[int]) -> None:
    story = Story(postgres, starter, _open_wallets(postgres))
    began = time.monotonic()
    asyncio.run(story.run(kills, refusals))
    _assert_nothing_lost_or_doubled(story)
    assert len(story.acknowledged) == story.admitted > 200 * kills
    print(
        f"kills={kills} acknowledged={story.admitted} lost=0 doubled=0 found-again={story.found_again} "
        f"unavailable={story.told_unavailable} seconds={time.monotonic() - began:.1f}"
    )


def test_three_kills_and_an_outage_lose_nothing(postgres: Postgres, starter: ThreadPoolExecutor) -> None:
    _run(postgres, starter, kills=3, refusals=[1])


@pytest.mark.long
def test_twenty_kills_and_long_outages_lose_nothing(postgres: Postgres, starter: ThreadPoolExecutor) -> None:
    _run(postgres, starter, kills=20, refusals=[1, 5, 0, 3])
