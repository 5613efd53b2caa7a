"""What is printed about one payment: who sold, who paid, for what, and what went back since."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.models import Account
from billing import cards
from billing.amounts import NANOS_PER_CENT
from billing.models import Refund, TopUp

ROWS_PER_PAGE = 25
#: the largest number that the column holds
NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True)
class Party:
    name: str
    address: list[str] = field(default_factory=list)
    tax_ids: list[str] = field(default_factory=list)


class OrderLine(NamedTuple):
    what: str
    amount_nanos: int


class Refunded(NamedTuple):
    refund: Refund
    cash_nanos: int


@dataclass(frozen=True)
class Receipt:
    order: TopUp
    seller: Party
    customer: Party
    lines: list[OrderLine]
    refunds: list[Refunded]

    @classmethod
    def of(cls, order: TopUp) -> "Receipt":
        lines = [OrderLine(_("TokenHub credit"), order.credit_nanos)]
        if order.fee_nanos:
            lines.append(OrderLine(_("Card fee"), order.fee_nanos))
        if order.tax_cents:
            lines.append(OrderLine(_("Tax"), order.tax_cents * NANOS_PER_CENT))
        refunds = [
            Refunded(one, one.cash_cents * NANOS_PER_CENT)
            for one in order.refunds.all()
            if one.status != Refund.Status.FAILED
        ]
        return cls(order, seller(), customer(order.account, order.billed_to), lines, refunds)

    @property
    def number(self) -> int:
        return self.order.receipt_number or 0

    @property
    def total_nanos(self) -> int:
        return (self.order.total_cents or 0) * NANOS_PER_CENT

    @property
    def card(self) -> str:
        """Empty where Stripe named none: a bank debit."""
        if not self.order.card_last4:
            return ""
        words = {"brand": self.order.card_brand.title(), "last4": self.order.card_last4}
        return _("%(brand)s card ending %(last4)s") % words

    @property
    def refunded_nanos(self) -> int:
        """Cash."""
        return sum(one.cash_nanos for one in self.refunds)


def of_account(account: Account) -> QuerySet[TopUp]:
    """The credited orders, the newest receipt first."""
    return TopUp.objects.filter(account=account, receipt_number__isnull=False).order_by("-receipt_number")


def find(account: Account, number: str) -> Receipt:
    """Raises ``Http404``; another team's number is as unknown as a random one."""
    refunds = Prefetch("refunds", Refund.objects.order_by("created_at"))
    orders = of_account(account).select_related("account__billing_profile").prefetch_related(refunds)
    order = orders.filter(receipt_number=_number(number)).first()
    if order is None:
        raise Http404
    return Receipt.of(order)


class Paid(NamedTuple):
    order: TopUp
    total_nanos: int


class Page(NamedTuple):
    paid: list[Paid]
    older: str  # cursor; empty where there is no more


def page(account: Account, before: str = "") -> Page:
    """``before``: a receipt's number. Raises ``Http404`` for something that never was one."""
    orders = of_account(account)
    if before:
        orders = orders.filter(receipt_number__lt=_number(before))
    found = list(orders[: ROWS_PER_PAGE + 1])
    shown = found[:ROWS_PER_PAGE]
    paid = [Paid(order, (order.total_cents or 0) * NANOS_PER_CENT) for order in shown]
    return Page(paid, str(shown[-1].receipt_number) if len(found) > ROWS_PER_PAGE else "")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= NUMBER_MAX):
        raise Http404
    return int(text)


# ---------------------------------------------------------------- who


def seller() -> Party:
    """As the operator's settings say. Lines of the address are separated by line breaks or semicolons."""
    of_settings = settings.SELLER
    tax_ids = [of_settings["tax_id"]] if of_settings["tax_id"] else []
    return Party(of_settings["name"], cards.lines_of(of_settings["address"].replace(";", "\n")), tax_ids)


def customer(account: Account, billed_to: dict[str, Any] | None = None) -> Party:
    """As it was when it was paid (``cards.billed_to``); for a statement, as the billing details are now."""
    told = cards.billed_to(account, {}) if billed_to is None else billed_to
    return Party(told["names"][0], [*told["names"][1:], *told["address"]], told["tax_ids"])
