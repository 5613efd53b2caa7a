"""The lines of a ledger filter as CSV, all of them, streamed: exactly what the page would show page by page."""

from collections.abc import Iterator
from datetime import UTC, datetime

from gateway import ledger_lines
from gateway.ledger_filter import LedgerFilter
from gateway.ledger_lines import HoldLine, Line
from gateway.usage_export import ROWS_AT_ONCE, cell, csv_lines
from tokenhub.ids import generation_id
from tokenhub.money import usd_string

COLUMNS = ("id", "created_at", "kind", "cause", "what", "key_name", "receipt", "amount_usd", "balance_usd")
HOLD_COLUMNS = ("id", "created_at", "model", "key_name", "held_usd")


def as_csv(asked: LedgerFilter) -> Iterator[bytes]:
    if asked.is_holds:
        yield csv_lines([HOLD_COLUMNS, *map(_hold_row, ledger_lines.holds(asked.scope))])
        return
    yield csv_lines([COLUMNS])
    before = ""
    while True:
        page = ledger_lines.page(asked, before=before, rows=ROWS_AT_ONCE)
        if page.lines:
            yield csv_lines([_row(line) for line in page.lines])
        if not page.older:
            return
        before = page.older


def _row(line: Line) -> list[str]:
    """Amounts are digits of our own, so their minus is no formula's and stays a number."""
    row = line.row
    receipt = str(row.receipt_number or "")
    key_name = line.key.name if line.key else ""
    words = [line.id, _utc(row.at), row.kind, line.cause, line.what, key_name, receipt]
    return [*map(cell, words), usd_string(row.amount_nanos), usd_string(line.balance_nanos)]


def _hold_row(line: HoldLine) -> list[str]:
    hold = line.hold
    model, key_name = line.model.slug if line.model else "", line.key.name if line.key else ""
    words = [generation_id(hold.pk.bytes), _utc(hold.created_at), model, key_name]
    return [*map(cell, words), usd_string(hold.amount_nanos)]


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
