"""Calls as lists show them, with the names of what they refer to."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.models import CallRecord
from gateway.receipts import State, state_of, tokens_per_second
from gateway.request_log import Cursor
from gateway.usage_filters import KeyName, ModelName, Scope
from tokenhub.ids import generation_id


class CallLine(NamedTuple):
    record: CallRecord
    generation_id: str
    model: ModelName | None
    key: KeyName | None
    state: State
    tokens_per_second: int | None
    cursor: str

    @property
    def first_byte_ms(self) -> int | None:
        return self.record.first_byte_ms if self.record.first_byte_ms >= 0 else None


def lines_of(scope: Scope, records: Iterable[CallRecord]) -> list[CallLine]:
    """No query for each: the names are the scope's."""
    return [
        CallLine(
            record,
            generation_id(record.pk.bytes),
            scope.models.get(record.model_id),
            scope.keys.get(record.key_id),
            state_of(record),
            tokens_per_second(record),
            str(Cursor.of(record)),
        )
        for record in records
    ]
