"""/v1/disputes: a bank's objection to a charge. An inquiry (``warning_…``) moves no money; a dispute takes it back."""

from billing.stripe_sandbox import balance, events, lists
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, refused
from billing.stripe_sandbox.store import new_id

FIRST_STATUSES = ("needs_response", "warning_needs_response")
OUTCOMES = ("won", "lost", "warning_closed")
CLOSED = OUTCOMES
SECONDS_TO_RESPOND = 14 * 24 * 3600
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
#: the words of test mode that decide a dispute at once
EVIDENCE_OUTCOMES = {"winning_evidence": "won", "losing_evidence": "lost"}


def open_dispute(
    call: Call, charge: Json, *, amount_cents: int, reason: str, status: str, withdraws: bool = True
) -> Json:
    """``withdraws`` False leaves the money for a later step, as when Stripe's two events are far apart."""
    inquiry = status == "warning_needs_response"
    now = call.store.now()
    dispute = {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": amount_cents,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + SECONDS_TO_RESPOND,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(charge, inquiry),
        "reason": reason,
        "status": status,
    }
    call.store.add(dispute)
    charge["disputed"] = True
    call.store.save(charge)
    events.emit(call, "charge.dispute.created", dispute)
    if withdraws and not inquiry:
        _move(call, dispute, -amount_cents, "charge.dispute.funds_withdrawn")
    return dispute


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("dispute", id)


def listing(call: Call) -> Json:
    return lists.page(call, "dispute", "/v1/disputes", {"charge": "charge", "payment_intent": "payment_intent"})


def update(call: Call, id: str) -> Json:
    """Evidence, and its submission."""
    read.only(call.params, "evidence", "metadata", "submit")
    dispute = _still_open(call, id)
    dispute["metadata"] = read.metadata(call.params, dispute["metadata"])
    evidence = read.mapping(call.params, "evidence")
    dispute["evidence"].update({name: value for name, value in evidence.items() if name in EVIDENCE})
    dispute["evidence_details"]["has_evidence"] = any(dispute["evidence"][name] for name in EVIDENCE)
    before = dispute["status"]
    if read.flag(call.params, "submit", default=True) and evidence:
        dispute["evidence_details"]["submission_count"] += 1
        dispute["status"] = "warning_under_review" if before.startswith("warning") else "under_review"
    call.store.save(dispute)
    events.emit(call, "charge.dispute.updated", dispute, previous={"status": before})
    outcome = EVIDENCE_OUTCOMES.get(str(dispute["evidence"]["uncategorized_text"]))
    return close_as(call, dispute, outcome) if outcome else dispute


def accept(call: Call, id: str) -> Json:
    """``close``: the merchant gives in."""
    return close_as(call, _still_open(call, id), "lost")


def withdraw(call: Call, id: str) -> Json:
    """The bank takes the money: of a dispute that has not yet, or of an inquiry that becomes a dispute."""
    dispute = _still_open(call, id)
    if balance_cents(dispute) < 0:
        raise refused("The funds of this dispute are withdrawn already.")
    if dispute["status"].startswith("warning"):
        before = dispute["status"]
        dispute.update(status="needs_response", is_charge_refundable=False)
        call.store.save(dispute)
        events.emit(call, "charge.dispute.updated", dispute, previous={"status": before})
    _move(call, dispute, -dispute["amount"], "charge.dispute.funds_withdrawn")
    return dispute


def reinstate(call: Call, id: str) -> Json:
    dispute = call.store.get("dispute", id)
    if balance_cents(dispute) >= 0:
        raise refused("This dispute holds no funds.")
    _move(call, dispute, -balance_cents(dispute), "charge.dispute.funds_reinstated")
    return dispute


def close(call: Call, id: str) -> Json:
    dispute = _still_open(call, id)
    outcome = read.choice(call.params, "outcome", OUTCOMES, "")
    if (outcome == "warning_closed") != dispute["status"].startswith("warning"):
        raise invalid("An inquiry ends as warning_closed; a dispute as won or lost.", "outcome")
    return close_as(call, dispute, outcome)


def close_as(call: Call, dispute: Json, outcome: str) -> Json:
    dispute["status"] = outcome
    dispute["is_charge_refundable"] = outcome == "warning_closed"
    call.store.save(dispute)
    if outcome == "lost" and balance_cents(dispute) == 0:
        _move(call, dispute, -dispute["amount"], "charge.dispute.funds_withdrawn")
    if outcome == "won" and balance_cents(dispute) < 0:
        _move(call, dispute, -balance_cents(dispute), "charge.dispute.funds_reinstated")
    events.emit(call, "charge.dispute.closed", dispute)
    return dispute


def balance_cents(dispute: Json) -> int:
    """What the dispute has moved on the merchant's balance, fees aside: negative while the bank has the money."""
    return sum(moved["amount"] for moved in dispute["balance_transactions"])


def _still_open(call: Call, id: str) -> Json:
    dispute = call.store.get("dispute", id)
    if dispute["status"] in CLOSED:
        raise refused("This dispute is already closed.", "dispute_already_closed")
    return dispute


def _move(call: Call, dispute: Json, amount_cents: int, event: str) -> None:
    fee_cents = balance.DISPUTE_FEE_CENTS if amount_cents < 0 else 0
    moved = balance.record(call, "adjustment", dispute, amount_cents, fee_cents=fee_cents)
    dispute["balance_transactions"].append(moved)
    call.store.save(dispute)
    events.emit(call, event, dispute)


def _method_details(charge: Json, inquiry: bool) -> Json:
    details = charge["payment_method_details"]
    if details["type"] != "card":
        return {"type": details["type"]}
    card = {
        "brand": details["card"]["brand"],
        "case_type": "inquiry" if inquiry else "chargeback",
        "network": details["card"]["network"],
        "network_reason_code": "10.4",
    }
    return {"card": card, "type": "card"}
