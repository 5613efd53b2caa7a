"""The dashboard: today against a usual day, the runway, the limits that are near. Strangers first."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keys as key_store
from accounts.models import ApiKey, Membership
from billing import ledger
from gateway import sample_calls
from gateway.dashboard import KEYS_SHOWN, Overview, nearest_limits
from gateway.models import CallRecord
from gateway.usage_filters import Scope
from gateway.usage_periods import HOUR, floor_hour, midnight
from tests.accounts.people import Person, key_for, person
from tokenhub import clock
from tokenhub.templatetags.ui import usd


@pytest.fixture(scope="module")
def busy(_database_for_all: None) -> Person:
    me = person()
    sample_calls.make(account=me.account, user=me.user, calls=3_000)
    return me


def text(someone: Person) -> str:
    response = someone.browser.get("/dashboard")
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def overview(someone: Person) -> Overview:
    return Overview.read(Scope(someone.account), timezone.get_current_timezone(), clock.now())


def spent_nanos(someone: Person, start, end) -> int:  # type: ignore[no-untyped-def]
    calls = CallRecord.objects.filter(account_id=someone.account.pk, created_at__gte=start, created_at__lt=end)
    return calls.aggregate(sum=Sum("cost_nanos"))["sum"] or 0


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_stranger_is_sent_to_log_in(slash: str) -> None:
    assert Client().get(f"/dashboard{slash}").headers["Location"].startswith("/accounts/login?next=/dashboard")


def test_before_the_first_call_it_says_what_will_stand_here_and_how_to_begin() -> None:
    me = person()
    html = me.browser.get("/dashboard").content.decode()
    assert "Nothing was called yet" in html
    assert "Make the first call" in html
    assert "<table" not in html


def test_days_and_models_add_up_to_the_records(busy: Person) -> None:
    seen = overview(busy)
    assert seen.total.cost_nanos == spent_nanos(busy, seen.period.start, seen.period.end)
    assert len(seen.leaders) == 5
    leading = [day.cost_nanos for model in seen.leaders for day in seen.models[model]]
    assert sum(leading) + sum(day.cost_nanos for day in seen.others()) == seen.total.cost_nanos
    assert usd(seen.total.cost_nanos, "cents") in text(busy)


def test_today_is_compared_with_the_same_weekdays_up_to_this_hour(busy: Person) -> None:
    seen, now = overview(busy), clock.now()
    today = midnight(now.date(), seen.period.zone)
    until = floor_hour(now) + HOUR
    assert seen.today.cost_nanos == spent_nanos(busy, today, until)
    weeks = [timedelta(weeks=n) for n in range(1, 5)]
    usual = [spent_nanos(busy, today - week, until - week) for week in weeks]
    assert seen.usual_nanos == sum(usual) // 4


def test_the_runway_is_the_balance_over_the_rate_of_the_last_seven_days(busy: Person) -> None:
    seen = overview(busy)
    today = midnight(clock.now().date(), seen.period.zone)
    assert seen.rate_nanos == spent_nanos(busy, today - timedelta(days=7), today) // 7
    available = ledger.wallet(busy.account.pk).available_nanos
    days = available // seen.rate_nanos
    assert f"about {days} day" in text(busy)


def test_in_its_first_week_an_account_has_no_usual_day(busy: Person) -> None:
    seen = overview(busy)
    only_today = {model: [type(days[0])()] * 29 + [days[-1]] for model, days in seen.models.items()}
    young = Overview(seen.period, seen.now, only_today, seen.to_this_hour)
    assert young.usual_nanos is None
    assert young.rate_nanos == seen.today.cost_nanos


def test_the_three_keys_nearest_their_limit_are_shown_nearest_first(busy: Person) -> None:
    keys = list(ApiKey.objects.filter(account=busy.account).order_by("name"))
    for key, percent in zip(keys, (92, 40, 75, 10), strict=True):
        key.limit_nanos = key.spent_nanos * 100 // percent + 1
        key.save(update_fields=["limit_nanos"])
    shown = [line.key for line in nearest_limits(keys, clock.now())]
    assert shown == [keys[0], keys[2], keys[1]]
    assert len(shown) == KEYS_SHOWN
    words = text(busy)
    assert words.index(f"{keys[0].name} ") < words.index(f"{keys[2].name} ")
    assert "91 % used" in words


def test_a_limit_of_a_window_that_is_over_is_unspent() -> None:
    key = key_for(person()).row
    key.limit_window, key.limit_nanos, key.spent_nanos = ApiKey.Window.DAY, 100, 90
    now = clock.now()
    key.window_start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert nearest_limits([key], now)[0].spent_nanos == 90
    assert nearest_limits([key], now + timedelta(days=1))[0].spent_nanos == 0


def test_a_developer_sees_own_calls_and_no_balance(busy: Person) -> None:
    developer = person()
    Membership.objects.create(account=busy.account, user=developer.user, role=Membership.Role.DEVELOPER)
    key_store.issue(account=busy.account, name="Mine", created_by=developer.user)
    html = developer.browser.get("/dashboard", {"team": busy.account.slug}).content.decode()
    assert "Production API" not in html
    assert 'aria-label="Now"' not in html  # nothing of theirs was called
    assert "Nothing was called yet" in html


def test_it_takes_at_most_twelve_queries(busy: Person) -> None:
    busy.browser.get("/dashboard")
    with CaptureQueriesContext(connection) as captured:
        assert "The last eight requests" in text(busy)
    assert len(captured) <= 12, [query["sql"] for query in captured]
