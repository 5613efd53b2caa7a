"""What the ledger's tests share: a customer's calls, desks to take them to, and the auditors' verdict."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.admission import Desk, Request, Settlement
from gateway.models import Outcome
from tests.gateway.conftest import Customer
from tokenhub.ids import new_uuid7

MODEL, PRICE = 1, 1
BOOKS = "SELECT * FROM check_ledger() UNION ALL SELECT * FROM check_payments() UNION ALL SELECT * FROM check_calls()"


def ask(
    customer: Customer, nanos: int, *, call: bytes | None = None, base: int = 0, least: int | None = None
) -> Request:
    """A call that may cost up to ``nanos``; with ``least`` its bound is flexible."""
    least = nanos if least is None else least
    return Request(call or new_uuid7(), bytes(customer.key_row.hash), base, least, nanos, MODEL, PRICE)


def end(call: bytes, wallet_id: int | None, nanos: int, status: int = 200) -> Settlement:
    assert wallet_id is not None
    outcome = Outcome.COMPLETED if status < 400 else Outcome.UPSTREAM_REFUSED
    return Settlement(call, wallet_id, nanos, status, outcome, input_tokens=3, output_tokens=2)


@asynccontextmanager
async def open_desks(count: int, url: str = "", **connection: Any) -> AsyncIterator[list[Desk]]:
    """``connection``: parameters beside those of the URL, such as ``application_name``."""
    conninfo = make_conninfo(url or os.environ["DATABASE_URL"], **connection)
    async with AsyncExitStack() as stack:
        desks = [Desk(conninfo, name="test") for _ in range(count)]
        for desk in desks:
            await desk.open()
            stack.push_async_callback(desk.close)
        yield desks


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    async with open_desks(1) as [desk]:
        yield desk


def balance(customer: Customer) -> tuple[int, int]:
    """Posted and held, in nano-USD."""
    wallet = customer.wallet
    return wallet.posted_nanos, wallet.held_nanos


def hold_state(db: psycopg.Connection, call: bytes) -> tuple[str, int | None] | None:
    row = db.execute("SELECT state, captured_nanos FROM hold WHERE id = %s", [uuid.UUID(bytes=call)]).fetchone()
    return None if row is None else (row[0], row[1])


def assert_books_are_clean(db: psycopg.Connection) -> None:
    assert db.execute(BOOKS).fetchall() == []
