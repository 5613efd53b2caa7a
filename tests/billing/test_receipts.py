"""Receipts and monthly statements. Strangers and nonsense first; then what is printed, and that it adds up to the nano."""

import itertools
import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Membership
from billing import cards, ledger, receipt_pdf, receipts, statements
from billing.models import Refund, TopUp
from billing.receipts import ROWS_PER_PAGE, Receipt
from billing.statements import Month
from gateway import sample_calls
from tests.accounts.people import Person, person
from tests.billing.orders import dispute, pay, refund
from tokenhub import clock
from tokenhub.figures import usd
from tokenhub.money import usd_to_nanos

QUERIES_AT_MOST = 12


@pytest.fixture(scope="module")
def owner(_database_for_all: None) -> Person:
    return person()


@pytest.fixture(scope="module")
def order(owner: Person) -> TopUp:
    told = {"name": "Mira Ås", "email": "m@example.test", "address": ["1 Quay", "0150 Oslo", "NO"], "tax_ids": ["NO1"]}
    paid = pay(owner, "10.00", fee="0.55", tax_cents=264, billed_to=told)
    refund(paid, "4.00")
    return paid


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def nameless(html: bytes, asked_for: str) -> bytes:
    return re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", html).replace(asked_for.encode(), b"")


def pages_of(pdf: bytes) -> int:
    """How many a whole PDF has; its words are compressed, in fonts that number their letters."""
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    count = re.search(rb"/Count (\d+)", pdf)
    assert count is not None
    return int(count[1])


# ---------------------------------------------------------------- who sees it, and nonsense


def paths(order: TopUp) -> list[str]:
    this_month = f"{clock.now():%Y-%m}"
    return [
        "/billing/receipts",
        f"/billing/receipts/{order.receipt_number}",
        f"/billing/receipts/{order.receipt_number}.pdf",
        f"/billing/statements/{this_month}",
        f"/billing/statements/{this_month}.pdf",
    ]


def test_a_stranger_is_sent_to_log_in(order: TopUp) -> None:
    for path in paths(order):
        assert Client().get(path).headers["Location"].startswith("/accounts/login?next=/billing/"), path


def test_a_developer_may_not_see_what_the_team_paid(owner: Person, order: TopUp) -> None:
    developer = person()
    Membership.objects.create(account=owner.account, user=developer.user, role=Membership.Role.DEVELOPER)
    for path in paths(order):
        assert developer.browser.get(path, {"team": owner.account.slug}).status_code == 403, path


def test_another_teams_receipt_looks_exactly_like_none(order: TopUp) -> None:
    me = person()
    for suffix in ("", ".pdf"):
        answers = [me.browser.get(f"/billing/receipts/{n}{suffix}") for n in (order.receipt_number, 999_999_999)]
        assert [answer.status_code for answer in answers] == [404, 404]
        first, second = answers
        assert nameless(first.content, str(order.receipt_number)) == nameless(second.content, "999999999")


@pytest.mark.parametrize("path", [
    "receipts/0", "receipts/9223372036854775808", "receipts/-1", "receipts/1e3", "receipts/9999999999999999999.pdf",
    "receipts?before=x", "receipts?before=-1", "receipts?before=9223372036854775808", "receipts?before=%D9%A1",
    "statements/2026-13", "statements/0000-00", "statements/2026-00", "statements/0001-01", "statements/9999-12",
    "statements/2026-1", "statements/2026-011", "statements/2026-13.pdf", "statements/1999-12.pdf",
])  # fmt: skip
def test_numbers_and_months_that_there_are_not_are_not_found(owner: Person, path: str) -> None:
    assert owner.browser.get(f"/billing/{path}").status_code == 404


def test_an_order_that_was_not_paid_has_no_receipt(owner: Person) -> None:
    unpaid = TopUp.objects.create(
        account=owner.account, request_key="00000000-0000-4000-8000-000000000000", credit_nanos=5 * 10**9, is_test=True
    )
    assert unpaid not in receipts.of_account(owner.account)


# ---------------------------------------------------------------- a receipt


def test_a_receipt_says_who_what_and_how_much(owner: Person, order: TopUp) -> None:
    page = text(owner.browser.get(f"/billing/receipts/{order.receipt_number}").content.decode())
    for words in ("Mira Ås", "1 Quay", "0150 Oslo", "Tax ID NO1", "TokenHub credit $10.00", "Card fee $0.55", "Tax $2.64",
                  "Total paid, USD $13.19", "Visa card ending 4242", "UTC", "Test payment, no real money"):  # fmt: skip
        assert words in page
    share = Refund.objects.get(top_up=order)
    assert f"−{usd(share.cash_cents * 10**7)}" in page


def test_its_lines_add_up_to_what_was_paid(order: TopUp, owner: Person) -> None:
    receipt = receipts.find(owner.account, str(order.receipt_number))
    assert sum(line.amount_nanos for line in receipt.lines) == receipt.total_nanos == usd_to_nanos("13.19")


def test_a_real_payment_is_not_called_a_test(owner: Person) -> None:
    real = pay(owner, "5.00", is_test=False)
    assert "Test payment" not in owner.browser.get(f"/billing/receipts/{real.receipt_number}").content.decode()


def test_the_teams_billing_details_stand_on_it() -> None:
    me = person()
    profile = cards.profile_of(me.account)
    profile.company_name, profile.address, profile.tax_id = "Fjordlab AS", "2 Pier\n\nBergen", "NO 2"
    profile.save()
    paid = pay(me, "5.00", billed_to={"name": "Mira", "address": [], "tax_ids": []})
    customer = Receipt.of(TopUp.objects.select_related("account__billing_profile").get(pk=paid.pk)).customer
    assert (customer.name, customer.address, customer.tax_ids) == (
        "Fjordlab AS",
        ["Mira", "2 Pier", "Bergen"],
        ["NO 2"],
    )


def test_without_any_details_the_accounts_name_stands_on_it() -> None:
    me = person()
    paid = pay(me, "5.00")
    assert Receipt.of(paid).customer.name == Account.objects.get(pk=me.account.pk).name


def test_a_failed_refund_is_not_printed(owner: Person) -> None:
    paid = pay(owner, "5.00")
    failed = refund(paid, "5.00")
    Refund.objects.filter(pk=failed.pk).update(status=Refund.Status.FAILED)
    assert receipts.find(owner.account, str(paid.receipt_number)).refunds == []


@pytest.mark.parametrize("name", [
    "株式会社トークン（東京）", "شركة الرمز", "टोकन हब", "Ω ≈ <b>&amp;", "🦊 Foxes", "x" * 200, "中" * 200, "\u202eevil\x00\x1b", "",
])  # fmt: skip
def test_no_name_breaks_the_pdf(name: str) -> None:
    me = person()
    told = {"name": name.replace("\x00", ""), "address": [name.replace("\x00", "")], "tax_ids": ["<para>"]}
    paid = pay(me, "5.00", billed_to=told)
    answer = me.browser.get(f"/billing/receipts/{paid.receipt_number}.pdf")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/pdf"
    assert pages_of(answer.content) == 1


def test_receipts_come_in_pages_newest_first_each_once() -> None:
    me = person()
    assert "No receipts yet" in me.browser.get("/billing/receipts").content.decode()
    numbers = [pay(me, "5.00").receipt_number for _ in range(ROWS_PER_PAGE + 2)]
    seen: list[int] = []
    path: str | None = "/billing/receipts"
    while path:
        page = me.browser.get(path).content.decode()
        seen += [int(number) for number in re.findall(r'href="/billing/receipts/(\d+)"', page)]
        older = re.search(r'href="(/billing/receipts\?before=[^"]+)" rel="next"', page)
        path = older[1] if older else None
    assert seen == sorted(filter(None, numbers), reverse=True)


# ---------------------------------------------------------------- statements


@pytest.fixture(scope="module")
def busy(_database_for_all: None) -> Person:
    """Calls of 60 days, payments, a refund, a dispute; the account is as old as its first call."""
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    sample_calls.make(account=me.account, user=me.user, calls=600)
    refund(pay(me, "10.00"), "2.50")
    dispute(pay(me, "20.00"))
    Account.objects.filter(pk=me.account.pk).update(created_at=datetime(2020, 1, 31, tzinfo=UTC))
    me.account.refresh_from_db()
    return me


def test_each_month_opens_with_what_the_one_before_closed(busy: Person) -> None:
    months = statements.months(busy.account)
    assert [months[0].slug, months[-1].slug] == [f"{clock.now():%Y-%m}", "2020-01"]
    latest = [statements.find(busy.account, month.slug) for month in months[:4]]
    for newer, older in itertools.pairwise(latest):
        assert newer.opening_nanos == older.closing_nanos
    assert latest[0].closing_nanos == ledger.wallet(busy.account.pk).posted_nanos
    assert latest[-1].opening_nanos == 0
    assert sum(one.spent_nanos for one in latest) < 0


def test_a_statement_tells_credits_refunds_and_disputes_apart(busy: Person) -> None:
    this = statements.find(busy.account, f"{clock.now():%Y-%m}")
    sums = {one.kind: one.amount_nanos for one in [*this.credits, *this.debits]}
    assert sums["topup"] == usd_to_nanos("30")
    assert (sums["refund"], sums["dispute"]) == (usd_to_nanos("-2.50"), usd_to_nanos("-20"))
    page = text(busy.browser.get(f"/billing/statements/{this.month.slug}").content.decode())
    for words in ("Opening balance", "Top-up × 2 + $30.00".replace("+ ", "+"), "Refund × 1 −$2.50", "Dispute × 1 −$20.00",
                  f"Closing balance, USD {usd(this.closing_nanos)}", "in UTC", "so far"):  # fmt: skip
        assert words in page


def test_a_month_before_the_account_has_no_statement(busy: Person) -> None:
    with pytest.raises(Http404):
        statements.find(busy.account, "2019-12")
    assert busy.browser.get("/billing/statements/2020-01").status_code == 200


def test_the_pdf_of_a_statement_holds_any_number_of_models(busy: Person) -> None:
    this = statements.find(busy.account, f"{clock.now():%Y-%m}")
    many = type(this)(**{**vars(this), "models": this.models * 60})
    assert pages_of(receipt_pdf.statement_pdf(many)) > 1
    answer = busy.browser.get(f"/billing/statements/{this.month.slug}.pdf")
    assert pages_of(answer.content) == 1


def test_december_is_followed_by_january() -> None:
    assert Month.read("2026-12").next == Month.read("2027-01")


def test_each_page_takes_few_queries(busy: Person, order: TopUp, owner: Person) -> None:
    for someone, path in [(busy, "/billing/receipts"), (busy, paths(order)[3]), (owner, paths(order)[1])]:
        someone.browser.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert someone.browser.get(path).status_code == 200
        assert len(captured) <= QUERIES_AT_MOST, "\n".join([path, *(query["sql"][:150] for query in captured)])
