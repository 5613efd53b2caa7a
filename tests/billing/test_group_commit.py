"""Packing for the real server, and what a lane does with what the server says."""

import asyncio
import json
import os
import uuid
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import pq

from billing import group_commit
from billing.group_commit import (
    BATCH_MAX,
    Connection,
    Lane,
    Refused,
    Unavailable,
    int4_array,
    int8_array,
    sha256_array,
    text_array,
    unpack_ints,
    uuid_array,
)

INT4, INT8 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
# PostgreSQL's text knows neither NUL nor lone surrogates
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
on_one_connection = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)


def ask_server(db: psycopg.Connection, sql: bytes, *arrays: bytes) -> bytes | None:
    result = db.pgconn.exec_params(sql, list(arrays), param_formats=[1] * len(arrays), result_format=1)
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    return result.get_value(0, 0)


# ---------------------------------------------------------------- packing


@on_one_connection
@given(st.lists(INT8))
def test_large_ints_come_back_as_they_went(app_db: psycopg.Connection, values: list[int]) -> None:
    answer = unpack_ints(ask_server(app_db, b"SELECT $1::bigint[]", int8_array(values)), "q")
    assert list(answer or ()) == values


@on_one_connection
@given(st.lists(INT4))
def test_small_ints_come_back_as_they_went(app_db: psycopg.Connection, values: list[int]) -> None:
    answer = unpack_ints(ask_server(app_db, b"SELECT $1::int[]", int4_array(values)), "i")
    assert list(answer or ()) == values


@on_one_connection
@given(st.lists(st.uuids(), min_size=1))
def test_uuids_arrive_as_they_are(app_db: psycopg.Connection, values: list[uuid.UUID]) -> None:
    answer = ask_server(app_db, b"SELECT array_to_json($1::uuid[])", uuid_array([it.bytes for it in values]))
    assert json.loads(answer or b"") == [str(it) for it in values]


@on_one_connection
@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1))
def test_hashes_arrive_as_they_are(app_db: psycopg.Connection, values: list[bytes]) -> None:
    answer = ask_server(app_db, b"SELECT array_to_json($1::bytea[])", sha256_array(values))
    assert json.loads(answer or b"") == ["\\x" + it.hex() for it in values]


@on_one_connection
@given(st.lists(st.none() | TEXTS))
def test_texts_and_nulls_arrive_as_they_are(app_db: psycopg.Connection, values: list[str | None]) -> None:
    packed = text_array([None if it is None else it.encode() for it in values])
    assert json.loads(ask_server(app_db, b"SELECT array_to_json($1::text[])", packed) or b"") == values


@on_one_connection
@given(st.lists(st.none() | INT4, min_size=1))
def test_nulls_among_ints_are_unpacked_as_none(app_db: psycopg.Connection, values: list[int | None]) -> None:
    written = "{" + ",".join("NULL" if it is None else str(it) for it in values) + "}"
    for code, sql in (("i", f"SELECT '{written}'::int[]"), ("q", f"SELECT '{written}'::bigint[]")):
        assert list(unpack_ints(ask_server(app_db, sql.encode()), code) or ()) == values


def test_an_absent_array_is_none_and_an_empty_one_is_empty(app_db: psycopg.Connection) -> None:
    assert unpack_ints(ask_server(app_db, b"SELECT NULL::int[]"), "i") is None
    assert unpack_ints(ask_server(app_db, b"SELECT '{}'::int[]"), "i") == ()


@pytest.mark.parametrize(
    ("pack", "right"), [(uuid_array, b"\0" * 16), (sha256_array, b"\0" * 32)], ids=["uuid_array", "sha256_array"]
)
def test_unequal_widths_are_refused(pack: Any, right: bytes) -> None:
    for wrong in (b"", right[1:], right + b"\0"):
        with pytest.raises(ValueError, match="bytes long"):
            pack([right, wrong])


@pytest.mark.parametrize(("pack", "limit"), [(int8_array, 2**63), (int4_array, 2**31)])
def test_what_does_not_fit_its_type_is_refused(pack: Any, limit: int) -> None:
    assert pack([limit - 1, -limit])
    for wrong in (limit, -limit - 1, None, "1", 1.5):
        with pytest.raises(group_commit.struct.error):
            pack([wrong])


# ---------------------------------------------------------------- lanes


_ECHO = {b"echo": b"SELECT array_agg(2 * x ORDER BY n) FROM unnest($1::bigint[]) WITH ORDINALITY AS u (x, n)"}


async def double(connection: Connection, items: list[int]) -> Iterable[int | None]:
    """A verb whose items are doubled by the server; it refuses a batch in which one is too large to be doubled."""
    result = await connection.run(b"echo", [int8_array(items)])
    return unpack_ints(result.get_value(0, 0), "q") or ()


def lane(**options: Any) -> Lane:
    return Lane(
        double, lambda: Connection(os.environ["DATABASE_URL"], _ECHO), **{"retry_seconds": lambda _: 2.0, **options}
    )


async def test_what_queues_during_a_commit_is_the_next_batch() -> None:
    doubling = lane()
    first = doubling.put(1)
    await asyncio.sleep(0)  # it has left alone
    rest = [doubling.put(number) for number in range(2, BATCH_MAX + 3)]
    assert await asyncio.gather(first, *rest) == [2 * number for number in range(1, BATCH_MAX + 3)]
    assert doubling.batches == 3  # one, a full one, and what was over
    doubling.close()


async def test_only_the_refused_item_fails() -> None:
    doubling = lane()
    results = await asyncio.gather(*map(doubling.put, [1, 2, 2**62, 4, 5]), return_exceptions=True)
    assert [it for it in results if not isinstance(it, Refused)] == [2, 4, 8, 10]
    refused = results[2]
    assert isinstance(refused, Refused)
    assert refused.sqlstate == "22003"
    doubling.close()


async def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "QUEUE_MAX", 3)
    doubling = lane()
    accepted = [doubling.put(number) for number in range(3)]
    with pytest.raises(Unavailable):
        doubling.put(3)
    assert await asyncio.gather(*accepted) == [0, 2, 4]
    doubling.close()


async def test_a_bug_in_a_verb_fails_its_callers_and_the_lane_goes_on() -> None:
    async def broken_once(connection: Connection, items: list[int]) -> Iterable[int | None]:
        if 13 in items:
            raise KeyError("a bug")
        return await double(connection, items)

    failing = Lane(broken_once, lambda: Connection(os.environ["DATABASE_URL"], _ECHO), retry_seconds=lambda _: 2.0)
    unlucky = failing.put(13)
    task = failing._task
    assert task is not None
    with pytest.raises(Unavailable, match="a bug"):
        await unlucky
    with pytest.raises(KeyError):
        await task
    assert await failing.put(14) == 28
    failing.close()


class Unreachable(Connection):
    """No server listens there until ``is_up``."""

    is_up = False

    async def open(self) -> None:
        if not type(self).is_up:
            raise ConnectionError("down")
        await super().open()


async def test_what_must_happen_stays_queued_after_its_caller_was_told_that_the_database_is_away() -> None:
    class Away(Unreachable):
        is_up = False

    told: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
    doubling = Lane(
        double, lambda: Away(os.environ["DATABASE_URL"], _ECHO), retry_seconds=lambda _: 0.0, must_happen=lambda _: True,
        on_orphan=lambda item, result: told.put_nowait((item, result)),
    )  # fmt: skip
    with pytest.raises(Unavailable, match="down"):
        await doubling.put(21)
    Away.is_up = True
    async with asyncio.timeout(10):
        assert await told.get() == (21, 42)
    doubling.close()


async def test_an_item_that_never_left_is_dropped_where_nothing_forces_it() -> None:
    class Away(Unreachable):
        is_up = False

    told: list[Any] = []
    doubling = Lane(
        double, lambda: Away(os.environ["DATABASE_URL"], _ECHO), retry_seconds=lambda _: 0.0,
        on_orphan=lambda item, result: told.append(item),
    )  # fmt: skip
    with pytest.raises(Unavailable):
        await doubling.put(21)
    Away.is_up = True
    assert await doubling.put(1) == 2
    assert told == []
    doubling.close()


async def test_an_item_whose_fate_is_unknown_is_asked_about_until_the_server_answers() -> None:
    """The server committed and died before it could say so."""
    answers = 0
    told: list[tuple[int, int]] = []

    async def committed_but_not_said(connection: Connection, items: list[int]) -> Iterable[int | None]:
        nonlocal answers
        answers += 1
        results = await double(connection, items)
        if answers == 1:
            raise ConnectionError("lost")
        return results

    doubling = Lane(
        committed_but_not_said, lambda: Connection(os.environ["DATABASE_URL"], _ECHO), retry_seconds=lambda _: -1.0,
        on_orphan=lambda item, result: told.append((item, result)),
    )  # fmt: skip
    with pytest.raises(Unavailable, match="lost"):
        await doubling.put(21)
    while doubling._task is not None:
        await asyncio.wait([doubling._task])
    assert told == [(21, 42)]
    doubling.close()


async def test_draining_ends_even_if_the_database_stays_away() -> None:
    doubling = Lane(
        double,
        lambda: Unreachable(os.environ["DATABASE_URL"], _ECHO),
        retry_seconds=lambda _: 0.0,
        must_happen=lambda _: True,
    )
    item = doubling.put(1)
    async with asyncio.timeout(10):
        await doubling.drain()
    with pytest.raises(Unavailable):
        await item
