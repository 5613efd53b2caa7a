"""Payments as rows and ledger verbs make them, without a payment provider: what pages about money are shown."""

import uuid
from typing import Any

from billing import cards, ledger
from billing.models import Dispute, Refund, TopUp
from tests.accounts.people import Person
from tokenhub.money import usd_to_nanos

NANOS_PER_CENT = 10_000_000


def pay(someone: Person, usd: str, *, fee: str = "0", tax_cents: int = 0, **fields: Any) -> TopUp:
    """A credited top-up."""
    told = fields.pop("billed_to", {})
    order = TopUp.objects.create(
        billed_to=cards.billed_to(someone.account, told),
        account=someone.account,
        user=someone.user,
        request_key=uuid.uuid4(),
        credit_nanos=usd_to_nanos(usd),
        fee_nanos=usd_to_nanos(fee),
        **{"is_test": True, "card_brand": "visa", "card_last4": "4242", **fields},
    )
    subtotal_cents = order.price_nanos // NANOS_PER_CENT
    ledger.credit_top_up(
        top_up_id=order.pk,
        subtotal_cents=subtotal_cents,
        tax_cents=tax_cents,
        total_cents=subtotal_cents + tax_cents,
    )
    order.refresh_from_db()
    return order


def refund(order: TopUp, usd: str) -> Refund:
    credit_nanos = usd_to_nanos(usd)
    row = Refund.objects.create(
        top_up=order,
        origin=Refund.Origin.CUSTOMER,
        cash_cents=order.cash_of(credit_nanos),
        credit_nanos=credit_nanos,
        status=Refund.Status.SUCCEEDED,
    )
    taken = ledger.claw_back(key=row.clawback_key, kind="refund", top_up_id=order.pk, amount_nanos=credit_nanos)
    assert taken == credit_nanos
    return row


def dispute(order: TopUp) -> Dispute:
    """The bank withdraws all of it; closed at once, so that the account is not frozen."""
    row = Dispute.objects.create(
        id=f"dp_{uuid.uuid4().hex}", top_up=order, cash_cents=order.total_cents or 0, status="lost"
    )
    ledger.claw_back(key=row.clawback_key, kind="dispute", top_up_id=order.pk, amount_nanos=order.credit_nanos)
    return row
