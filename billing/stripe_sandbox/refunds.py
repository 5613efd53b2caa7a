"""/v1/refunds: money back, never more than is left of the charge."""

from billing.stripe_sandbox import balance, events, lists, payment_methods
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, missing, refused
from billing.stripe_sandbox.store import new_id

ACCEPTED = (
    "charge", "payment_intent", "amount", "metadata", "reason", "currency", "description", "instructions_email",
    "refund_application_fee", "reverse_transfer",
)  # fmt: skip
REASONS = ("", "duplicate", "fraudulent", "requested_by_customer")
FAILURE_REASONS = ("expired_or_canceled_card", "lost_or_stolen_card", "declined", "unknown")
#: the states in which a refund's money counts as gone
COUNTED = ("succeeded", "pending", "requires_action")


def create(call: Call) -> Json:
    params = call.params
    read.only(params, *ACCEPTED)
    charge = _charge(call)
    reason = read.choice(params, "reason", REASONS, "")
    amount_cents = _amount_cents(call, charge)
    card = payment_methods.card_behind(call.store, {"id": charge["payment_method"]})
    pends = card is None or card.refund_pends
    refund = call.store.add(
        {
            "id": new_id("re"),
            "object": "refund",
            "amount": amount_cents,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": call.store.now(),
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": _destination(pends) if card else {"type": "us_bank_account", "us_bank_account": {}},
            "metadata": read.metadata(params),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": reason or None,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "pending" if pends else "succeeded",
            "transfer_reversal": None,
        }
    )
    refund["balance_transaction"] = balance.record(call, "refund", refund, -amount_cents)["id"]
    call.store.save(refund)
    previous = _count(call, charge)
    events.emit(call, "charge.refunded", charge, previous=previous)
    events.emit(call, "refund.created", refund)
    return refund


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("refund", id)


def update(call: Call, id: str) -> Json:
    read.only(call.params, "metadata")
    refund = call.store.get("refund", id)
    before = refund["metadata"]
    refund["metadata"] = read.metadata(call.params, before)
    call.store.save(refund)
    events.emit(call, "refund.updated", refund, previous={"metadata": before})
    return refund


def listing(call: Call) -> Json:
    return lists.page(call, "refund", "/v1/refunds", {"charge": "charge", "payment_intent": "payment_intent"})


def fail(call: Call, id: str) -> Json:
    """The bank sends a refund's money back: what it had taken from the charge is there again."""
    refund = call.store.get("refund", id)
    if refund["status"] not in COUNTED:
        raise refused(f"This refund is {refund['status']}.")
    before = refund["status"]
    reason = read.choice(call.params, "reason", FAILURE_REASONS, "expired_or_canceled_card")
    refund.update(status="failed", failure_reason=reason)
    refund["failure_balance_transaction"] = balance.record(call, "refund_failure", refund, refund["amount"])["id"]
    call.store.save(refund)
    _count(call, call.store.get("charge", refund["charge"]))
    events.emit(call, "refund.updated", refund, previous={"status": before})
    events.emit(call, "refund.failed", refund)
    return refund


def succeed(call: Call, id: str) -> Json:
    refund = call.store.get("refund", id)
    if refund["status"] != "pending":
        raise refused(f"This refund is {refund['status']}.")
    refund["status"] = "succeeded"
    call.store.save(refund)
    events.emit(call, "refund.updated", refund, previous={"status": "pending"})
    return refund


def _charge(call: Call) -> Json:
    """The charge to refund. Raises where there is none, or where nothing of it may be refunded."""
    intent_id, charge_id = read.text(call.params, "payment_intent"), read.text(call.params, "charge")
    if not (intent_id or charge_id):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if intent_id:
        intent = call.store.get("payment_intent", intent_id, param="payment_intent")
        if intent["status"] != "succeeded":
            raise refused(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")
        charge_id = intent["latest_charge"]
    if charge_id is None:
        raise missing("charge", "", status=400, param="charge")
    charge = call.store.get("charge", charge_id, param="charge")
    if charge["status"] != "succeeded":
        raise refused(f"Charge {charge_id} did not succeed and cannot be refunded.")
    if not all(dispute["is_charge_refundable"] for dispute in call.store.where("dispute", charge=charge_id)):
        raise refused(f"Charge {charge_id} has been charged back; cannot issue a refund.", "charge_disputed")
    return charge


def _amount_cents(call: Call, charge: Json) -> int:
    left_cents = charge["amount_captured"] - charge["amount_refunded"]
    if left_cents <= 0:
        raise refused(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    if "amount" not in call.params:
        return left_cents
    amount_cents = read.amount_cents(call.params, "amount")
    if amount_cents > left_cents:
        raise refused(
            f"Refund amount ({_money(amount_cents)}) is greater than unrefunded amount on charge ({_money(left_cents)})",
            param="amount",
        )
    return amount_cents


def _count(call: Call, charge: Json) -> Json:
    """Brings the charge's total up to its refunds; returns the former values."""
    before = {name: charge[name] for name in ("amount_refunded", "refunded")}
    refunds = call.store.where("refund", charge=charge["id"])
    charge["amount_refunded"] = sum(refund["amount"] for refund in refunds if refund["status"] in COUNTED)
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    call.store.save(charge)
    return {name: value for name, value in before.items() if charge[name] != value}


def _destination(pends: bool) -> Json:
    card = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    return {"card": card if pends else {"type": "reversal"}, "type": "card"}


def _money(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02d}"
