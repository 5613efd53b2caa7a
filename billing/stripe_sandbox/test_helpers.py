"""/v1/test_helpers: what a test may order. Paying, disputes, faults, the clock, deliveries, and the truth."""

from billing.stripe_sandbox import (
    checkout_payment,
    deliveries,
    disputes,
    errands,
    events,
    faults,
    lists,
    payments,
    refunds,
)
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, refused

MODES = tuple(deliveries.FIRST_STATES)
DUPLICATES_MOST = 100


def pay_session(call: Call, id: str) -> Json:
    params = call.params
    read.only(params, "outcome", "card", "email", "name", "country", "save", "duplicate_events", "settle_after_seconds")
    call.duplicate_events = min(read.integer(params, "duplicate_events", 0) or 0, DUPLICATES_MOST)
    outcome = read.choice(params, "outcome", checkout_payment.OUTCOMES, "success")
    settles_after_seconds = read.integer(params, "settle_after_seconds")
    payer = checkout_payment.read_payer(params)
    return checkout_payment.pay(call, id, outcome, payer, settles_after_seconds=settles_after_seconds)


def settle_session(call: Call, id: str) -> Json:
    read.only(call.params, "outcome")
    outcome = read.choice(call.params, "outcome", ("success", "failure", ""), "")
    return checkout_payment.settle(call, id, succeeds=outcome == "success" if outcome else None)


def authenticate_intent(call: Call, id: str) -> Json:
    """The payer's answer to a payment that asked for authentication outside Checkout."""
    intent = call.store.get("payment_intent", id)
    if intent["status"] != "requires_action":
        raise refused("This PaymentIntent asks for no authentication.")
    if read.choice(call.params, "outcome", ("success", "failure"), "success") == "failure":
        raise payments.fail_authentication(call, intent)
    method = call.store.get("payment_method", intent["payment_method"])
    return payments.attempt(call, intent, method, off_session=False, authenticated=True)


def create_dispute(call: Call) -> Json:
    params = call.params
    read.only(params, "charge", "payment_intent", "amount", "reason", "status", "withdraw")
    charge_id = read.text(params, "charge")
    if charge_id is None:
        intent_id = str(read.required(params, "payment_intent"))
        charge_id = call.store.get("payment_intent", intent_id, param="payment_intent")["latest_charge"] or ""
    charge = call.store.get("charge", charge_id, param="charge")
    if charge["status"] != "succeeded":
        raise refused("Only a charge that succeeded can be disputed.")
    amount_cents = read.integer(params, "amount", charge["amount"]) or 0
    if not 0 < amount_cents <= charge["amount"]:
        raise invalid("The amount must be above zero and at most the charge's.", "amount")
    return disputes.open_dispute(
        call,
        charge,
        amount_cents=amount_cents,
        reason=read.text(params, "reason", "fraudulent") or "",
        status=read.choice(params, "status", disputes.FIRST_STATUSES, "needs_response"),
        withdraws=read.flag(params, "withdraw", default=True),
    )


def add_fault(call: Call) -> Json:
    read.only(call.params, "count", "kind", "path", "method")
    return {"faults": faults.add(call.store, call.params)}


def list_faults(call: Call) -> Json:
    return {"faults": faults.planned(call.store)}


def clear_faults(call: Call) -> Json:
    faults.clear(call.store)
    return {"faults": []}


def control_delivery(call: Call) -> Json:
    params = call.params
    read.only(params, "mode", "duplicates", "shuffle", "url")
    control = deliveries.delivery_control(call.store)
    control["mode"] = read.choice(params, "mode", MODES, control["mode"])
    control["duplicates"] = min(read.integer(params, "duplicates", control["duplicates"]) or 0, DUPLICATES_MOST)
    control["shuffle"] = read.flag(params, "shuffle", control["shuffle"])
    control["url"] = read.text(params, "url") if "url" in params else control["url"]
    call.store.set_setting("delivery", control)
    return control


def list_deliveries(call: Call) -> Json:
    rows = call.store.execute("SELECT id, event, type, state, attempts, last_status FROM deliveries ORDER BY id")
    return lists.whole([dict(row) for row in rows], "/v1/test_helpers/deliveries")


def advance_clock(call: Call) -> Json:
    """Everything that falls due by the new time happens within this request."""
    read.only(call.params, "advance_seconds")
    advance_seconds = read.amount_cents(call.params, "advance_seconds", least=0)
    offset_seconds = call.store.setting("clock_offset_seconds", 0) + advance_seconds
    call.store.set_setting("clock_offset_seconds", offset_seconds)
    errands.run_due(call)
    return {"now": call.store.now(), "offset_seconds": offset_seconds}


def truth(call: Call) -> Json:
    """What each payment comes to in the end, in cents: what a merchant's books have to agree with."""
    sessions = {s["payment_intent"]: s for s in call.store.where("checkout.session") if s["payment_intent"]}
    return {"payments": [_truth(call, i, sessions.get(i["id"])) for i in call.store.where("payment_intent")]}


def _truth(call: Call, intent: Json, session: Json | None) -> Json:
    charges = call.store.where("charge", payment_intent=intent["id"])
    given_back = call.store.where("refund", payment_intent=intent["id"])
    paid_cents = sum(charge["amount_captured"] for charge in charges)
    refunded_cents = sum(refund["amount"] for refund in given_back if refund["status"] in refunds.COUNTED)
    disputed_cents = -sum(map(disputes.balance_cents, call.store.where("dispute", payment_intent=intent["id"])))
    return {
        "payment_intent": intent["id"],
        "session": session["id"] if session else None,
        "client_reference_id": session["client_reference_id"] if session else None,
        "customer": intent["customer"],
        "currency": intent["currency"],
        "status": intent["status"],
        "metadata": intent["metadata"],
        "paid": paid_cents,
        "refunded": refunded_cents,
        "disputed": disputed_cents,
        "net": paid_cents - refunded_cents - disputed_cents,
    }


def repeat_event(call: Call, id: str) -> Json:
    """Queues an event once more, whatever became of it."""
    event = events.retrieve(call, id)
    deliveries.queue(call.store, id, event["type"])
    return event
