"""The billing pages: what they say in every state, who may do what, and that nothing from a browser decides an amount.
Strangers first."""

import re
import uuid

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as settings_of_django
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import Membership
from billing import ledger
from billing.models import AutoTopUp, BillingProfile, PromoCode, TopUp
from billing.views.overview import MOVEMENTS_SHOWN
from tests.accounts.people import Person, person
from tests.billing.test_refunds import spend
from tests.billing.till import Till
from tokenhub.clock import now
from tokenhub.figures import usd
from tokenhub.money import NANOS_PER_USD, usd_to_nanos
from tokenhub.templatetags.ui import money

QUERIES_MOST = 12  # with the chart, and everything that a page of billing can hold
Role = Membership.Role


def grant(someone: Person, usd_text: str, reason: str) -> None:
    ledger.grant_credit(
        customer_id=someone.account.pk, amount_nanos=usd_to_nanos(usd_text), reason=reason, granted_by="test"
    )


def order(someone: Person, dollars: int = 10, **fields: object) -> TopUp:
    """An unpaid order that no payment service knows."""
    values = {
        "request_key": uuid.uuid4(),
        "is_test": True,
        "credit_nanos": dollars * NANOS_PER_USD,
        "user": someone.user,
    }
    return TopUp.objects.create(account=someone.account, **values | fields)


def paid(someone: Person, dollars: int = 10) -> TopUp:
    made = order(someone, dollars, card_brand="visa", card_last4="4242", payment_intent_id=f"pi_{uuid.uuid4().hex}")
    ledger.credit_top_up(
        top_up_id=made.pk, subtotal_cents=dollars * 100, tax_cents=0, total_cents=dollars * 100
    )  # fmt: skip
    made.refresh_from_db()
    return made


def in_role(role: Membership.Role, owner: Person) -> Person:
    """A person who acts for another's team in that role."""
    someone = person()
    Membership.objects.create(user=someone.user, account=owner.account, role=role)
    someone.browser.get("/settings/profile", {"team": owner.account.slug})
    return someone


def text_of(answer: HttpResponse) -> str:
    """What the page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))


def says(someone: Person, path: str = "/billing") -> str:
    return text_of(someone.browser.get(path))


# ---------------------------------------------------------------- the overview


def test_a_stranger_is_sent_to_log_in() -> None:
    for path in ("/billing", "/billing/", "/billing/top-up"):
        assert Client().get(path).headers["Location"].startswith("/accounts/login?next=/billing")


def test_nobody_sees_anothers_movements() -> None:
    other, me = person(), person()
    reason = f"for {uuid.uuid4().hex}"
    grant(other, "3.21", reason)
    assert reason in says(other)
    page = says(me)
    assert reason not in page
    assert "Nothing has moved yet" in page


def test_credit_is_listed_with_its_reason_and_exactly() -> None:
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    grant(me, "0.000000001", "one nano, exactly")
    page = me.browser.get("/billing").content.decode()
    assert 'display"><span class="cur">$</span>1.00<span class="exact">0000001</span>' in page
    words = re.sub(r"<[^>]+>", "", page)
    for said in ["Starter credit", "+$1.00", "one nano, exactly", "+$0.000000001", "Promotional$1.000000001"]:
        assert said in words


def test_the_last_movements_lead_to_the_ledger() -> None:
    me = person()
    for n in range(MOVEMENTS_SHOWN + 2):
        grant(me, "0.01", f"grant number {n}")
    page = me.browser.get("/billing").content.decode()
    shown = re.findall(r"grant number (\d)", page)
    assert shown == [str(n) for n in reversed(range(2, MOVEMENTS_SHOWN + 2))]
    assert 'href="/billing/ledger"' in page


def test_paid_and_given_credit_stand_apart_and_the_soonest_end_is_named() -> None:
    me = person()
    paid(me, 10)
    grant(me, "2.00", "lasts")
    page = says(me)
    assert "Paid$10.00, does not expire" in page
    assert "Promotional$2.00" in page


def test_a_page_with_everything_on_it_asks_the_database_rarely() -> None:
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    for _n in range(7):
        paid(me, 5)
        order(me, 5, origin=TopUp.Origin.AUTO, status=TopUp.Status.FAILED, reason="declined")
    profile(me)
    AutoTopUp.objects.create(
        account=me.account, threshold_nanos=1, amount_nanos=5 * NANOS_PER_USD, monthly_cap_nanos=9 * NANOS_PER_USD
    )
    me.browser.get("/billing")
    with CaptureQueriesContext(connection) as asked:
        assert me.browser.get("/billing").status_code == 200
    assert len(asked) <= QUERIES_MOST, [query["sql"][:120] for query in asked]


def profile(someone: Person) -> BillingProfile:
    """With a saved card."""
    card = {"payment_method_id": f"pm_{uuid.uuid4().hex}", "card_brand": "visa", "card_last4": "4242"}
    return BillingProfile.objects.update_or_create(account=someone.account, defaults=card)[0]


@pytest.mark.parametrize(
    "path", ["dashboard", "models", "keys", "usage", "billing", "billing/ledger", "billing/receipts"]
)
def test_with_nothing_left_every_page_opens_and_says_what_is_blocked(path: str) -> None:
    answer = person().browser.get(f"/{path}")
    assert answer.status_code == 200
    assert "No credit left." in text_of(answer)


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.BILLING])
def test_whoever_may_pay_has_the_forms(role: Membership.Role, till: Till) -> None:
    page = in_role(role, person()).browser.get("/billing").content.decode()
    for action in ["top-up", "auto-top-up", "card", "promo-code", "details"]:
        assert f'action="/billing/{action}"' in page


def test_a_viewer_sees_the_balance_and_no_form(till: Till) -> None:
    owner = person()
    made = paid(owner)
    viewer = in_role(Role.VIEWER, owner)
    answer = viewer.browser.get("/billing")
    assert answer.status_code == 200
    assert 'action="/billing/' not in answer.content.decode()
    assert "Ask an owner" in text_of(answer)
    assert viewer.browser.get(f"/billing/top-up/{made.slug}").status_code == 200
    for path in ["top-up", f"top-up/{made.slug}/cancel", f"top-up/{made.slug}/refund", "auto-top-up", "auto-top-up/off",
                 "card", "card/manage", "card/remove", "promo-code", "details"]:  # fmt: skip
        assert viewer.browser.post(f"/billing/{path}").status_code == 403, path


def test_a_developer_sees_no_billing() -> None:
    owner = person()
    made = paid(owner)
    developer = in_role(Role.DEVELOPER, owner)
    for path in ["/billing", "/billing/top-up", f"/billing/top-up/{made.slug}"]:
        assert developer.browser.get(path).status_code == 403, path


# ---------------------------------------------------------------- paying


def press(someone: Person, amount: str, shown: str = "", **fields: str) -> HttpResponse:
    """The form of the panel: an amount, and the sum that stood on the button."""
    tiles = {"5", "10", "25", "50", "100"}
    typed = {"amount": amount} if amount in tiles else {"amount": "other", "other": amount}
    return someone.browser.post(
        "/billing/top-up", {"request_key": str(uuid.uuid4()), "shown": shown, **typed, **fields}
    )


def test_paying_starts_an_order_and_leads_to_its_payment_page(till: Till) -> None:
    me = person()
    answer = press(me, "25", shown="2500")
    made = TopUp.objects.get(account=me.account)
    assert made.credit_nanos == 25 * NANOS_PER_USD
    assert answer.headers["Location"] == made.checkout_url


def test_the_sum_with_its_fee_is_shown_before_anything_is_ordered(till: Till, settings: Settings) -> None:
    settings.TOPUP_FEE_BASIS_POINTS = 550
    me = person()
    answer = press(me, "12.50")
    assert answer.headers["Location"] == "/billing/top-up?amount=12.50"
    page = me.browser.get(answer.headers["Location"])
    assert "You pay $13.19: $12.50 credit + $0.69 card fee. Credit does not expire." in text_of(page)
    assert press(me, "12.50", shown="1318").headers["Location"] == "/billing/top-up?amount=12.50"
    assert not TopUp.objects.filter(account=me.account).exists()
    press(me, "12.50", shown="1319")
    assert TopUp.objects.get(account=me.account).fee_nanos == usd_to_nanos("0.69")


def test_pressing_twice_is_one_order(till: Till) -> None:
    me, key = person(), str(uuid.uuid4())
    places = {press(me, "10", shown="1000", request_key=key).headers["Location"] for _n in range(2)}
    assert len(places) == 1
    assert TopUp.objects.filter(account=me.account).count() == 1


@pytest.mark.parametrize(
    "amount", ["-5", "0", "4.99", "0.001", "2000.01", "1e9", "5e3", "1_0", "５", "10.5", "", "ten", "10,00"]
)
def test_an_amount_that_is_none_is_refused(till: Till, amount: str) -> None:
    me = person()
    answer = press(me, amount, shown="1000")
    assert answer.status_code == 400
    assert 'id="id_other_error"' in answer.content.decode()
    assert not TopUp.objects.filter(account=me.account).exists()


def test_another_currency_or_tile_is_refused(till: Till) -> None:
    me = person()
    assert press(me, "10", shown="1000", currency="jpy").status_code == 400
    typed = {"request_key": str(uuid.uuid4()), "shown": "100", "amount": "1"}
    assert me.browser.post("/billing/top-up", typed).status_code == 400
    assert not TopUp.objects.filter(account=me.account).exists()


def test_what_else_a_browser_says_of_an_order_is_ignored(till: Till) -> None:
    me = person()
    more = {
        "price": "1",
        "quantity": "100",
        "credit_nanos": "9",
        "fee_nanos": "0",
        "success_url": "https://evil.example/",
    }
    press(me, "10", shown="1000", **more)
    made = TopUp.objects.get(account=me.account)
    assert (made.credit_nanos, made.fee_nanos) == (10 * NANOS_PER_USD, 0)
    session = till.sdk.v1.checkout.sessions.retrieve(made.session_id or "")
    assert session.amount_total == 1000
    assert session.success_url == f"{settings_of_django.PUBLIC_URL}/billing/top-up/{made.slug}?team={me.account.slug}"


def test_while_the_payment_service_is_away_nothing_is_taken(till: Till) -> None:
    me = person()
    till.ask("faults", kind="500", count=10, path="/v1/c")
    try:
        answer = press(me, "10", shown="1000")
    finally:
        till.heal()
    assert answer.status_code == 503
    assert "Nothing was taken" in text_of(answer)


def test_an_unconfirmed_address_comes_before_paying(till: Till, settings: Settings) -> None:
    settings.PAYING_NEEDS_VERIFIED_EMAIL = True
    me = person()
    EmailAddress.objects.filter(user=me.user).update(verified=False)
    assert "Confirm your e-mail address first" in says(me)
    assert press(me, "10", shown="1000").status_code == 403
    assert not TopUp.objects.filter(account=me.account).exists()


def test_without_a_payment_service_the_page_says_how_credit_is_got(settings: Settings) -> None:
    settings.STRIPE = {"api_key": "", "api_base": "", "webhook_secrets": []}
    page = person().browser.get("/billing")
    assert "This server takes no payments" in text_of(page)
    assert "/billing/top-up" not in page.content.decode()


# ---------------------------------------------------------------- one payment


def page_of(made: TopUp) -> str:
    return f"/billing/top-up/{made.slug}"


def test_the_return_page_credits_once_however_often_it_is_loaded(till: Till) -> None:
    me = person()
    made = till.order(me.account, me.user, "10")
    assert "Waiting for payment" in says(me, page_of(made))
    till.pay(made)
    for _n in range(3):
        assert "$10.00, once" in says(me, page_of(made))
    assert ledger.wallet(me.account.pk).posted_nanos == 10 * NANOS_PER_USD
    assert me.browser.get(page_of(made), {"part": "status"}).json() == {"status": "credited"}


def test_an_unpaid_or_forged_session_credits_nothing(till: Till) -> None:
    me, other = person(), person()
    mine, theirs = till.order(me.account, me.user, "10"), till.paid(other.account, other.user, "100")
    for session in [theirs.session_id, mine.session_id, "cs_test_invented"]:
        answer = me.browser.get(page_of(mine), {"session_id": session})
        assert "Waiting for payment" in text_of(answer)
    assert ledger.wallet(me.account.pk).posted_nanos == 0


def test_anothers_order_is_answered_as_a_random_one_is(till: Till) -> None:
    me, made = person(), paid(person())
    random = TopUp(slug=f"top-{'x' * 20}")
    pages = [
        re.sub(r'nonce="[^"]*"|value="[^"]*"', "", me.browser.get(page_of(one)).content.decode())
        for one in (made, random)
    ]
    assert pages[0].replace(made.slug, "") == pages[1].replace(random.slug, "")
    for one in (made, random):
        assert me.browser.get(page_of(one)).status_code == 404
        assert me.browser.post(f"{page_of(one)}/refund", {"credit_nanos": "1"}).status_code == 404
        assert me.browser.post(f"{page_of(one)}/cancel").status_code == 404


def test_a_cancelled_order_can_be_paid_again(till: Till) -> None:
    me = person()
    made = till.order(me.account, me.user, "12.50")
    me.browser.post(f"{page_of(made)}/cancel")
    page = me.browser.get(page_of(made))
    assert "Expired" in text_of(page)
    assert "/billing/top-up?amount=12.50" in page.content.decode()


def test_each_state_is_said_in_words() -> None:
    me = person()
    for status, words in {
        "created": "Created",
        "failed": "The card was declined.",
        "expired": "Expired",
        "review": "Under review",
    }.items():
        made = order(me, status=status, reason="The card was declined." if status == "failed" else "")
        assert words in says(me, page_of(made)), status


def test_unused_credit_is_refunded_in_part_or_whole_and_not_more(till: Till) -> None:
    me = person()
    made = till.paid(me.account, me.user, "10")
    for amount in ["10.01", "0", "-1", "x", "1.001"]:
        me.browser.post(f"{page_of(made)}/refund", {"credit_nanos": amount})
        assert not made.refunds.exists(), amount
    form = {"credit_nanos": "4.00", "reason": "too much", "request_key": str(uuid.uuid4())}
    for _ in range(2):  # pressing twice is one refund
        assert me.browser.post(f"{page_of(made)}/refund", form).status_code == 302
    page = says(me, page_of(made))
    assert "$4.00 for $4.00 of credit" in page
    assert "$6.00 of this payment’s credit are unused" in page
    assert ledger.wallet(me.account.pk).posted_nanos == 6 * NANOS_PER_USD


def test_nothing_is_refunded_after_its_days(till: Till, settings: Settings) -> None:
    settings.REFUND_DAYS = 0
    me = person()
    made = till.paid(me.account, me.user, "10")
    assert "Ask for a refund" not in says(me, page_of(made))
    me.browser.post(f"{page_of(made)}/refund", {"credit_nanos": "1"})
    assert not made.refunds.exists()


# ---------------------------------------------------------------- auto top-up, card, codes, details

BOUNDS = {"threshold_nanos": "10", "amount_nanos": "25", "monthly_cap_nanos": "100"}


@pytest.mark.parametrize("missing", BOUNDS)
def test_auto_top_up_needs_each_of_its_bounds(till: Till, missing: str) -> None:
    me = person()
    profile(me)
    answer = me.browser.post("/billing/auto-top-up", BOUNDS | {missing: ""})
    assert f'id="id_{missing}_error"' in answer.content.decode()
    assert not AutoTopUp.objects.filter(account=me.account).exists()


@pytest.mark.parametrize("bounds", [{"monthly_cap_nanos": "24"}, {"amount_nanos": "4.99"}, {"threshold_nanos": "0"}])
def test_bounds_that_make_no_sense_are_refused(till: Till, bounds: dict[str, str]) -> None:
    me = person()
    profile(me)
    answer = me.browser.post("/billing/auto-top-up", BOUNDS | bounds)
    assert f'id="id_{next(iter(bounds))}_error"' in answer.content.decode()
    assert not AutoTopUp.objects.filter(account=me.account).exists()


def test_auto_top_up_needs_a_card_and_is_switched_off_in_one_click(till: Till) -> None:
    me = person()
    answer = me.browser.post("/billing/auto-top-up", BOUNDS)
    assert "Save a card first" in text_of(answer)
    profile(me)
    assert me.browser.post("/billing/auto-top-up", BOUNDS).status_code == 302
    assert AutoTopUp.objects.get(account=me.account).is_on
    assert "Switch off" in says(me)
    me.browser.post("/billing/auto-top-up/off")
    assert not AutoTopUp.objects.get(account=me.account).is_on


def test_why_auto_top_up_stopped_is_said() -> None:
    me = person()
    AutoTopUp.objects.create(
        account=me.account, threshold_nanos=1, amount_nanos=1, monthly_cap_nanos=1, stopped_at=now(), stop_reason="Declined <b>so</b>."
    )  # fmt: skip
    assert "Declined &lt;b&gt;so&lt;/b&gt;." in me.browser.get("/billing").content.decode()


def test_a_code_is_credited_once(till: Till) -> None:
    me, code = (
        person(),
        PromoCode.objects.create(code=f"WELCOME{uuid.uuid4().hex[:8].upper()}", amount_nanos=3 * NANOS_PER_USD),
    )
    assert me.browser.post("/billing/promo-code", {"code": f" {code.code.lower()} "}).status_code == 302
    assert "$3.00 of credit were added" in says(me)
    again = me.browser.post("/billing/promo-code", {"code": code.code})
    assert 'id="id_code_error"' in again.content.decode()
    assert "does not exist" in text_of(me.browser.post("/billing/promo-code", {"code": "NOSUCHCODE"}))
    assert ledger.wallet(me.account.pk).posted_nanos == 3 * NANOS_PER_USD


def test_billing_details_are_kept_beside_the_card(till: Till) -> None:
    me = person()
    profile(me)
    typed = {"company_name": "Fjord & <Lab>", "address": "1 Quay\nOslo", "tax_id": "NO123"}
    assert me.browser.post("/billing/details", typed).status_code == 302
    kept = BillingProfile.objects.get(account=me.account)
    assert (kept.company_name, kept.tax_id, kept.card_last4) == ("Fjord & <Lab>", "NO123", "4242")
    assert "Fjord &amp; &lt;Lab&gt;" in me.browser.get("/billing").content.decode()


def test_a_debt_is_explained(boot: bytes) -> None:
    me = person()
    made = paid(me, 10)
    ledger.claw_back(key=f"refund:{uuid.uuid4()}", kind="refund", top_up_id=made.pk, amount_nanos=10 * NANOS_PER_USD)
    assert "Taken back" in says(me, page_of(made))
    spent = paid(me, 5)
    spend(me, 5 * NANOS_PER_USD, boot)
    ledger.claw_back(key=f"dispute:{uuid.uuid4()}", kind="dispute", top_up_id=spent.pk, amount_nanos=5 * NANOS_PER_USD)
    assert "so $5.00 are owed. The next top-up settles that first" in says(me)


def test_an_operators_reason_for_a_freeze_is_shown() -> None:
    me = person()
    BillingProfile.objects.create(account=me.account, freeze_reason="Please <b>write</b> to us.")
    ledger.refresh_freeze(me.account.pk)
    assert "An operator froze it: Please &lt;b&gt;write&lt;/b&gt; to us." in me.browser.get("/billing").content.decode()


# ---------------------------------------------------------------- the test checkout


def test_the_test_checkout_is_there_only_in_test(till: Till, settings: Settings) -> None:
    me = person()
    made = till.order(me.account, me.user, "10")
    path = f"/billing/test-checkout/{made.session_id}"
    assert me.browser.get(path).status_code == 404
    settings.TEST_CHECKOUT = True
    page = me.browser.get(path)
    assert "This is not a payment" in text_of(page)
    assert person().browser.get(path).status_code == 404
    assert me.browser.get("/billing/test-checkout/cs_test_invented").status_code == 404


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("success", "$10.00, once"),
        ("duplicate_events", "$10.00, once"),
        ("delayed_success", "Payment on its way"),
        ("delayed_failure", "Payment on its way"),
    ],
)
def test_a_test_payment_ends_as_chosen(till: Till, settings: Settings, outcome: str, words: str) -> None:
    settings.TEST_CHECKOUT = True
    me = person()
    made = till.order(me.account, me.user, "10")
    answer = me.browser.post(f"/billing/test-checkout/{made.session_id}", {"outcome": outcome})
    assert answer.headers["Location"] == page_of(made)
    assert words in says(me, page_of(made))


def test_a_declined_test_payment_can_be_tried_again(till: Till, settings: Settings) -> None:
    settings.TEST_CHECKOUT = True
    me = person()
    made = till.order(me.account, me.user, "10")
    answer = me.browser.post(f"/billing/test-checkout/{made.session_id}", {"outcome": "decline"})
    assert "The card was declined" in text_of(answer)
    me.browser.post(f"/billing/test-checkout/{made.session_id}", {"outcome": "success"})
    assert "$10.00, once" in says(me, page_of(made))


def test_a_card_is_saved_without_paying_and_only_for_its_own_team(till: Till, settings: Settings) -> None:
    settings.TEST_CHECKOUT = True
    me, other = person(), person()
    session_id = me.browser.post("/billing/card").headers["Location"].rpartition("/")[2]
    path = f"/billing/test-checkout/{session_id}"
    other.browser.post("/billing/card")  # has a customer of their own
    assert other.browser.get(path).status_code == 404
    back = me.browser.post(path, {"outcome": "success"}).headers["Location"]
    other.browser.get(back)
    me.browser.get(back)
    assert "card ending 4242" in says(me)
    assert not BillingProfile.objects.get(account=other.account).has_card


# ---------------------------------------------------------------- what no link may do

CHANGES = ["auto-top-up", "auto-top-up/off", "card", "card/manage", "card/remove", "promo-code", "details"]


@pytest.mark.parametrize("path", CHANGES)
def test_a_link_changes_nothing(path: str) -> None:
    assert person().browser.get(f"/billing/{path}").status_code == 405


@pytest.mark.parametrize("path", ["top-up", *CHANGES])
def test_a_foreign_sites_form_is_refused(path: str) -> None:
    me = person()
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = me.browser.cookies
    assert browser.post(f"/billing/{path}").status_code == 403
    assert browser.post(f"/billing/{path}", headers={"origin": "https://evil.example"}).status_code == 403


def test_a_form_of_another_team_is_refused(till: Till) -> None:
    me, other = person(), person()
    assert press(me, "10", shown="1000", team=other.account.slug).status_code == 409


# ---------------------------------------------------------------- money in words


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
