"""Compares the ledger with itself: balances with transfers, holds with captures, captures with calls. Any difference is a fault."""

from typing import NamedTuple

from django.db import connection, transaction


class Violation(NamedTuple):
    rule: str
    what: str
    expected: str
    found: str


class Audit(NamedTuple):
    accounts: int
    transfers: int
    open_holds: int
    violations: list[Violation]


def audit() -> Audit:
    """One snapshot of everything, so it may run while calls are being paid."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")  # a large ledger takes longer than a page may
        cursor.execute(
            "SELECT (SELECT count(*) FROM ledger_account), (SELECT count(*) FROM transfer),"
            " (SELECT count(*) FROM hold WHERE closed_at IS NULL)"
        )
        counts = cursor.fetchone()
        cursor.execute(
            "SELECT * FROM check_ledger() UNION ALL SELECT * FROM check_payments() UNION ALL SELECT * FROM check_calls()"
        )
        violations = [Violation(*(str(column) for column in row)) for row in cursor.fetchall()]
    accounts, transfers, open_holds = counts
    return Audit(accounts, transfers, open_holds, violations)
