"""The balance of the last 30 days as a step line, what was added marked, and dashed the way to zero at the present rate."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import movements, spending
from billing.amounts import NANOS_PER_CENT
from billing.models import LedgerAccount, Transfer
from tokenhub import charts, clock
from tokenhub.charts import Series
from tokenhub.figures import usd

DAYS = 30
RATE_DAYS = 7
#: a date further away than this says more than the rate knows
PROJECTED_DAYS_MAX = 30
ADDED = ("topup", "promo", "adjustment")
#: marks are words, and words of neighbours would lie on each other
DAYS_BETWEEN_MARKS = 4
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Balance:
    """One entry for each local day, today last; amounts in nano-USD."""

    days: list[date]
    closing: list[int | None]  # None before anything moved
    added: list[int]
    spent: list[int]
    available_nanos: int

    @classmethod
    def read(cls, wallet: LedgerAccount, zone: tzinfo) -> "Balance":
        """Two queries: the wallet's movements, and the hours' spending."""
        account_id = wallet.customer_id or 0
        now = clock.now()
        today = now.astimezone(zone).date()
        days = [today - ago * DAY for ago in reversed(range(DAYS))]
        starts = [_start(day, zone) for day in days]
        transfers = list(movements.of(wallet.pk, starts[0]))
        hours = spending.counter().by_hour(account_id, starts[0], now + HOUR)
        moved, added, spent = [0] * DAYS, [0] * DAYS, [0] * DAYS
        for transfer in transfers:
            at = bisect_right(starts, transfer.created_at) - 1
            moved[at] += movements.signed_nanos(transfer, wallet.pk)
            added[at] += transfer.amount_nanos if _adds(transfer, wallet) else 0
        for hour, cost_nanos in hours.items():
            spent[bisect_right(starts, hour) - 1] += cost_nanos
        closing = _closing(wallet.posted_nanos, [m - s for m, s in zip(moved, spent, strict=True)])
        return cls(days, closing, added, spent, wallet.available_nanos)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.closing)

    @property
    def rate_nanos(self) -> int:
        """Spent a day, in the mean of the last seven whole days; of fewer since the first call."""
        first = next((at for at, spent in enumerate(self.spent) if spent), DAYS)
        whole = self.spent[first:-1][-RATE_DAYS:] or self.spent[-1:]
        return sum(whole) // len(whole)

    @property
    def days_left(self) -> int | None:
        """Whole days until nothing is left; None where nothing is spent."""
        return max(self.available_nanos, 0) // self.rate_nanos if self.rate_nanos else None

    @property
    def lasts_until(self) -> date | None:
        """The day on which nothing is left at this rate; None where that is not known or too far away to be said."""
        left = self.days_left
        return None if left is None or left > 10 * PROJECTED_DAYS_MAX else self.days[-1] + left * DAY

    # ------------------------------------------------------------ the picture

    def draw(self) -> SafeString:
        """Empty where nothing has moved."""
        if self.is_empty:
            return SafeString("")
        projected = self._projected()
        days = self.days + [self.days[-1] + (n + 1) * DAY for n in range(len(projected))]
        return charts.line(
            [Series(_("Balance"), [*self.closing, *projected])],
            [date_format(day, "j M") for day in days],
            summary=self.summary(),
            unit=charts.MONEY,
            bucket=_("Day"),
            is_stepped=True,
            projected_from=DAYS - 1 if projected else None,
            marks=self._marks(),
        )

    def _projected(self) -> list[int]:
        """What is left at the end of each day to come, down to zero."""
        left, now = self.days_left, self.closing[-1] or 0
        if not left or left > PROJECTED_DAYS_MAX:
            return []
        return [*(max(now - n * self.rate_nanos, 0) for n in range(1, left)), 0]

    def _marks(self) -> dict[int, str]:
        """The largest first, until they would lie on each other."""
        marked: list[int] = []
        for at in sorted((at for at in range(DAYS) if self.added[at]), key=lambda at: -self.added[at]):
            if all(abs(at - other) >= DAYS_BETWEEN_MARKS for other in marked):
                marked.append(at)
        return {at: f"+{_short(self.added[at])}" for at in sorted(marked)}

    def summary(self) -> str:
        return f"{_('Balance over 30 days')}, {self._added_words()}; {self._end_words()}."

    def _added_words(self) -> str:
        at = [n for n in range(DAYS) if self.added[n]]
        if not at:
            return _("nothing was added")
        if len(at) > 3:
            text = ngettext("%(sum)s added on %(n)d day", "%(sum)s added on %(n)d days", len(at))
            return text % {"sum": usd(sum(self.added)), "n": len(at)}
        one = _("%(amount)s added on %(day)s")
        return ", ".join(one % {"amount": usd(self.added[n]), "day": date_format(self.days[n], "j F")} for n in at)

    def _end_words(self) -> str:
        left = self.days_left
        if left is None:
            return _("nothing was spent lately")
        if self.lasts_until is None or left > PROJECTED_DAYS_MAX:
            return _("at the present rate it lasts for more than 30 days")
        return _("at the present rate it reaches zero on %(day)s") % {"day": date_format(self.lasts_until, "j F")}


def _start(day: date, zone: tzinfo) -> datetime:
    """The whole hour of UTC in which a local day begins: spending is summed by those."""
    begin = datetime.combine(day, time(), zone).astimezone(UTC)
    return begin.replace(minute=0, second=0, microsecond=0)


def _adds(transfer: Transfer, wallet: LedgerAccount) -> bool:
    return transfer.kind in ADDED and transfer.credit_id == wallet.pk


def _closing(posted_nanos: int, nets: Iterable[int]) -> list[int | None]:
    """The balance at each day's end, backwards from now."""
    nets = list(nets)
    closing: list[int | None] = []
    balance = posted_nanos
    for net in reversed(nets):
        closing.append(balance)
        balance -= net
    closing.reverse()
    for at, net in enumerate(nets):  # before anything moved there was nothing to draw
        if net or balance:
            break
        closing[at] = None
    return closing


def _short(nanos: int) -> str:
    if nanos >= NANOS_PER_CENT:
        return usd(nanos, "cents").removesuffix(".00")
    return usd(nanos)
