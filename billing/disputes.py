"""Disputes: what a bank holds is taken from the wallet, and comes back if the dispute is won. Inquiries move nothing."""

from datetime import UTC, datetime

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from billing import ledger, stripe_api, topups
from billing.models import Dispute, TopUp
from billing.stripe_api import DisputeFact

#: nothing will change any more
CLOSED = ("won", "lost", "warning_closed", "prevented")


def follow(dispute_id: str) -> Dispute | None:
    """Takes over what Stripe says of one dispute. None: of no payment of ours.

    It is read once more at the end: somebody else may have applied newer news while ours were on their way, and whoever
    reads what was applied last is done.
    """
    fact = stripe_api.dispute(dispute_id)
    top_up = topups.follow_payment(fact.payment_intent_id) if fact.payment_intent_id else None
    if top_up is None or top_up.credited_at is None:
        return None
    while True:
        dispute = _apply(top_up, fact)
        latest = stripe_api.dispute(dispute_id)
        if latest == fact:
            return dispute
        fact = latest


def _apply(top_up: TopUp, fact: DisputeFact) -> Dispute:
    due = datetime.fromtimestamp(fact.evidence_due_at, UTC) if fact.evidence_due_at else None
    known = {
        "status": fact.status,
        "has_withdrawn": fact.has_withdrawn,
        "cash_cents": fact.amount_cents,
        "reason": fact.reason,
        "evidence_due_at": due,
    }
    with transaction.atomic():
        dispute, _made = Dispute.objects.update_or_create(
            id=fact.id, defaults=known, create_defaults={"top_up": top_up, **known}
        )
        closed_at = Coalesce("closed_at", Now()) if fact.status in CLOSED else None
        Dispute.objects.filter(pk=dispute.pk).update(closed_at=closed_at)
        if fact.has_withdrawn:
            credit_nanos = top_up.credit_of(fact.amount_cents)
            ledger.claw_back(
                key=dispute.clawback_key, kind="dispute", top_up_id=top_up.pk, amount_nanos=credit_nanos
            )  # fmt: skip
        else:
            ledger.give_back(key=dispute.clawback_key)
        ledger.refresh_freeze(top_up.account_id)
    dispute.refresh_from_db()
    return dispute
