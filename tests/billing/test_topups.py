"""Orders of credit: what was ordered is what is paid is what is credited, whatever happens on the way."""

import uuid
from datetime import timedelta

import pytest
from django.test import override_settings

from billing import ledger, reconcile, stripe_api, topups
from billing.amounts import BadAmount, cents, fee_nanos, parse_amount
from billing.models import TopUp
from tests.accounts.people import Person, person
from tests.billing.till import Till, hear
from tokenhub.money import usd_to_nanos

Status = TopUp.Status


@pytest.fixture
def buyer() -> Person:
    return person()


def posted(someone: Person) -> int:
    return ledger.wallet(someone.account.pk).posted_nanos


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    "text",
    ["", "-5", "0", "0.001", "1e9", "5e3", "1_0", "５", "10.5", "10.505", " 10", "+10", "4.99", "2000.01", "99999"],
)
def test_only_dollars_from_five_to_two_thousand_are_an_amount(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_amount(text)


@pytest.mark.parametrize(("text", "nanos"), [("5", 5 * 10**9), ("5.01", 5_010_000_000), ("2000.00", 2000 * 10**9)])
def test_an_amount_may_have_cents(text: str, nanos: int) -> None:
    assert parse_amount(text) == nanos


@pytest.mark.parametrize(
    ("usd", "points", "fee"), [("10", 0, "0"), ("10", 550, "0.55"), ("5.01", 550, "0.28"), ("5", 1, "0.01")]
)
def test_the_fee_is_whole_cents_rounded_up(usd: str, points: int, fee: str) -> None:
    assert fee_nanos(usd_to_nanos(usd), points) == usd_to_nanos(fee)


def test_a_fraction_of_a_cent_is_no_price() -> None:
    with pytest.raises(ValueError, match="no whole cents"):
        cents(15_000_000)


# ---------------------------------------------------------------- ordering


def test_the_same_form_twice_is_one_order_and_one_page(till: Till, buyer: Person) -> None:
    key = uuid.uuid4()
    first, second = (
        topups.start(account=buyer.account, user=buyer.user, credit_nanos=10 * 10**9, request_key=key) for _ in range(2)
    )
    assert first == second
    assert first.checkout_url == second.checkout_url != ""


def test_the_same_form_with_another_amount_is_another_order(till: Till, buyer: Person) -> None:
    key = uuid.uuid4()
    first, second = (
        topups.start(account=buyer.account, user=buyer.user, credit_nanos=usd * 10**9, request_key=key)
        for usd in (10, 25)
    )
    assert first.session_id != second.session_id


def test_stripe_away_takes_nothing_and_trying_again_continues(till: Till, buyer: Person) -> None:
    key = uuid.uuid4()
    till.ask("faults", kind=500, count=20)
    with pytest.raises(stripe_api.PaymentsUnavailable, match="Nothing was taken"):
        topups.start(account=buyer.account, user=buyer.user, credit_nanos=10 * 10**9, request_key=key)
    till.heal()
    [order] = TopUp.objects.filter(account=buyer.account)
    assert order.status == Status.CREATED
    again = topups.start(account=buyer.account, user=buyer.user, credit_nanos=10 * 10**9, request_key=key)
    assert again == order
    assert again.status == Status.OPEN


def test_a_lost_answer_makes_no_second_page(till: Till, buyer: Person) -> None:
    """The request was carried out, its answer was not heard: the repeat is answered with the same session."""
    till.paid(buyer.account, buyer.user)  # so that the customer exists
    till.ask("faults", kind="lost_answer", count=1, path="/v1/checkout/sessions")
    key = uuid.uuid4()
    with pytest.raises(stripe_api.PaymentsUnavailable):
        topups.start(account=buyer.account, user=buyer.user, credit_nanos=25 * 10**9, request_key=key)
    order = topups.start(account=buyer.account, user=buyer.user, credit_nanos=25 * 10**9, request_key=key)
    sessions = till.sdk.v1.checkout.sessions.list(params={"limit": 100}).data
    assert [one.id for one in sessions if one.client_reference_id == str(order.id)] == [order.session_id]


def test_credit_fee_and_tax_stand_apart_and_only_the_credit_is_credited(till: Till, buyer: Person) -> None:
    with override_settings(TOPUP_FEE_BASIS_POINTS=550, STRIPE_TAX=True):
        order = till.order(buyer.account, buyer.user)
        till.pay(order)
        done = topups.fulfil(order.session_id or "")
    assert done is not None
    assert (done.credit_nanos, done.fee_nanos) == (10 * 10**9, 550_000_000)
    assert done.subtotal_cents == 1055
    assert done.total_cents == 1055 + (done.tax_cents or 0)
    assert posted(buyer) == 10 * 10**9


# ---------------------------------------------------------------- what came of it


def test_paid_is_credited_with_a_receipt_number_and_the_card(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    assert posted(buyer) == 10 * 10**9
    assert order.receipt_number
    assert (order.card_brand, order.card_last4) == ("visa", "4242")
    assert order.paid_at and order.credited_at


def test_not_paid_is_not_credited(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    assert topups.refresh(order).status == Status.OPEN
    till.pay(order, "decline")
    assert topups.refresh(order).status == Status.OPEN  # another card may still pay
    assert posted(buyer) == 0


def test_a_bank_debit_is_credited_when_the_bank_has_paid(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    till.pay(order, "delayed_success")
    assert topups.refresh(order).status == Status.PROCESSING
    assert posted(buyer) == 0
    till.ask(f"checkout/sessions/{order.session_id}/settle")
    assert topups.refresh(order).status == Status.CREDITED
    assert posted(buyer) == 10 * 10**9


def test_a_bank_debit_that_comes_back_credits_nothing(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    till.pay(order, "delayed_failure")
    topups.refresh(order)
    till.ask(f"checkout/sessions/{order.session_id}/settle")
    assert topups.refresh(order).status == Status.FAILED
    assert posted(buyer) == 0


def test_a_cancelled_order_cannot_be_paid_any_more(till: Till, buyer: Person) -> None:
    order = topups.cancel(till.order(buyer.account, buyer.user))
    assert order.status == Status.EXPIRED


def test_cancelling_what_was_paid_meanwhile_credits_it(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    till.pay(order)
    assert topups.cancel(order).status == Status.CREDITED
    assert posted(buyer) == 10 * 10**9


def test_late_events_of_the_way_there_do_not_undo_a_credit(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    hear(*till.events(order.session_id, order.payment_intent_id)[::-1])
    order.refresh_from_db()
    assert order.status == Status.CREDITED
    assert posted(buyer) == 10 * 10**9


def test_with_all_webhooks_lost_the_sweep_credits(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    till.pay(order)
    reconcile.sweep()
    assert posted(buyer) == 0  # its own event still has time
    TopUp.objects.filter(pk=order.pk).update(status=Status.OPEN)
    with_age(order, timedelta(minutes=11))
    reconcile.sweep()
    assert posted(buyer) == 10 * 10**9


def with_age(order: TopUp, age: timedelta) -> None:
    """As if the order had been made earlier; the application's role may not say so, the tests' superuser may."""
    import os

    import psycopg

    with psycopg.connect(os.environ["TOKENHUB_TEST_SUPERUSER_URL"], autocommit=True) as superuser:
        superuser.execute("UPDATE top_up SET created_at = now() - %s WHERE id = %s", [age, order.pk])


def test_an_order_without_a_page_is_given_up(till: Till, buyer: Person) -> None:
    order = TopUp.objects.create(
        account=buyer.account, user=buyer.user, request_key=uuid.uuid4(), is_test=True, credit_nanos=5 * 10**9
    )
    with_age(order, timedelta(minutes=26))
    order.refresh_from_db()
    assert topups.refresh(order).status == Status.EXPIRED
