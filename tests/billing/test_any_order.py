"""Whatever Stripe tells, in whatever order, how often or never: in the end the ledger says what Stripe says."""

import random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from billing import ledger, reconcile, refunds, topups
from billing.amounts import NANOS_PER_CENT
from billing.models import Dispute, Refund, TopUp
from tests.accounts.people import person
from tests.billing.till import Till, hear
from tests.scenarios import BOOKS
from tokenhub.clock import now


class Payments(RuleBasedStateMachine):
    """One customer's payments, and the messenger who loses, doubles and shuffles what is told of them."""

    orders: Bundle[TopUp] = Bundle("orders")
    till: Till
    owner: psycopg.Connection

    @initialize()
    def begin(self) -> None:
        self.buyer = person()
        self.made: list[TopUp] = []
        self.disputes: dict[str, str] = {}  # id → the status that was ordered last
        self.refunds: list[str] = []
        self.began_at = now()

    @rule(target=orders, usd=st.integers(5, 30), outcome=st.sampled_from(["success", "success", "decline", "delayed_success", "delayed_failure"]))  # fmt: skip
    def pay(self, usd: int, outcome: str) -> TopUp:
        order = self.till.order(self.buyer.account, self.buyer.user, str(usd))
        self.till.pay(order, outcome)
        self.made.append(order)
        return order

    @rule(order=orders)
    def bank_answers(self, order: TopUp) -> None:
        self.ordered(f"checkout/sessions/{order.session_id}/settle")

    @rule(order=orders)
    def page_expires(self, order: TopUp) -> None:
        topups.cancel(order)

    @rule(order=orders, share=st.integers(1, 4))
    def refund_in_the_dashboard(self, order: TopUp, share: int) -> None:
        payment = self.payment_of(order)
        if payment:
            answer = self.till.http.post(
                "/v1/refunds",
                data={"payment_intent": payment, "amount": order.credit_nanos // NANOS_PER_CENT * share // 4},
            )
            if answer.status_code == 200:
                self.refunds.append(answer.json()["id"])

    @rule(order=orders, share=st.integers(1, 4))
    def refund_by_the_customer(self, order: TopUp, share: int) -> None:
        order.refresh_from_db()
        amount = order.credit_nanos // NANOS_PER_CENT * share // 4 * NANOS_PER_CENT
        try:
            made = refunds.request(
                top_up=order, user=self.buyer.user, credit_nanos=amount, origin=Refund.Origin.CUSTOMER
            )
        except refunds.NotRefundable:
            return
        if made.stripe_id:
            self.refunds.append(made.stripe_id)

    @precondition(lambda self: self.refunds)
    @rule(data=st.data())
    def refund_fails(self, data: st.DataObject) -> None:
        self.ordered(f"refunds/{data.draw(st.sampled_from(self.refunds))}/fail")

    @rule(order=orders, status=st.sampled_from(["warning_needs_response", "needs_response"]))
    def bank_asks(self, order: TopUp, status: str) -> None:
        payment = self.payment_of(order)
        if payment:
            answer = self.till.http.post(
                "/v1/test_helpers/disputes", data={"payment_intent": payment, "status": status}
            )
            if answer.status_code == 200:
                self.disputes[answer.json()["id"]] = status

    @precondition(lambda self: self.disputes)
    @rule(data=st.data(), verb=st.sampled_from(["withdraw", "close/won", "close/lost", "close/warning_closed"]))
    def dispute_goes_on(self, data: st.DataObject, verb: str) -> None:
        name, _, outcome = verb.partition("/")
        dispute = data.draw(st.sampled_from(sorted(self.disputes)))
        self.ordered(f"disputes/{dispute}/{name}", **({"outcome": outcome} if outcome else {}))

    @rule(seed=st.integers(0, 10**6), share=st.integers(1, 3))
    def events_arrive(self, seed: int, share: int) -> None:
        """Some of what was said so far, some of it twice, in any order."""
        dice = random.Random(seed)
        about = [name for order in self.made for name in (order.session_id, self.payment_of(order))]
        told = self.till.events(*about, *self.refunds, *self.disputes)
        hear(*dice.choices(told, k=min(8, len(told) * share // 3)))

    def payment_of(self, order: TopUp) -> str:
        session = self.till.http.get(f"/v1/checkout/sessions/{order.session_id}").json()
        return str(session.get("payment_intent") or "")

    def ordered(self, helper: str, **form: Any) -> None:
        """What cannot be done (a second settlement, a closed dispute) is refused by the stand-in, as by Stripe."""
        assert self.till.http.post(f"/v1/test_helpers/{helper}", data=form).status_code in (200, 400, 404)

    def teardown(self) -> None:
        if not hasattr(self, "buyer"):
            return
        for order in self.made:
            topups.refresh(order)
        reconcile.compare(self.began_at)
        account = self.buyer.account.pk
        for order in TopUp.objects.filter(account=account):
            kept = max(0, self.till.truth_cents(order)) * NANOS_PER_CENT
            assert (order.unreturned_nanos if order.credited_at else 0) == kept, order.status
        balance = ledger.wallet(account).posted_nanos - ledger.owed_nanos(account)
        credited = TopUp.objects.filter(account=account, credited_at__isnull=False)
        assert balance == sum(order.unreturned_nanos for order in credited)
        withdrawn = Dispute.objects.filter(top_up__account=account, has_withdrawn=True, closed_at=None).exists()
        assert ledger.wallet(account).frozen == (withdrawn or ledger.owed_nanos(account) > 0)
        assert self.owner.execute(BOOKS).fetchall() == []


@pytest.mark.parametrize("sequences", [12, pytest.param(500, marks=pytest.mark.long)])
def test_any_order_of_events_ends_where_stripe_ends(till: Till, owner_db: psycopg.Connection, sequences: int) -> None:
    Payments.till, Payments.owner = till, owner_db
    profile = settings(
        max_examples=sequences,
        stateful_step_count=14,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Payments, settings=profile)
