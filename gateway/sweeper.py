"""Ends the holds of processes that died: captured at their last checkpoint, or released."""

import logging
import uuid
from typing import NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

log = logging.getLogger("tokenhub.sweeper")

#: a boot is dead after this silence (heartbeats come every 5 s); with a sweep each 5 s its holds end within 60 s
SILENCE_SECONDS = 40

#: this process's own boot, by which the auditor knows since when somebody sweeps
_boot: uuid.UUID | None = None


class Swept(NamedTuple):
    captured: int
    released: int


def sweep(silence_seconds: float = SILENCE_SECONDS) -> Swept:
    """Safe to run twice at once and to be late. Says that a sweeper lives, so that the auditor may expect dead holds to end."""
    with connection.cursor() as cursor:
        _report_alive(cursor)
        cursor.execute("SELECT captured, released FROM sweep_holds(%s * interval '1 second')", [silence_seconds])
        swept = Swept(*cursor.fetchone())
    if any(swept):
        log.warning("ended the holds of lost processes: %d captured at a checkpoint, %d released", *swept)
    return swept


def _report_alive(cursor: CursorWrapper) -> None:
    global _boot
    if _boot is not None:
        cursor.execute("SELECT heartbeat(%s)", [_boot])
        if cursor.fetchone()[0]:
            return
    _boot = uuid.uuid4()
    cursor.execute("SELECT start_boot(%s, 'sweeper')", [_boot])


def end_every_boot() -> None:
    """For whoever knows that no process of an earlier life is left: their holds then end at the next sweep, without the silence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT end_boot(id) FROM process_boot WHERE ended_at IS NULL")
