"""Admit and settle: the two round trips of a call, batched (group commit) for the gateway, one at a time for Django code.

Admit finds the key by hash, checks it, its limits and the wallet, and takes the hold. Settle captures what the call really cost
(or releases the hold), writes the call's record and the hourly sums. Both are functions of the database (``sql/``); nothing about
money or authority is remembered here.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import psycopg
from django.db import connection as django_connection
from psycopg import pq

from billing.group_commit import (
    Connection,
    Lane,
    int4_array,
    int8_array,
    sha256_array,
    text_array,
    unpack_ints,
    uuid_array,
)
from tokenhub.ids import new_uuid7

log = logging.getLogger("tokenhub.admission")

HEARTBEAT_SECONDS = 5.0
#: a call waits this long for a database that is away, then gets 503; nothing was spent yet
ADMIT_RETRY_SECONDS = 2.0
#: the answer was produced, so settling tries harder; after that the caller is told, and the settlement stays queued
SETTLE_RETRY_SECONDS = 30.0


class Code(IntEnum):
    """What admit() says; the numbers are those of sql/admit.sql."""

    HELD = 0
    HELD_BEFORE = 1
    UNKNOWN_KEY = 2
    REVOKED = 3
    EXPIRED = 4
    FROZEN = 5
    RATE_LIMITED = 6
    KEY_LIMIT = 7
    INSUFFICIENT_CREDITS = 8
    BOOT_ENDED = 9
    CLOSED = 10
    MODEL_NOT_ALLOWED = 11
    IP_NOT_ALLOWED = 12


class Request(NamedTuple):
    """A call that asks to be admitted. Amounts in nano-USD; ``least == most`` where the caller named the bound."""

    call: bytes
    key_hash: bytes
    base_nanos: int  # what the input may cost
    least_nanos: int
    most_nanos: int
    model_id: int
    price_id: int
    models: bytes | None = None  # b"{1,2}": all that may answer, where that is more than ``model_id``
    ip: bytes | None = None


class Admission(NamedTuple):
    code: int
    wallet_id: int | None
    free_nanos: int | None  # before this hold; what the key has left where the key's limit refused
    held_nanos: int | None
    amount_nanos: int | None  # the hold

    @property
    def is_held(self) -> bool:
        return self.code in (Code.HELD, Code.HELD_BEFORE)


class Settlement(NamedTuple):
    """A call that ended. Columns of CallRecord; ``detail`` is JSON bytes or None."""

    call: bytes
    wallet_id: int
    cost_nanos: int
    status: int
    outcome: int
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    duration_ms: int = 0
    first_byte_ms: int = -1
    flags: int = 0
    detail: bytes | None = None
    # what answered, where that is not what the hold was taken for; 0: it is
    model_id: int = 0
    price_id: int = 0
    app: bytes | None = None


STREAMED, SANDBOX, ESTIMATED = 1, 2, 4
#: the endpoint's number is in the bits from here on
ENDPOINT = 8

#: what settle() says of one call
SETTLED, CLOSED_BEFORE, NO_SUCH_HOLD = 0, 1, 2


class Checkpoint(NamedTuple):
    call: bytes
    cost_nanos: int
    input_tokens: int
    output_tokens: int
    model_id: int = 0  # as in Settlement
    price_id: int = 0


_SQL = {
    b"admit": b"SELECT codes, wallets, free, held, amounts FROM admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    b"settle": b"SELECT settle(" + b", ".join(b"$%d" % i for i in range(1, 18)) + b")",
    b"both": b"SELECT settled, codes, wallets, free, held, amounts FROM settle_and_admit("
    + b", ".join(b"$%d" % i for i in range(1, 28))
    + b")",
    b"extend": b"SELECT extend_holds($1, $2, $3)",
    b"checkpoint": b"SELECT checkpoint_holds($1, $2, $3, $4, $5, $6)",
}


def _admit_params(boot: bytes, requests: list[Request]) -> list[bytes]:
    call, key_hash, base, least, most, model, price, models, ip = zip(*requests, strict=True)
    return [
        boot, uuid_array(call), sha256_array(key_hash), int8_array(base), int8_array(least), int8_array(most),
        int4_array(model), int4_array(price), text_array(models), text_array(ip),
    ]  # fmt: skip


def _settle_params(settlements: list[Settlement]) -> list[bytes]:
    call, wallet, cost, *counts, detail, model, price, app = zip(*settlements, strict=True)
    return [
        uuid_array(call), int8_array(wallet), int8_array(cost), *map(int4_array, counts), text_array(detail),
        int4_array(model), int4_array(price), text_array(app),
    ]  # fmt: skip


def _settled(result: pq.abc.PGresult, count: int) -> Iterable[int | None]:
    return unpack_ints(result.get_value(0, 0), "i") or (SETTLED,) * count


def _admitted(result: pq.abc.PGresult, first_column: int) -> Iterable[Admission]:
    columns = [unpack_ints(result.get_value(0, first_column + i), "i" if i == 0 else "q") or () for i in range(5)]
    return [Admission(*row) for row in zip(*columns, strict=True)]


class Desk:
    """One process's access to the ledger. Every verb returns a future; a cancelled admit gives its hold back by itself."""

    def __init__(self, conninfo: str, name: str):
        self._conninfo = conninfo
        self._name = name
        self.boot = new_uuid7()
        self._renewing = asyncio.Lock()

    async def open(self) -> None:
        def connect(name: bytes) -> Connection:
            return Connection(self._conninfo, {name: _SQL[name]})

        await self._start_boot()
        self.calls = Lane(
            self._work,
            lambda: Connection(self._conninfo, {name: _SQL[name] for name in (b"admit", b"settle", b"both")}),
            retry_seconds=lambda item: SETTLE_RETRY_SECONDS if isinstance(item, Settlement) else ADMIT_RETRY_SECONDS,
            must_happen=lambda item: isinstance(item, Settlement),
            on_orphan=self._give_back,
        )
        self.extends = Lane(self._extend, lambda: connect(b"extend"), retry_seconds=lambda _: ADMIT_RETRY_SECONDS)
        self.checkpoints = Lane(
            self._checkpoint, lambda: connect(b"checkpoint"), retry_seconds=lambda _: ADMIT_RETRY_SECONDS
        )
        self._heart = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """Commits what is queued, then ends the boot: what it still holds is free for the sweeper at once."""
        self._heart.cancel()
        for lane in self._lanes():
            await lane.drain()
            lane.close()
        try:
            await self._execute("SELECT end_boot(%s::uuid)", self.boot.hex())
        except psycopg.Error as e:
            log.warning("boot not ended: %s", e)

    def _lanes(self) -> tuple[Lane, ...]:
        return self.calls, self.extends, self.checkpoints

    # ------------------------------------------------------------ verbs

    def admit(self, request: Request) -> "asyncio.Future[Admission]":
        return self.calls.put(request)

    def settle(self, settlement: Settlement) -> "asyncio.Future[int]":
        return self.calls.put(settlement)

    def extend(self, call: bytes, wallet_id: int, total_nanos: int) -> "asyncio.Future[int]":
        """Grows an open hold to a new total. 0 grown · 1 closed · 2 unknown · 7 key limit · 8 insufficient credits."""
        return self.extends.put((call, wallet_id, total_nanos))

    def checkpoint(self, checkpoint: Checkpoint) -> "asyncio.Future[None]":
        return self.checkpoints.put(checkpoint)

    def _give_back(self, item: "Request | Settlement", result: "Admission | int") -> None:
        """The caller left before it knew of its hold."""
        if (
            isinstance(item, Request)
            and isinstance(result, Admission)
            and result.is_held
            and result.wallet_id is not None
        ):
            self.settle(Settlement(item.call, result.wallet_id, 0, 499, 7))

    # ------------------------------------------------------------ batches

    async def _work(
        self, connection: Connection, items: "list[Request | Settlement]"
    ) -> "Iterable[Admission | int | None]":
        """Calls that end and calls that begin in one transaction; either kind alone where there is nothing of the other."""
        requests = [item for item in items if isinstance(item, Request)]
        settlements = [item for item in items if isinstance(item, Settlement)]
        settled: Iterable[int | None] = ()
        admitted: Iterable[Admission] = ()
        if not requests:
            result = await connection.run(b"settle", _settle_params(settlements))
            settled = _settled(result, len(settlements))
        elif not settlements:
            admitted = _admitted(await connection.run(b"admit", _admit_params(self.boot, requests)), 0)
        else:
            result = await connection.run(b"both", [*_settle_params(settlements), *_admit_params(self.boot, requests)])
            settled, admitted = _settled(result, len(settlements)), _admitted(result, 1)
        endings, beginnings = iter(settled), iter(admitted)
        return [next(beginnings) if isinstance(item, Request) else next(endings) for item in items]

    async def _extend(self, connection: Connection, rows: list[tuple[bytes, int, int]]) -> Iterable[int | None]:
        call, wallet, total = zip(*rows, strict=True)
        result = await connection.run(b"extend", [uuid_array(call), int8_array(wallet), int8_array(total)])
        return unpack_ints(result.get_value(0, 0), "i") or ()

    async def _checkpoint(self, connection: Connection, rows: list[Checkpoint]) -> Iterable[None]:
        call, cost, *numbers = zip(*rows, strict=True)
        await connection.run(b"checkpoint", [uuid_array(call), int8_array(cost), *map(int4_array, numbers)])
        return (None,) * len(rows)

    # ------------------------------------------------------------ the boot

    async def _start_boot(self) -> None:
        await self._execute("SELECT start_boot(%s::uuid, %s)", self.boot.hex(), self._name)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self.renew_boot()
            except psycopg.Error as e:
                log.warning("no heartbeat: %s", e)

    async def renew_boot(self) -> None:
        """Says that this process lives. One that was declared dead (a long stall) goes on under another boot."""
        async with self._renewing:
            if not await self._execute("SELECT heartbeat(%s::uuid)", self.boot.hex()):
                self.boot = new_uuid7()
                await self._start_boot()
                log.warning("this process was declared dead after a silence; it goes on as boot %s", self.boot.hex())

    async def _execute(self, sql: str, *params: Any) -> Any:
        async with await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=3
        ) as connection:
            row = await (await connection.execute(sql, params)).fetchone()
        return row[0] if row else None


# ---------------------------------------------------------------- one at a time, inside the caller's Django transaction


def admit_one(boot: bytes, request: Request) -> Admission:
    """``Desk.admit`` for Django code: the hold commits or rolls back with the caller's rows."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            "SELECT codes[1], wallets[1], free[1], held[1], amounts[1] FROM admit(%s, %s::uuid[], %s::bytea[], %s::bigint[],"
            " %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::text[])",
            [
                uuid.UUID(bytes=boot),
                [uuid.UUID(bytes=request.call)],
                [request.key_hash],
                [request.base_nanos],
                [request.least_nanos],
                [request.most_nanos],
                [request.model_id],
                [request.price_id],
                [request.models.decode() if request.models else None],
                [request.ip.decode() if request.ip else None],
            ],
        )
        return Admission(*cursor.fetchone())


def settle_one(settlement: Settlement) -> int:
    """``Desk.settle`` for Django code. SETTLED, CLOSED_BEFORE or NO_SUCH_HOLD."""
    call, *numbers, detail, model, price, app = settlement
    with django_connection.cursor() as cursor:
        cursor.execute(
            "SELECT settle(%s::uuid[], %s::bigint[], %s::bigint[], "
            + "%s::int[], " * 10
            + "%s::text[], %s::int[], %s::int[], %s::text[])",
            [
                [uuid.UUID(bytes=call)],
                *([number] for number in numbers),
                [detail.decode() if detail else None],
                [model],
                [price],
                [app.decode() if app else None],
            ],
        )
        codes = cursor.fetchone()[0]
        return int(codes[0]) if codes else SETTLED
