"""The operators' site: who comes in, what they may do about money, and that the rest can only be read."""

import re
import uuid

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import AuditEvent
from billing import ledger, promo_codes
from billing.models import BillingProfile, CreditGrant, Discrepancy, PromoCode, StripeEvent
from billing.promo_codes import CodeRefused
from tests.accounts.people import Person, person
from tests.billing.orders import pay
from tests.billing.till import Till
from tokenhub.money import usd_to_nanos

BILLING = "/operator/billing"


@pytest.fixture
def operator() -> Person:
    someone = person()
    someone.user.is_staff = True
    someone.user.save()
    return someone


def account_page(someone: Person) -> str:
    return f"/operator/accounts/account/{someone.account.pk}"


def give(operator: Person, customer: Person, amount: str, grant_id: uuid.UUID | None = None) -> int:
    form = {"amount_nanos": amount, "reason": "an apology", "grant_id": str(grant_id or uuid.uuid4())}
    return operator.browser.post(f"{account_page(customer)}/act/give-credit/", form).status_code


def credit_of(someone: Person) -> int:
    return ledger.wallet(someone.account.pk).posted_nanos


# ---------------------------------------------------------------- who comes in


@pytest.mark.parametrize(
    "address", ["/operator", "/operator/", f"{BILLING}/topup/", "/operator/login/", "/operator/nothing"]
)
def test_strangers_are_sent_to_the_one_log_in(address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login?next=/operator")


@pytest.mark.parametrize("address", ["/operator", "/operator/", f"{BILLING}/topup/", "/operator/nothing"])
def test_customers_see_what_an_unknown_address_shows(address: str) -> None:
    browser = person().browser
    answer, unknown = browser.get(address), browser.get("/no-such-page")
    assert answer.status_code == unknown.status_code == 404
    token = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    assert token.sub("", answer.text).replace(address, "") == token.sub("", unknown.text).replace("/no-such-page", "")


def test_operators_without_a_second_factor_are_sent_to_set_one_up(operator: Person, settings: LazySettings) -> None:
    assert operator.browser.get("/operator").status_code == 200
    settings.STAFF_NEEDS_SECOND_FACTOR = True
    answer = operator.browser.get("/operator")
    assert (answer.status_code, answer["Location"]) == (302, "/settings/security")
    assert give(operator, customer := person(), "5") == 302
    assert credit_of(customer) == 0


@pytest.mark.parametrize("name", ["login", "logout", "password_change"])
def test_djangos_own_log_in_does_not_exist(operator: Person, name: str) -> None:
    assert operator.browser.get(f"/operator/{name}/").status_code == 404


# ---------------------------------------------------------------- rows that are only read


@pytest.mark.parametrize(
    "rows",
    ["topup", "stripeevent", "refund", "dispute", "discrepancy", "ledgeraccount", "transfer", "hold", "creditgrant",
     "creditlot", "clawback"],
)  # fmt: skip
def test_ledger_rows_are_listed_and_cannot_be_made(operator: Person, rows: str) -> None:
    pay(person(), "10")
    assert operator.browser.get(f"{BILLING}/{rows}/").status_code == 200
    assert operator.browser.get(f"{BILLING}/{rows}/?q=nothing-of-the-kind").status_code == 200
    assert operator.browser.post(f"{BILLING}/{rows}/add/", {}).status_code == 403


def test_an_order_is_found_and_shown_and_cannot_be_changed_or_deleted(operator: Person) -> None:
    customer = person()
    order = pay(customer, "10", payment_intent_id=f"pi_{uuid.uuid4().hex}")
    for words in (order.slug, customer.account.slug, customer.user.email, order.payment_intent_id):
        assert order.slug in operator.browser.get(f"{BILLING}/topup/", {"q": words}).text
    page = f"{BILLING}/topup/{order.pk}"
    assert "$10.00" in operator.browser.get(f"{page}/change/").text
    assert operator.browser.post(f"{page}/change/", {"status": "failed"}).status_code == 403
    assert operator.browser.post(f"{page}/delete/", {"post": "yes"}).status_code == 403


def test_names_with_html_are_shown_as_text(operator: Person) -> None:
    customer = person()
    customer.account.name = "<script>alert(1)</script>"
    customer.account.save()
    for address in (f"{account_page(customer)}/change/", f"/operator/accounts/account/?q={customer.account.slug}"):
        text = operator.browser.get(address).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


# ---------------------------------------------------------------- giving credit


def test_a_grant_sent_twice_is_one_grant_with_its_audit(operator: Person) -> None:
    customer, grant_id = person(), uuid.uuid4()
    assert give(operator, customer, "12.50", grant_id) == give(operator, customer, "12.50", grant_id) == 302
    assert credit_of(customer) == usd_to_nanos("12.50")
    event = AuditEvent.objects.get(account=customer.account, action="credit.granted")
    assert (event.actor, event.detail["reason"]) == (operator.user, "an apology")


@pytest.mark.parametrize("amount", ["-5", "0", "0.00", "5e3", "1_0", "٥", "100.01", "99999999999999999999", "", "NaN"])
def test_amounts_that_are_none_give_nothing(operator: Person, amount: str) -> None:
    customer = person()
    assert give(operator, customer, amount) == 400
    assert credit_of(customer) == 0


def test_many_grants_do_not_pass_the_days_limit(operator: Person) -> None:
    customer = person()
    assert [give(operator, customer, "60"), give(operator, customer, "60")] == [302, 400]
    assert credit_of(customer) == usd_to_nanos("60")


def test_nobody_gives_themselves_credit(operator: Person) -> None:
    assert give(operator, operator, "5") == 403
    assert not CreditGrant.objects.filter(customer_id=operator.account.pk).exists()


def test_looking_gives_nothing_and_a_form_needs_its_token(operator: Person) -> None:
    customer = person()
    page = f"{account_page(customer)}/act/give-credit/"
    form = {"amount_nanos": "5", "reason": "x", "grant_id": str(uuid.uuid4())}
    assert operator.browser.get(page, form).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert strict.post(page, form).status_code == 403
    assert credit_of(customer) == 0


# ---------------------------------------------------------------- other acts


def test_freezing_and_unfreezing_need_a_reason_and_are_written_down(operator: Person) -> None:
    customer = person()
    acts = f"{account_page(customer)}/act"
    assert operator.browser.post(f"{acts}/freeze/", {"reason": ""}).status_code == 400
    assert operator.browser.post(f"{acts}/freeze/", {"reason": "card testing"}).status_code == 302
    assert ledger.wallet(customer.account.pk).frozen
    assert BillingProfile.objects.get(account=customer.account).freeze_reason == "card testing"
    assert operator.browser.post(f"{acts}/unfreeze/", {"reason": "a mistake"}).status_code == 302
    assert not ledger.wallet(customer.account.pk).frozen
    actions = AuditEvent.objects.filter(account=customer.account, actor=operator.user).order_by("id")
    assert [event.action for event in actions] == ["account.frozen", "account.thawed"]


def test_an_operator_refunds_unused_credit_and_no_more(operator: Person, till: Till) -> None:
    customer = person()
    order = till.paid(customer.account, customer.user)
    page = f"{BILLING}/topup/{order.pk}/act"
    form = {"reason": "asked", "request_key": str(uuid.uuid4())}
    assert operator.browser.post(f"{page}/refund/", form | {"amount_nanos": "10.01"}).status_code == 400
    for _ in range(2):  # pressing twice is one refund
        assert operator.browser.post(f"{page}/refund/", form | {"amount_nanos": "4"}).status_code == 302
    assert credit_of(customer) == usd_to_nanos("6")
    assert operator.browser.post(f"{page}/look-again/", {"reason": "a mail"}).status_code == 302
    assert AuditEvent.objects.filter(actor=operator.user, subject=order.slug).count() == 2


def test_an_event_is_worked_again_and_a_discrepancy_resolved(operator: Person) -> None:
    event = StripeEvent.objects.create(
        id=f"evt_{uuid.uuid4().hex}", type="x", livemode=False, payload={}, outcome="failed", attempts=9
    )
    found = Discrepancy.objects.create(kind="x", reference=uuid.uuid4().hex, detail="")
    reason = {"reason": "looked at"}
    # Django's admin writes an underscore in an address as _5F
    address = event.pk.replace("_", "_5F")
    assert operator.browser.post(f"{BILLING}/stripeevent/{address}/act/work-again/", reason).status_code == 302
    assert operator.browser.post(f"{BILLING}/discrepancy/{found.pk}/act/resolved/", reason).status_code == 302
    event.refresh_from_db()
    found.refresh_from_db()
    assert (event.outcome, event.attempts) == ("", 0)
    assert found.resolved_at is not None


# ---------------------------------------------------------------- promo codes


def make_code(operator: Person, code: str, **fields: str) -> int:
    form = {"code": code, "amount_nanos": "5", "note": "", **fields}
    return operator.browser.post(f"{BILLING}/promocode/add/", form).status_code


def test_a_code_is_made_redeemed_watched_and_disabled(operator: Person) -> None:
    word = f"Hello-{uuid.uuid4().hex[:8]}"
    assert make_code(operator, word, max_redemptions="5") == 302
    code = PromoCode.objects.get(code=word.upper())
    customer = person()
    promo_codes.redeem(account=customer.account, user=customer.user, code=word)
    page = f"{BILLING}/promocode/{code.pk}"
    assert customer.user.email in operator.browser.get(f"{page}/change/").text
    assert operator.browser.post(f"{page}/act/disable/", {"reason": "over"}).status_code == 302
    late = person()
    with pytest.raises(CodeRefused):
        promo_codes.redeem(account=late.account, user=late.user, code=word)
    actions = AuditEvent.objects.filter(actor=operator.user, subject=code.code).order_by("id")
    assert [event.action for event in actions] == ["promo_code.made", "promo_code.disabled"]


def test_a_codes_value_stays_and_its_limit_may_change(operator: Person) -> None:
    word = uuid.uuid4().hex[:12].upper()
    make_code(operator, word)
    code = PromoCode.objects.get(code=word)
    form = {
        "amount_nanos": "90", "code": "OTHER", "max_redemptions": "7", "note": "seven",
        "redemptions-TOTAL_FORMS": "0", "redemptions-INITIAL_FORMS": "0",
    }  # fmt: skip
    assert operator.browser.post(f"{BILLING}/promocode/{code.pk}/change/", form).status_code == 302
    code.refresh_from_db()
    assert (code.code, code.amount_nanos, code.max_redemptions) == (word, usd_to_nanos("5"), 7)


@pytest.mark.parametrize("word", ["two words", "ümlaut", "a_b", "<b>"])
def test_codes_are_letters_digits_and_dashes(operator: Person, word: str) -> None:
    assert make_code(operator, word) == 200
    assert not PromoCode.objects.filter(code=word.upper()).exists()


def test_a_code_is_made_up_where_none_is_typed(operator: Person) -> None:
    assert make_code(operator, "") == 302
    assert re.fullmatch("[A-Z0-9]{12}", PromoCode.objects.get(created_by=operator.user).code)
