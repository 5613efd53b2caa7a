"""Charges: one attempt of a payment, successful or not."""

from billing.stripe_sandbox import balance, cards, lists
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import new_id

RECEIPTS = "https://pay.stripe.com/receipts/payment/"


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("charge", id)


def listing(call: Call) -> Json:
    return lists.page(call, "charge", "/v1/charges", {"payment_intent": "payment_intent", "customer": "customer"})


def begin(call: Call, intent: Json, method: Json) -> Json:
    """A pending charge of the payment's whole amount, saved by the step that decides it."""
    id = new_id("ch")
    return call.store.add(
        {
            "id": id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": None,
            "captured": False,
            "created": call.store.now(),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "fraud_details": {},
            "livemode": False,
            "metadata": intent["metadata"],
            "on_behalf_of": None,
            "outcome": None,
            "paid": False,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": _details(method),
            "receipt_email": intent["receipt_email"],
            "receipt_number": None,
            "receipt_url": RECEIPTS + id,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "pending",
            "transfer_data": None,
            "transfer_group": None,
        }
    )


def succeed(call: Call, charge: Json) -> None:
    fee_cents = balance.charge_fee_cents(charge["amount"])
    moved = balance.record(call, "charge", charge, charge["amount"], fee_cents=fee_cents)
    charge.update(
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=charge["amount"],
        balance_transaction=moved["id"],
        outcome=_outcome("authorized", "Payment complete."),
    )
    call.store.save(charge)


def fail(call: Call, charge: Json, *, code: str, decline: str, message: str) -> None:
    charge.update(
        status="failed",
        failure_code=code,
        failure_message=message,
        outcome=_outcome("issuer_declined", message, reason=decline),
    )
    call.store.save(charge)


def expand_refunds(call: Call, charge: Json) -> Json:
    refunds = call.store.where("refund", charge=charge["id"])[::-1]
    return lists.whole(refunds, f"/v1/charges/{charge['id']}/refunds")


def decline_error_fields(card: cards.Card, decline: str | None = None) -> tuple[str, str, str]:
    """The error's code, decline code and message."""
    reason = decline or card.decline or "generic_decline"
    code = "authentication_required" if reason == "authentication_required" else card.error_code or "card_declined"
    return code, reason, cards.decline_message(reason)


def _outcome(network_status: str, message: str, reason: str | None = None) -> Json:
    return {
        "advice_code": None if network_status == "authorized" else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": {"authorized": "approved_by_network"}.get(network_status, "declined_by_network"),
        "reason": reason,
        "risk_level": "normal",
        "seller_message": message,
        "type": network_status,
    }


def _details(method: Json) -> Json:
    face = method[method["type"]]
    if method["type"] == "us_bank_account":
        details = {k: face[k] for k in ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4")}
        return {"type": "us_bank_account", "us_bank_account": {**details, "routing_number": face["routing_number"]}}
    unavailable = {"status": "unavailable"}
    card = {k: face[k] for k in ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")}
    card |= {
        "amount_authorized": None,
        "authorization_code": None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": unavailable,
        "installments": None,
        "last4": face["last4"],
        "mandate": None,
        "multicapture": unavailable,
        "network": face["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": 0, "status": "unavailable"},
        "regulated_status": face["regulated_status"],
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }
    return {"type": "card", "card": card}
