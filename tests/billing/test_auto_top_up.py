"""Auto top-up: charges only what was agreed to, and stops at the first failure."""

from datetime import timedelta

import pytest
from django.core import mail

from billing import auto_top_up, cards, ledger
from billing.models import AutoTopUp, TopUp
from tests.accounts.people import Person, person
from tests.billing.till import DECLINED_LATER, PLAIN, WANTS_CONFIRMATION, Till
from tokenhub.clock import now

USD = 10**9


@pytest.fixture
def buyer() -> Person:
    return person()


def save_card(till: Till, someone: Person, number: str = PLAIN) -> None:
    url = cards.start_saving(account=someone.account, user=someone.user)
    session_id = url.rpartition("/")[2].partition("?")[0]
    till.ask(f"checkout/sessions/{session_id}/pay", outcome="authenticate", card=number)
    assert cards.finish_saving(someone.account, session_id)


def agree(someone: Person, *, below: int = 5, add: int = 10, cap: int = 30) -> AutoTopUp:
    return auto_top_up.save(
        account=someone.account, user=someone.user, is_on=True,
        threshold_nanos=below * USD, amount_nanos=add * USD, monthly_cap_nanos=cap * USD,
    )  # fmt: skip


def runs(someone: Person) -> list[str]:
    return [order.status for order in auto_top_up.recent_runs(someone.account, 5)]


def rest(someone: Person) -> None:
    """The cool-down is over."""
    AutoTopUp.objects.filter(account=someone.account).update(last_run_at=now() - timedelta(minutes=11))


def posted(someone: Person) -> int:
    return ledger.wallet(someone.account.pk).posted_nanos


def test_without_a_saved_card_it_cannot_be_switched_on(till: Till, buyer: Person) -> None:
    with pytest.raises(auto_top_up.CardMissing):
        agree(buyer)


def test_another_accounts_setup_saves_nothing(till: Till, buyer: Person) -> None:
    other = person()
    url = cards.start_saving(account=other.account, user=other.user)
    session_id = url.rpartition("/")[2]
    till.ask(f"checkout/sessions/{session_id}/pay", outcome="success")
    assert not cards.finish_saving(buyer.account, session_id)
    assert not cards.profile_of(buyer.account).has_card


def test_a_low_balance_is_topped_up_once(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer)
    auto_top_up.run_due()
    auto_top_up.run_due()
    assert runs(buyer) == [TopUp.Status.CREDITED]
    assert posted(buyer) == 10 * USD


def test_the_months_cap_is_never_passed(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer, below=1000, add=20, cap=50)
    for _ in range(4):
        auto_top_up.run_due()
        rest(buyer)
    assert posted(buyer) == 40 * USD
    assert auto_top_up.spent_this_month_nanos(buyer.account) == 40 * USD


def test_between_two_charges_there_are_ten_minutes(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer, below=1000)
    auto_top_up.run_due()
    auto_top_up.run_due()
    assert posted(buyer) == 10 * USD


def test_enough_balance_charges_nothing(till: Till) -> None:
    rich = person(starter_credit_nanos=5 * USD)
    save_card(till, rich)
    agree(rich)
    auto_top_up.run_due()
    assert runs(rich) == []


@pytest.mark.parametrize(("card", "reason"), [(DECLINED_LATER, "declined"), (WANTS_CONFIRMATION, "confirm")])
def test_the_first_failure_stops_it_and_tells_by_mail(till: Till, buyer: Person, card: str, reason: str) -> None:
    save_card(till, buyer, card)
    agree(buyer)
    mail.outbox.clear()
    auto_top_up.run_due()
    rest(buyer)
    auto_top_up.run_due()
    rule = AutoTopUp.objects.get(account=buyer.account)
    assert (rule.is_on, runs(buyer)) == (False, [TopUp.Status.FAILED])
    assert reason in rule.stop_reason
    assert posted(buyer) == 0
    [letter] = [letter for letter in mail.outbox if letter.to == [buyer.user.email]]
    assert "/billing/top-up?team=" in str(letter.body)


def test_stripe_away_is_asked_again_with_the_same_key(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer)
    till.ask("faults", kind="lost_answer", count=3, path="/v1/payment_intents")
    auto_top_up.run_due()
    till.heal()
    [order] = auto_top_up.recent_runs(buyer.account, 5)
    assert order.status == TopUp.Status.CREATED
    auto_top_up.resume(order)
    auto_top_up.resume(order)
    assert posted(buyer) == 10 * USD
    payments = till.sdk.v1.payment_intents.list(params={"limit": 100}).data
    assert len([one for one in payments if one.to_dict()["metadata"].get("order") == str(order.id)]) == 1


def test_a_removed_card_switches_it_off(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer)
    cards.forget(buyer.account, buyer.user)
    assert not AutoTopUp.objects.get(account=buyer.account).is_on
    auto_top_up.run_due()
    assert runs(buyer) == []


def test_switched_off_stays_off(till: Till, buyer: Person) -> None:
    save_card(till, buyer)
    agree(buyer)
    auto_top_up.turn_off(buyer.account, buyer.user)
    auto_top_up.run_due()
    assert runs(buyer) == []
