"""The calls of a filter as CSV or JSON, all of them, streamed: exactly what the request log would show page by page."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from gateway import request_log
from gateway.models import CallRecord, Endpoint, Outcome
from gateway.usage_filters import Scope, UsageFilter
from tokenhub.ids import generation_id
from tokenhub.money import usd_string

#: fetched and sent at a time; no cursor is kept open in between, so a slow reader holds nothing in the database
ROWS_AT_ONCE = 2_000
COLUMNS = (
    "id", "created_at", "model", "key_id", "key_name", "app", "endpoint", "status", "outcome",
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "duration_ms", "first_byte_ms", "streamed", "estimated", "cost_usd",
)  # fmt: skip
#: what a spreadsheet would take for a formula
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_csv(asked: UsageFilter) -> Iterator[bytes]:
    yield csv_lines([COLUMNS])
    for records in _batches(asked):
        yield csv_lines([[cell(value) for value in _row(asked.scope, record).values()] for record in records])


def as_json(asked: UsageFilter) -> Iterator[bytes]:
    """``{"from","to","data":[…]}``; amounts are decimal strings."""
    period = asked.period
    yield b'{"from":"%b","to":"%b","data":[' % (period.start.isoformat().encode(), period.end.isoformat().encode())
    separator = b"\n"
    for records in _batches(asked):
        rows = b",\n".join(orjson.dumps(_row(asked.scope, record)) for record in records)
        yield separator + rows
        separator = b",\n"
    yield b"\n]}\n"


async def streamed(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Chunk by chunk also under ASGI, where Django would collect a plain iterator before it sends the first byte."""
    while (chunk := await sync_to_async(lambda: next(chunks, None))()) is not None:
        yield chunk


def _batches(asked: UsageFilter) -> Iterator[list[CallRecord]]:
    """From the newest to the oldest, so that calls that arrive meanwhile are not in it."""
    before = ""
    while True:
        page = request_log.page(asked, before=before, rows=ROWS_AT_ONCE)
        if page.records:
            yield page.records
        if not page.older:
            return
        before = page.older


def _row(scope: Scope, record: CallRecord) -> dict[str, Any]:
    key, model = scope.keys.get(record.key_id), scope.models.get(record.model_id)
    return {
        "id": generation_id(record.pk.bytes),
        "created_at": record.created_at.isoformat(),
        "model": model.slug if model else "",
        "key_id": key.key_id if key else "",
        "key_name": key.name if key else "",
        "app": record.app,
        "endpoint": Endpoint(record.endpoint).name.lower(),
        "status": record.status,
        "outcome": Outcome(record.outcome).name.lower(),
        "input_tokens": record.input_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "duration_ms": record.duration_ms,
        "first_byte_ms": record.first_byte_ms if record.first_byte_ms >= 0 else None,
        "streamed": record.streamed,
        "estimated": record.estimated,
        "cost_usd": usd_string(record.cost_nanos),
    }


def cell(value: object) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def csv_lines(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
