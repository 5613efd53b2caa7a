"""The balance of thirty days: what it closes with each day, what is marked, and when it reaches zero."""

from datetime import UTC, date, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from django.utils.formats import date_format

from billing import balance_chart, ledger
from billing.balance_chart import DAYS, Balance
from gateway import sample_calls
from gateway.models import CallRecord
from tests.accounts.people import Person, person
from tests.billing.orders import pay, refund
from tokenhub.figures import usd
from tokenhub.money import usd_to_nanos

TODAY = date(2026, 11, 22)


def balance(*, closing: int, spent: list[int], added: dict[int, int] | None = None) -> Balance:
    """Thirty days that end today; ``spent`` is of the last days, in dollars as everything here."""
    nano = 10**9
    days = [TODAY - timedelta(days=ago) for ago in reversed(range(DAYS))]
    daily = [0] * (DAYS - len(spent)) + [one * nano for one in spent]
    given = [(added or {}).get(at, 0) * nano for at in range(DAYS)]
    return Balance(days, [closing * nano] * DAYS, given, daily, closing * nano)


@pytest.fixture(scope="module")
def busy(_database_for_all: None) -> Person:
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    sample_calls.make(account=me.account, user=me.user, calls=600)
    refund(pay(me, "25.00"), "2.50")
    return me


# ---------------------------------------------------------------- nothing to draw


def test_an_account_where_nothing_moved_has_no_chart() -> None:
    me = person()
    assert Balance.read(ledger.wallet(me.account.pk), UTC).draw() == ""
    assert Balance.read(ledger.wallet(me.account.pk), UTC).lasts_until is None


def test_a_balance_that_nobody_spends_has_no_end() -> None:
    idle = balance(closing=10, spent=[])
    assert (idle.rate_nanos, idle.days_left, idle.lasts_until) == (0, None, None)
    assert "dash" not in idle.draw()
    assert "nothing was spent lately" in idle.summary()


def test_an_empty_wallet_projects_nothing() -> None:
    empty = balance(closing=0, spent=[1] * 8)
    assert empty.days_left == 0
    assert empty.lasts_until == TODAY
    assert empty.draw() == ""


# ---------------------------------------------------------------- the figures


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/St_Johns")], ids=str)
def test_each_day_closes_with_what_had_moved_by_then(busy: Person, zone: tzinfo) -> None:
    read = Balance.read(ledger.wallet(busy.account.pk), zone)
    assert read.closing[-1] == ledger.wallet(busy.account.pk).posted_nanos
    for at in range(1, DAYS):
        begin = balance_chart._start(read.days[at], zone)
        end = begin + timedelta(days=1) if at + 1 == DAYS else balance_chart._start(read.days[at + 1], zone)
        calls = CallRecord.objects.filter(account_id=busy.account.pk, created_at__gte=begin, created_at__lt=end)
        spent = sum(calls.values_list("cost_nanos", flat=True))
        assert read.spent[at] == spent
        if at + 1 < DAYS:  # all credit came today
            assert (read.closing[at - 1] or 0) - (read.closing[at] or 0) == spent


def test_the_rate_is_of_the_last_seven_whole_days() -> None:
    assert balance(closing=10, spent=[90, 1, 2, 3, 4, 5, 6, 7, 50]).rate_nanos == 4 * 10**9
    assert balance(closing=10, spent=[3, 5, 50]).rate_nanos == 4 * 10**9, "of fewer since the first call"
    assert balance(closing=10, spent=[6]).rate_nanos == 6 * 10**9, "today alone"


def test_it_lasts_as_many_days_as_the_rate_goes_into_it() -> None:
    some = balance(closing=22, spent=[4] * 8)
    assert some.days_left == 5
    assert some.lasts_until == TODAY + timedelta(days=5)
    assert f"reaches zero on {date_format(some.lasts_until, 'j F')}" in some.summary()


def test_a_day_too_far_away_is_not_named() -> None:
    assert balance(closing=10_000, spent=[1] * 8).lasts_until is None
    assert "lasts for more than 30 days" in balance(closing=40, spent=[1] * 8).summary()


# ---------------------------------------------------------------- the picture


def test_the_way_to_zero_is_dashed_and_named_a_forecast() -> None:
    drawn = balance(closing=12, spent=[4] * 8).draw()
    assert 'class="line l1 dash"' in drawn
    assert "25 Nov (forecast)" in drawn
    assert "$8.00" in drawn


def test_credit_that_was_added_is_marked_and_named() -> None:
    one = balance(closing=12, spent=[4] * 8, added={10: 25, 20: 40})
    assert "+$25" in one.draw()
    assert "$40.00 added on 13 November" in one.summary()
    many = balance(closing=12, spent=[4] * 8, added=dict.fromkeys(range(30), 1))
    assert "$30.00 added on 30 days" in many.summary()
    assert many.draw().count('class="mark"') == 8, "as many as have room"


def test_the_chart_of_an_account_shows_its_payments(busy: Person) -> None:
    drawn = Balance.read(ledger.wallet(busy.account.pk), ZoneInfo("Europe/Oslo")).draw()
    posted = ledger.wallet(busy.account.pk).posted_nanos
    assert usd(posted) in drawn
    assert "<svg" in drawn
