"""One payment in words: where it stands, and what happened when."""

from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _

from billing.amounts import NANOS_PER_CENT
from billing.models import Dispute, Refund, TopUp
from tokenhub.figures import usd

Status = TopUp.Status

#: Stripe's words for a dispute that is over
WON, LOST = ("won", "warning_closed", "prevented"), "lost"


class Step(NamedTuple):
    at: datetime
    what: str
    detail: str
    mark: str = ""  # of the state component: empty is good, else warn, bad, off


class History(NamedTuple):
    word: str
    mark: str
    explanation: str
    steps: list[Step]  # by time

    @classmethod
    def of(cls, order: TopUp) -> "History":
        returned, disputes = list(order.refunds.order_by("created_at")), list(order.disputes.order_by("created_at"))
        steps = [*_paying(order)]
        for one in returned:
            steps += _refund(one)
        for dispute in disputes:
            steps += _dispute(dispute)
        word, mark, explanation = _credited(order, disputes) if order.credited_at else _uncredited(order)
        return cls(word, mark, explanation, sorted(steps, key=lambda step: step.at))


def card(order: TopUp) -> str:
    return _("card ending %(last4)s") % {"last4": order.card_last4} if order.card_last4 else ""


def state(order: TopUp) -> tuple[str, str]:
    """Word and mark, for a line in a list."""
    if order.credited_at:
        return (_("Refunded"), "off") if order.clawed_nanos == order.credit_nanos else (_("Credited"), "")
    word, mark, _explanation = _uncredited(order)
    return word, mark


def _uncredited(order: TopUp) -> tuple[str, str, str]:
    is_auto = order.origin == TopUp.Origin.AUTO
    match order.status:
        case Status.CREATED if is_auto:
            return _("Charging the saved card"), "live", _("The answer of the payment service is awaited.")
        case Status.CREATED:
            text = _("The payment page could not be opened yet. Nothing was taken; you can try again from Billing.")
            return _("Created"), "off", text
        case Status.OPEN:
            text = _(
                "Nothing was taken so far. The payment page stays open for an hour; the credit comes seconds after it."
            )
            return _("Waiting for payment"), "live", text
        case Status.PROCESSING:
            text = _("The bank is moving the money, which may take some days. The credit is added when it arrives; there is nothing to do.")  # fmt: skip
            return _("Payment on its way"), "live", text
        case Status.EXPIRED:
            return _("Expired"), "off", order.reason or _("Nothing was taken.")
        case Status.REVIEW:
            text = _("A person looks at this payment, because what was paid is not what was ordered. Nothing is lost.")
            return _("Under review"), "warn", f"{order.reason} {text}".strip()
    return _("Failed"), "bad", order.reason or _("Nothing was taken.")


def _credited(order: TopUp, disputes: list[Dispute]) -> tuple[str, str, str]:
    if any(dispute.closed_at is None and not dispute.is_inquiry for dispute in disputes):
        return (
            _("Disputed"),
            "bad",
            _("The bank asks for this payment back. Its credit is kept back until that is decided."),
        )
    credit = usd(order.credit_nanos)
    if not order.clawed_nanos:
        return _("Credited"), "", _("%(credit)s were added to the balance, once.") % {"credit": credit}
    taken = {"taken": usd(order.clawed_nanos), "credit": credit}
    if order.unreturned_nanos:
        return _("Credited, partly taken back"), "warn", _("%(taken)s of %(credit)s were taken back.") % taken
    return _("Taken back"), "off", _("All of %(credit)s was taken back from the balance.") % taken


def _paying(order: TopUp) -> list[Step]:
    by = order.user.email if order.user else ""
    origin = _("by auto top-up") if order.origin == TopUp.Origin.AUTO else by
    steps = [Step(order.created_at, _("Created"), origin)]
    if order.paid_at and order.total_cents is not None:
        paid = usd(order.total_cents * NANOS_PER_CENT)
        steps.append(Step(order.paid_at, _("Paid"), ", ".join(filter(None, [paid, card(order)]))))
    if order.credited_at:
        steps.append(
            Step(order.credited_at, _("Credited"), _("%(credit)s, once") % {"credit": usd(order.credit_nanos)})
        )
    if order.closed_at:
        is_failed = order.status == Status.FAILED
        words = _("Failed") if is_failed else _("Expired")
        steps.append(Step(order.closed_at, words, order.reason, "bad" if is_failed else "off"))
    return steps


def _refund(refund: Refund) -> list[Step]:
    amounts = {"cash": usd(refund.cash_cents * NANOS_PER_CENT), "credit": usd(refund.credit_nanos)}
    asked = _("%(cash)s for %(credit)s of credit") % amounts
    steps = [Step(refund.created_at, _("Refund asked for"), asked, "live" if refund.settled_at is None else "off")]
    if refund.settled_at and refund.status == Refund.Status.SUCCEEDED:
        words = _("%(cash)s on its way to the card; banks take 5 to 10 days to show it") % amounts
        steps.append(Step(refund.settled_at, _("Refunded"), words))
    elif refund.settled_at:
        words = _("%(credit)s of credit were given back") % amounts
        steps.append(Step(refund.settled_at, _("Refund failed"), words, "bad"))
    return steps


def _dispute(dispute: Dispute) -> list[Step]:
    cash = usd(dispute.cash_cents * NANOS_PER_CENT)
    opened = (_("Bank’s inquiry"), "warn") if dispute.is_inquiry else (_("Disputed at the bank"), "bad")
    steps = [Step(dispute.created_at, opened[0], cash, opened[1])]
    if dispute.closed_at is None:
        return steps
    if dispute.status == LOST:
        steps.append(Step(dispute.closed_at, _("Dispute lost"), _("the bank kept the money"), "bad"))
    elif dispute.status in WON:
        steps.append(Step(dispute.closed_at, _("Dispute over"), _("the credit is yours again")))
    return steps
