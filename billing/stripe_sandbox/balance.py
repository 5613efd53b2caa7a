"""Balance transactions: what moved on the merchant's own balance, with fees."""

from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import new_id

FEE_PER_MILLE = 29
FEE_FIXED_CENTS = 30
DISPUTE_FEE_CENTS = 1500
SETTLES_AFTER_SECONDS = 2 * 24 * 3600


def charge_fee_cents(amount_cents: int) -> int:
    return (amount_cents * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED_CENTS


def record(call: Call, type: str, source: Json, amount_cents: int, *, fee_cents: int = 0) -> Json:
    """``amount_cents`` is negative for money that leaves."""
    now = call.store.now()
    fees = [{"amount": fee_cents, "application": None, "currency": source["currency"],
             "description": "Stripe processing fees", "type": "stripe_fee"}]  # fmt: skip
    return call.store.add(
        {
            "id": new_id("txn"),
            "object": "balance_transaction",
            "amount": amount_cents,
            "available_on": now + SETTLES_AFTER_SECONDS,
            "balance_type": "payments",
            "created": now,
            "currency": source["currency"],
            "description": source.get("description"),
            "exchange_rate": None,
            "fee": fee_cents,
            "fee_details": fees if fee_cents else [],
            "net": amount_cents - fee_cents,
            "reporting_category": "dispute" if type == "adjustment" else type,
            "source": source["id"],
            "status": "pending",
            "type": type,
        }
    )


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("balance_transaction", id)
