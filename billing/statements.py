"""One month of a wallet, from its opening to its closing balance, exact to the nano.

Months are those of UTC, for everybody: a statement must not change because somebody moves to another zone. Both balances are
sums from the account's first movement on, so a month that is over never changes, and each opens with what the one before closed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.http import Http404
from django.utils.formats import date_format

from accounts.models import Account
from billing import ledger, movements, receipts, spending
from billing.models import TopUp
from billing.movements import KindSum
from billing.receipts import Party
from billing.spending import ModelSpending
from tokenhub import clock

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(frozen=True)
class Month:
    first: date

    @classmethod
    def read(cls, text: str) -> "Month":
        """``2026-11``. Raises ``Http404`` for what is no month."""
        found = _MONTH.fullmatch(text)
        try:
            return cls(date(int(found[1]), int(found[2]), 1)) if found else _no_month()
        except ValueError:
            raise Http404 from None

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        return cls(moment.astimezone(UTC).date().replace(day=1))

    @property
    def next(self) -> "Month":
        years, months = divmod(self.first.month, 12)
        return Month(date(self.first.year + years, months + 1, 1))

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.next.start

    @property
    def is_over(self) -> bool:
        return self.end <= clock.now()

    @property
    def slug(self) -> str:
        return f"{self.first.year:04}-{self.first.month:02}"

    @property
    def name(self) -> str:
        return date_format(self.first, "F Y")


@dataclass(frozen=True)
class Statement:
    month: Month
    seller: Party
    customer: Party
    opening_nanos: int
    credits: list[KindSum]
    debits: list[KindSum]  # refunds, disputes, expiries, debts
    models: list[ModelSpending]
    is_test: bool  # a payment in it was a test
    made_at: datetime

    @property
    def credited_nanos(self) -> int:
        return sum(one.amount_nanos for one in self.credits)

    @property
    def debited_nanos(self) -> int:
        """As the wallet sees it: negative."""
        return sum(one.amount_nanos for one in self.debits)

    @property
    def spent_nanos(self) -> int:
        """Negative, like all that leaves the wallet."""
        return -sum(model.cost_nanos for model in self.models)

    @property
    def closing_nanos(self) -> int:
        return self.opening_nanos + self.credited_nanos + self.debited_nanos + self.spent_nanos


def months(account: Account) -> list[Month]:
    """From the account's first to the running one, newest first."""
    month, last = Month.of(account.created_at), Month.of(clock.now())
    found = [month]
    while month.first < last.first:
        month = month.next
        found.append(month)
    return found[::-1]


def find(account: Account, text: str) -> Statement:
    """Raises ``Http404`` for a month before the account or after today."""
    month = Month.read(text)
    if month not in months(account):
        raise Http404
    wallet, counter = ledger.wallet(account.pk), spending.counter()
    moved = movements.by_kind(wallet.pk, month.start, month.end)
    tests = TopUp.objects.filter(account=account, is_test=True, credited_at__gte=month.start, credited_at__lt=month.end)
    return Statement(
        month=month,
        seller=receipts.seller(),
        customer=receipts.customer(account),
        opening_nanos=moved.opening_nanos - counter.total_nanos(account.pk, month.start),
        credits=[one for one in moved.kinds if one.amount_nanos > 0],
        debits=[one for one in moved.kinds if one.amount_nanos < 0],
        models=counter.by_model(account.pk, month.start, month.end),
        is_test=tests.exists(),
        made_at=clock.now(),
    )


def _no_month() -> Month:
    raise Http404
