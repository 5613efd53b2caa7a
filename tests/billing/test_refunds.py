"""Money that goes back: taken once, never more than was given, never below zero."""

import pytest
from django.test import override_settings

from billing import disputes, ledger, reconcile, refunds
from billing.models import CreditLot, Refund, TopUp
from gateway.admission import admit_one, settle_one
from tests.accounts.people import Person, key_for, person
from tests.billing.till import Till, hear
from tests.gateway.conftest import Customer
from tests.scenarios import ask, end
from tokenhub.ids import new_uuid7

USD = 10**9
CUSTOMER, OPERATOR = Refund.Origin.CUSTOMER, Refund.Origin.OPERATOR


@pytest.fixture
def buyer() -> Person:
    return person()


def posted(someone: Person) -> int:
    return ledger.wallet(someone.account.pk).posted_nanos


def spend(someone: Person, nanos: int, boot: bytes) -> None:
    """A call that costs exactly this."""
    issued = key_for(someone)
    customer = Customer(someone.account, issued.secret, issued.row)
    call = new_uuid7()
    assert admit_one(boot, ask(customer, nanos, call=call)).is_held
    settle_one(end(call, customer.wallet.pk, nanos))


def ask_back(order: TopUp, someone: Person, nanos: int, origin: Refund.Origin = CUSTOMER) -> Refund:
    return refunds.request(top_up=order, user=someone.user, credit_nanos=nanos, origin=origin)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("nanos", [0, -USD, 11 * USD, 5_000_001])
def test_only_whole_cents_of_unused_credit_can_be_refunded(till: Till, buyer: Person, nanos: int) -> None:
    order = till.paid(buyer.account, buyer.user)
    with pytest.raises(refunds.NotRefundable):
        ask_back(order, buyer, nanos)
    assert posted(buyer) == 10 * USD


def test_used_credit_is_not_refunded(till: Till, buyer: Person, boot: bytes) -> None:
    order = till.paid(buyer.account, buyer.user)
    spend(buyer, 4 * USD + 1, boot)
    assert refunds.refundable_nanos(order) == 5_990_000_000
    with pytest.raises(refunds.NotRefundable, match=r"\$5\.99"):
        ask_back(order, buyer, 6 * USD)


def test_promotional_credit_is_used_first_if_it_is_older_and_never_refunded(till: Till, boot: bytes) -> None:
    buyer = person(starter_credit_nanos=3 * USD)
    order = till.paid(buyer.account, buyer.user)
    spend(buyer, 2 * USD, boot)
    assert refunds.refundable_nanos(order) == 10 * USD
    kinds = [(lot.kind, lot.left_nanos) for lot in ledger.lots_of(buyer.account.pk)]
    assert kinds == [(CreditLot.Kind.PROMO, USD), (CreditLot.Kind.PAID, 10 * USD)]


def test_after_the_window_only_an_operator_refunds(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    with override_settings(REFUND_DAYS=0):
        assert refunds.refundable_nanos(order) == 0
        with pytest.raises(refunds.NotRefundable):
            ask_back(order, buyer, USD)
        assert ask_back(order, buyer, USD, OPERATOR).status == Refund.Status.SUCCEEDED


# ---------------------------------------------------------------- refunds


def test_unused_credit_goes_back_to_the_card(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    refund = ask_back(order, buyer, 4 * USD)
    assert refund.status == Refund.Status.SUCCEEDED
    assert posted(buyer) == 6 * USD
    assert till.truth_cents(order) == 600
    order.refresh_from_db()
    assert order.unreturned_nanos == 6 * USD


def test_fee_and_tax_go_back_in_the_same_share(till: Till, buyer: Person) -> None:
    with override_settings(TOPUP_FEE_BASIS_POINTS=550):
        order = till.paid(buyer.account, buyer.user)
    assert ask_back(order, buyer, 5 * USD).cash_cents == 527
    assert ask_back(order, buyer, 5 * USD).cash_cents == 527


def test_stripe_away_leaves_the_refund_waiting_and_the_sweep_sends_it_once(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    till.ask("faults", kind=500, count=20, path="/v1/refunds")
    refund = ask_back(order, buyer, 10 * USD)
    assert refund.status == Refund.Status.REQUESTED
    assert posted(buyer) == 0  # it cannot be spent meanwhile
    till.heal()
    refunds.submit(refund)
    refunds.submit(refund)
    refund.refresh_from_db()
    assert refund.status == Refund.Status.SUCCEEDED
    assert till.truth_cents(order) == 0


def test_a_lost_answer_refunds_once(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    till.ask("faults", kind="lost_answer", count=3, path="/v1/refunds")
    refund = ask_back(order, buyer, 4 * USD)
    till.heal()
    refunds.submit(refund)
    assert till.truth_cents(order) == 600
    assert posted(buyer) == 6 * USD


def test_a_refund_that_fails_gives_the_credit_back_once(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    refund = ask_back(order, buyer, 4 * USD)
    till.ask(f"refunds/{refund.stripe_id}/fail")
    for _ in range(2):
        hear(*[event for event in till.events(refund.stripe_id) if event["type"] == "refund.failed"][:1])
        refunds.follow(refund.stripe_id or "")
    refund.refresh_from_db()
    assert refund.status == Refund.Status.FAILED
    assert posted(buyer) == 10 * USD
    assert refunds.refundable_nanos(order) == 10 * USD


def test_a_refund_in_stripes_dashboard_takes_its_share_of_the_credit(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    made = till.refund(order, 250)
    hear(*till.events(made.id))
    assert posted(buyer) == 7_500_000_000
    [refund] = order.refunds.all()
    assert refund.origin == Refund.Origin.STRIPE


def test_a_refund_heard_of_before_its_payment_credits_first(till: Till, buyer: Person) -> None:
    order = till.order(buyer.account, buyer.user)
    till.pay(order)
    session = till.sdk.v1.checkout.sessions.retrieve(order.session_id or "")
    made = till.sdk.v1.refunds.create(params={"payment_intent": str(session.payment_intent), "amount": 1000})
    hear(*till.events(made.id))
    order.refresh_from_db()
    assert order.status == TopUp.Status.CREDITED
    assert posted(buyer) == 0


# ---------------------------------------------------------------- what was spent already


def test_what_was_spent_becomes_a_debt_that_the_next_payment_pays(till: Till, buyer: Person, boot: bytes) -> None:
    order = till.paid(buyer.account, buyer.user)
    spend(buyer, 8 * USD, boot)
    hear(*till.events(till.refund(order, 1000).id))
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (0, True)
    assert ledger.owed_nanos(buyer.account.pk) == 8 * USD
    till.paid(buyer.account, buyer.user, "25")
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (17 * USD, False)
    assert ledger.owed_nanos(buyer.account.pk) == 0


# ---------------------------------------------------------------- disputes


def test_an_inquiry_moves_nothing(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    disputes.follow(till.dispute(order, "warning_needs_response"))
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (10 * USD, False)


def test_a_dispute_takes_the_credit_and_freezes_until_it_is_won(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    dispute = till.dispute(order)
    hear(*till.events(dispute))
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (0, True)
    assert refunds.refundable_nanos(order) == 0
    till.ask(f"disputes/{dispute}/close", outcome="won")
    hear(*till.events(dispute))
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (10 * USD, False)


def test_a_lost_dispute_keeps_the_credit_and_thaws(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    dispute = till.dispute(order)
    disputes.follow(dispute)
    till.ask(f"disputes/{dispute}/close", outcome="lost")
    disputes.follow(dispute)
    wallet = ledger.wallet(buyer.account.pk)
    assert (wallet.posted_nanos, wallet.frozen) == (0, False)


def test_refund_and_dispute_together_take_no_more_than_was_given(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    ask_back(order, buyer, 4 * USD)
    disputes.follow(till.dispute(order, amount=1000))
    order.refresh_from_db()
    assert order.clawed_nanos == 10 * USD
    assert posted(buyer) == 0
    assert ledger.owed_nanos(buyer.account.pk) == 0


def test_the_comparison_finds_what_no_event_told(till: Till, buyer: Person) -> None:
    order = till.paid(buyer.account, buyer.user)
    till.refund(order, 300)
    other = till.order(buyer.account, buyer.user, "25")
    till.pay(other)
    assert [one for one in reconcile.compare(order.created_at) if one.reference in (order.slug, other.slug)] == []
    assert posted(buyer) == 32 * USD
