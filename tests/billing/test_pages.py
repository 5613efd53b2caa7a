"""The balance page. Strangers first."""

import re
import uuid

from django.test import Client

from billing import ledger
from billing.views import MOVEMENTS_PER_PAGE
from tests.accounts.people import Person, person
from tokenhub.figures import usd
from tokenhub.money import usd_to_nanos
from tokenhub.templatetags.ui import money


def grant(someone: Person, usd_text: str, reason: str) -> None:
    ledger.grant_credit(
        customer_id=someone.account.pk, amount_nanos=usd_to_nanos(usd_text), reason=reason, granted_by="test"
    )


def test_a_stranger_is_sent_to_log_in() -> None:
    for path in ("/billing", "/billing/"):
        assert Client().get(path).headers["Location"].startswith("/accounts/login?next=/billing")


def test_nobody_sees_anothers_movements() -> None:
    other, me = person(), person()
    reason = f"for {uuid.uuid4().hex}"
    grant(other, "3.21", reason)
    assert reason in other.browser.get("/billing").content.decode()
    page = me.browser.get("/billing").content.decode()
    assert reason not in page
    assert "Nothing has moved yet" in page


def test_the_starter_credit_and_a_grant_are_listed_with_their_reasons() -> None:
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    grant(me, "0.000000001", "one nano, exactly")
    page = me.browser.get("/billing").content.decode()
    assert "Starter credit" in page
    assert "+$1.00" in re.sub(r"<[^>]+>", "", page)
    assert "one nano, exactly" in page
    assert "+$0.000000001" in re.sub(r"<[^>]+>", "", page)
    assert 'display"><span class="cur">$</span>1.00<span class="exact">0000001</span>' in page


def test_movements_come_in_pages_newest_first_each_once() -> None:
    me = person()
    for n in range(MOVEMENTS_PER_PAGE * 2 + 1):
        grant(me, "0.01", f"grant number {n:03}")
    seen: list[str] = []
    path: str | None = "/billing"
    while path:
        page = me.browser.get(path).content.decode()
        numbers = re.findall(r"grant number \d{3}", page)
        assert len(numbers) <= MOVEMENTS_PER_PAGE
        seen += numbers
        older = re.search(r'href="(/billing\?before=[^"]+)" rel="next"', page)
        path = older[1] if older else None
    assert seen == [f"grant number {n:03}" for n in reversed(range(MOVEMENTS_PER_PAGE * 2 + 1))]


def test_an_invented_cursor_is_a_404() -> None:
    me = person()
    for cursor in ["x", "~", "2026-13-45T00:00:00Z~a", "2026-01-01T00:00:00~a", "2026-01-01T00:00:00Z~\0"]:
        assert me.browser.get("/billing", {"before": cursor}).status_code == 404


def test_money_is_exact_and_never_rounded() -> None:
    cases = {
        0: "$0.00",
        1: "$0.000000001",
        -1: "−$0.000000001",
        10_000_000: "$0.01",
        999_992_100: "$0.9999921",
        1_000_000_000: "$1.00",
        1_234_567_500_000_000: "$1,234,567.50",
        -23_412_806_100: "−$23.4128061",
    }
    assert {nanos: usd(nanos) for nanos in cases} == cases
    assert (usd(999_992_100, "cents"), usd(999_992_100, "rest")) == ("$0.99", "99921")


def test_below_one_cent_the_leading_zeros_recede() -> None:
    assert money(7_900) == '<span class="money"><span>$0.00000</span>79</span>'
    assert money(-7_900) == '<span class="money"><span>−$0.00000</span>79</span>'
    assert money(10_000_000) == '<span class="money">$0.01</span>'
    assert money(0) == '<span class="money">$0.00</span>'
