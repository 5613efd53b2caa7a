"""What happens by itself when its time has come: sessions expire, banks answer, card holders object."""

from billing.stripe_sandbox import cards, checkout, checkout_payment, disputes, payment_methods
from billing.stripe_sandbox.call import Call


def run_due(call: Call) -> bool:
    """Whether anything was due. Runs inside the caller's transaction."""
    due = call.store.take_due_errands()
    for kind, target in due:
        ERRANDS[kind](call, target)
    return bool(due)


def _dispute(call: Call, charge_id: str) -> None:
    charge = call.store.get("charge", charge_id)
    card = payment_methods.card_behind(call.store, {"id": charge["payment_method"]}) or cards.CARDS[cards.PLAIN_CARD]
    reason, status = card.dispute or ("general", "needs_response")
    disputes.open_dispute(call, charge, amount_cents=charge["amount"], reason=reason, status=status)


ERRANDS = {"expire": checkout.expire_overdue, "settle": checkout_payment.settle_due, "dispute": _dispute}
