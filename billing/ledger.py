"""The ledger for Django code: one verb at a time, inside the caller's transaction. (The gateway batches: admission.py.)

Every verb is a function of the database; nothing here computes a balance.
"""

import uuid
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.models import Account
from billing.models import LedgerAccount
from tokenhub.errors import TokenHubError

#: derives the one grant id of an account's starter credit, so that it can be posted only once
STARTER_CREDIT = uuid.UUID("6f1c1a4e-6f0e-4c0f-9a55-7d0a4c1f5f10")


class UnknownCustomer(TokenHubError):
    code = "not_found"
    status = 404
    type = "invalid_request_error"


def wallet(customer_id: int) -> LedgerAccount:
    return LedgerAccount.objects.get(customer_id=customer_id, kind=LedgerAccount.Kind.WALLET)


def grant_credit(
    *, customer_id: int, amount_nanos: int, reason: str, granted_by: str, grant_id: uuid.UUID | None = None
) -> bool:
    """Posts promotional credit with its reason. True if posted now, False if this ``grant_id`` was posted before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT grant_credit(%s, %s, %s, %s, %s)",
            [grant_id or uuid.uuid4(), customer_id, amount_nanos, reason, granted_by],
        )
        return bool(cursor.fetchone()[0])


def grant_starter_credit(sender: Any, account: Account, amount_nanos: int | None = None, **kwargs: Any) -> None:
    """What a new account starts with: the configured credit, or ``amount_nanos`` where the opener says otherwise."""
    amount = settings.STARTER_CREDIT_NANOS if amount_nanos is None else amount_nanos
    if amount:
        grant_credit(
            customer_id=account.pk,
            amount_nanos=amount,
            reason="Starter credit",
            granted_by="tokenhub",
            grant_id=uuid.uuid5(STARTER_CREDIT, str(account.pk)),
        )
