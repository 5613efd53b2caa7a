"""The ledger against a model of itself in a few lines of Python: any order of verbs, the same balances and answers."""

import os
import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.gateway.conftest import new_customer
from tests.scenarios import assert_books_are_clean, balance

LIMIT = 30_000_000
CENT = 10_000_000  # what a card can pay: orders are whole cents
#: base, least, most; least == most is a caller who named the bound
BOUNDS = st.tuples(st.integers(0, 200), st.integers(1, 5_000_000), st.integers(0, 15_000_000)).map(
    lambda it: (it[0], it[1], it[1] + it[2])
)


@dataclass(eq=False)
class Order:
    id: uuid.UUID
    credit: int
    paid: bool = False
    clawbacks: dict[str, int] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)

    @property
    def clawed(self) -> int:
        return sum(amount for key, amount in self.clawbacks.items() if key not in self.returned)


class Wallet(RuleBasedStateMachine):
    """One wallet, one key with a limit of $0.03 in total, one process."""

    calls: Bundle[list[uuid.UUID]] = Bundle("calls")
    orders: Bundle["Order"] = Bundle("orders")
    app: psycopg.Connection
    owner: psycopg.Connection

    @initialize()
    def open(self) -> None:
        self.customer = new_customer(0, limit_nanos=LIMIT)
        self.wallet_id, self.key_id = self.customer.wallet.pk, self.customer.key_row.pk
        self.posted = self.spent = self.debt = 0
        self.holds: dict[uuid.UUID, int] = {}
        self.closed: set[uuid.UUID] = set()
        self.grants: dict[uuid.UUID, int] = {}
        self.start_process()

    def start_process(self) -> None:
        self.boot = uuid.uuid4()
        self.app.execute("SELECT start_boot(%s, 'model')", [self.boot])

    @property
    def held(self) -> int:
        return sum(self.holds.values())

    @property
    def free(self) -> int:
        return self.posted - self.held

    @property
    def key_free(self) -> int:
        return LIMIT - self.spent - self.held

    def verb(self, sql: str, *arguments: Any) -> Any:
        row = self.app.execute(sql, arguments).fetchone()
        assert row is not None
        return row[0] if len(row) == 1 else row

    @rule(number=st.integers(0, 4), amount=st.integers(1, 15_000_000))
    def grant(self, number: int, amount: int) -> None:
        grant = uuid.uuid5(self.boot_of_the_wallet, str(number))
        sql = "SELECT grant_credit(%s, %s, %s, 'model', 'test')"
        try:
            posted = self.verb(sql, grant, self.customer.account.pk, amount)
        except psycopg.errors.UniqueViolation:
            assert self.grants[grant] != amount
            return
        assert posted == (grant not in self.grants)
        if posted:
            self.grants[grant] = amount
            self.posted += amount

    @property
    def boot_of_the_wallet(self) -> uuid.UUID:
        return uuid.UUID(int=self.wallet_id)

    # ------------------------------------------------------------ money in and out
    @rule(target=orders, dollars=st.integers(1, 3))
    def top_up(self, dollars: int) -> "Order":
        order = Order(uuid.uuid4(), dollars * CENT)
        self.app.execute(
            "INSERT INTO top_up (id, slug, account_id, origin, request_key, is_test, credit_nanos, fee_nanos, status, reason,"
            " checkout_url, card_brand, card_last4, clawed_nanos)"
            " VALUES (%s, %s, %s, 'checkout', %s, true, %s, 0, 'open', '', '', '', '', 0)",
            [order.id, str(order.id), self.customer.account.pk, order.id, order.credit],
        )
        self.credit(order)
        return order

    @rule(order=orders)
    def credit(self, order: "Order") -> None:
        assert self.verb("SELECT credit_top_up(%s, %s, 0, %s)", order.id, *[order.credit // CENT] * 2) == (
            not order.paid
        )
        if not order.paid:
            order.paid = True
            self.posted += order.credit
            self.pay_debt()

    @rule(order=orders, share=st.integers(1, 6), number=st.integers(0, 3), kind=st.sampled_from(["refund", "dispute"]))
    def claw_back(self, order: "Order", share: int, number: int, kind: str) -> None:
        key, amount = f"{kind}:{order.id}:{number}", order.credit * share // 4
        taken = self.verb("SELECT claw_back(%s, %s, %s, %s)", key, kind, order.id, amount)
        if key in order.clawbacks:
            assert taken == order.clawbacks[key]
            return
        expected = min(amount, order.credit - order.clawed)
        assert taken == expected
        if expected > 0:
            free = min(expected, self.free)
            self.posted -= free
            self.debt += expected - free
            order.clawbacks[key] = expected

    @rule(order=orders, share=st.integers(1, 5))
    def refund_unused(self, order: "Order", share: int) -> None:
        key, amount = f"refund:{uuid.uuid4()}", order.credit * share // 4
        left = self.verb(
            "SELECT amount_nanos - used_nanos - removed_nanos FROM credit_lot WHERE source = %s", f"topup:{order.id}"
        )
        fits = amount <= min(order.credit - order.clawed, self.free, left) and not self.debt
        taken = self.verb("SELECT claw_back(%s, 'refund', %s, %s, true)", key, order.id, amount)
        assert taken == (amount if fits else None)
        if fits:
            self.posted -= amount
            order.clawbacks[key] = amount

    @rule(order=orders, data=st.data())
    def give_back(self, order: "Order", data: st.DataObject) -> None:
        if not order.clawbacks:
            return
        key = data.draw(st.sampled_from(sorted(order.clawbacks)))
        amount = 0 if key in order.returned else order.clawbacks[key]
        assert self.verb("SELECT give_back(%s)", key) == amount
        order.returned.add(key)
        paid = min(amount, self.debt)
        self.debt -= paid
        self.posted += amount - paid

    @rule()
    def collect(self) -> None:
        before = self.debt
        assert (
            self.verb("SELECT collect_receivable(%s)", self.customer.account.pk)
            == self.pay_debt()
            == before - self.debt
        )

    def pay_debt(self) -> int:
        part = min(self.debt, self.free)
        self.posted -= part
        self.debt -= part
        return part

    @rule(target=calls, bounds=st.lists(BOUNDS, min_size=1, max_size=6))
    def admit(self, bounds: list[tuple[int, int, int]]) -> list[uuid.UUID]:
        free, key_free, frozen = self.free, self.key_free, self.debt > 0
        together = [max(least, min(most, base + free // 4, free, key_free)) for base, least, most in bounds]
        fit_together = sum(together) <= min(free, key_free)
        calls = [uuid.uuid4() for _ in bounds]
        expected: list[tuple[int, int]] = []
        for call, amount, (base, least, most) in zip(calls, together, bounds, strict=True):
            if not fit_together:
                amount = max(least, min(most, base + self.free // 4, self.free, self.key_free))
            code = 7 if amount > self.key_free else 8 if amount > self.free else 0
            expected.append((code, amount))
            if code == 0 and not frozen:
                self.holds[call] = amount
        codes, amounts = self.verb(
            "SELECT codes, amounts FROM admit(%s, %s, %s, %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[])",
            self.boot, calls, [bytes(self.customer.key_row.hash)] * len(calls), *map(list, zip(*bounds, strict=True)),
            [1] * len(calls), [1] * len(calls),
        )  # fmt: skip
        if frozen:
            assert set(codes) == {5}
            return calls
        assert list(zip(codes, amounts, strict=True)) == expected
        return calls

    @rule(
        calls=calls,
        costs=st.lists(st.integers(0, 6_000_000), min_size=6, max_size=6),
        status=st.sampled_from([200, 499, 502]),
    )
    def settle(self, calls: list[uuid.UUID], costs: list[int], status: int) -> None:
        count, expected = len(calls), []
        for call, cost in zip(calls, costs, strict=False):
            if call in self.holds:
                captured = min(self.holds.pop(call), cost)
                self.posted -= captured
                self.spent += captured
                self.closed.add(call)
                expected.append(0)
            else:
                expected.append(1 if call in self.closed else 2)
        numbers = [[status] * count, *([1] * count for _ in range(9))]
        codes = self.verb(
            "SELECT settle(%s, %s::bigint[], %s::bigint[], " + "%s::int[], " * 10 + "%s::text[])",
            calls, [self.wallet_id] * count, costs[:count], *numbers, [None] * count,
        )  # fmt: skip
        assert (codes or [0] * count) == expected

    @rule(calls=calls, totals=st.lists(st.integers(1, 9_000_000), min_size=6, max_size=6))
    def extend(self, calls: list[uuid.UUID], totals: list[int]) -> None:
        expected = []
        for call, total in zip(calls, totals, strict=False):
            more = total - self.holds.get(call, total)
            if call not in self.holds:
                code = 1 if call in self.closed else 2
            else:
                code = 0 if more <= 0 else 7 if more > self.key_free else 8 if more > self.free else 0
            if code == 0 and more > 0:
                self.holds[call] = total
            expected.append(code)
        arguments = (calls, [self.wallet_id] * len(calls), totals[: len(calls)])
        assert self.verb("SELECT extend_holds(%s, %s::bigint[], %s::bigint[])", *arguments) == expected

    @rule()
    def crash_and_sweep(self) -> None:
        self.app.execute("SELECT end_boot(%s)", [self.boot])
        assert self.verb("SELECT captured, released FROM sweep_holds('1 hour')") == (0, len(self.holds))
        self.closed.update(self.holds)
        self.holds = {}
        self.start_process()

    @invariant()
    def balances_agree(self) -> None:
        if not hasattr(self, "customer"):
            return
        assert balance(self.customer) == (self.posted, self.held)
        owed = self.app.execute(
            "SELECT coalesce(-sum(posted_nanos), 0) FROM ledger_account WHERE customer_id = %s AND kind = 'receivable'",
            [self.customer.account.pk],
        )
        assert owed.fetchone() == (self.debt,)
        self.app.execute("SELECT attribute_lots(%s)", [self.customer.account.pk])
        left = (
            "SELECT coalesce(sum(amount_nanos - used_nanos - removed_nanos), 0) FROM credit_lot WHERE customer_id = %s"
        )
        assert self.app.execute(left, [self.customer.account.pk]).fetchone() == (self.posted,)
        counters = self.app.execute("SELECT spent_nanos, held_nanos FROM api_key WHERE id = %s", [self.key_id])
        assert counters.fetchone() == (self.spent, self.held)

    def teardown(self) -> None:
        if hasattr(self, "boot"):
            self.app.execute("SELECT end_boot(%s)", [self.boot])
            self.app.execute("SELECT sweep_holds('1 hour')")


def test_the_ledger_does_what_its_model_does(app_db: psycopg.Connection, owner_db: psycopg.Connection) -> None:
    while app_db.execute("SELECT captured + released FROM sweep_holds('1 hour')").fetchone() != (0,):
        pass  # what other tests left
    Wallet.app, Wallet.owner = app_db, owner_db
    profile = settings(
        max_examples=int(os.environ.get("LEDGER_MODEL_EXAMPLES", "40")),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Wallet, settings=profile)
    assert_books_are_clean(owner_db)
