"""The ledger for Django code: one verb at a time, inside the caller's transaction. (The gateway batches: admission.py.)

Every verb is a function of the database; nothing here computes a balance.
"""

import uuid
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet

from accounts.models import Account
from billing.models import CreditLot, LedgerAccount
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
    return bool(_call("grant_credit", grant_id or uuid.uuid4(), customer_id, amount_nanos, reason, granted_by))


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


# ---------------------------------------------------------------- money in and out: each needs a row that says why


def credit_top_up(*, top_up_id: uuid.UUID, subtotal_cents: int, tax_cents: int, total_cents: int) -> bool:
    """Credits an order, once for ever. True: now. False: it was before. ``IntegrityError`` where what was paid is not
    what was ordered."""
    return bool(_call("credit_top_up", top_up_id, subtotal_cents, tax_cents, total_cents))


def claw_back(*, key: str, kind: str, top_up_id: uuid.UUID, amount_nanos: int, whole: bool = False) -> int | None:
    """Takes credit back, once for each key; returns the nanos taken, at most what the order still has.

    What is not free in the wallet becomes a debt, and the account is frozen. ``whole``: all of it from the order's own
    unused credit, or nothing at all (None).
    """
    taken = _call("claw_back", key, kind, top_up_id, amount_nanos, whole)
    return None if taken is None else int(taken)


def give_back(*, key: str) -> int:
    """Returns what ``claw_back`` took under this key, once; 0 where there is nothing to return."""
    return int(_call("give_back", key))


def collect_receivable(customer_id: int) -> int:
    """Pays a debt from what is free in the wallet. The nanos paid."""
    return int(_call("collect_receivable", customer_id))


def refresh_freeze(customer_id: int) -> bool:
    """Freezes or thaws by the reasons that rows give now: debts, withdrawn disputes, an operator's. Whether it is frozen."""
    return bool(_call("refresh_freeze", customer_id))


def lots_of(customer_id: int) -> QuerySet[CreditLot]:
    """The lots with credit left, oldest first, after attributing what calls have used."""
    _call("attribute_lots", customer_id)
    lots = CreditLot.objects.filter(customer_id=customer_id, amount_nanos__gt=F("used_nanos") + F("removed_nanos"))
    return lots.order_by("created_at", "id")


def expire_lots() -> int:
    """Ends promotional credit whose time has come; how many lots."""
    return int(_call("expire_lots"))


def owed_nanos(customer_id: int) -> int:
    debt = LedgerAccount.objects.filter(customer_id=customer_id, kind=LedgerAccount.Kind.RECEIVABLE).first()
    return -debt.posted_nanos if debt else 0


def redeem_promo(*, code: str, customer_id: int, user_id: int, grant_id: uuid.UUID) -> int:
    """0: redeemed, 1: redeemed by this account before, 2: not to be had."""
    return int(_call("redeem_promo", code, customer_id, user_id, grant_id))


def _call(function: str, *arguments: Any) -> Any:
    places = ", ".join(["%s"] * len(arguments))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({places})", arguments)
        return cursor.fetchone()[0]
