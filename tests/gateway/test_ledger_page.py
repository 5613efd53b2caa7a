"""The ledger page and its CSV. Strangers and nonsense first; then that every balance is what the wallet had at that moment."""

import csv
import io
import re
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership
from billing import ledger, promo_codes
from billing.models import Hold, LedgerAccount, PromoCode, Transfer
from gateway import ledger_lines, sample_calls
from gateway.ledger_filter import LedgerFilter
from gateway.ledger_lines import ROWS_PER_PAGE, Line
from gateway.models import CallRecord
from gateway.sample_calls import OWNER
from gateway.usage_filters import Scope
from tests.accounts.people import Person, person
from tests.billing.orders import dispute, pay, refund
from tokenhub import clock
from tokenhub.ids import new_uuid7
from tokenhub.money import usd_to_nanos

CALLS = 700
PATHS = ["/billing/ledger", "/billing/ledger.csv"]
QUERIES_AT_MOST = 12


@pytest.fixture(scope="module")
def owner(_database_for_all: None) -> Person:
    """Sample calls of 60 days, and after them a payment that is partly refunded, one that is disputed and won, a grant."""
    me = person(starter_credit_nanos=usd_to_nanos("1.00"))
    sample_calls.make(account=me.account, user=me.user, calls=CALLS)
    refund(pay(me, "10.00", fee="0.55"), "2.50")
    won = dispute(pay(me, "20.00"))
    ledger.give_back(key=won.clawback_key)
    ledger.grant_credit(
        customer_id=me.account.pk,
        amount_nanos=usd_to_nanos("0.5"),
        reason='=HYPERLINK("x")',
        granted_by="op@example.test",
    )
    adjust_at_a_calls_moment(me)
    code = PromoCode.objects.create(code=uuid.uuid4().hex.upper(), amount_nanos=usd_to_nanos("3"), credit_days=0)
    promo_codes.redeem(account=me.account, user=me.user, code=code.code)
    ledger.expire_lots()
    return me


def adjust_at_a_calls_moment(someone: Person) -> None:
    """Three adjustments, one of them downwards, at the very moment of a call: only their keys tell them apart."""
    call = CallRecord.objects.filter(account_id=someone.account.pk, cost_nanos__gt=0).order_by("created_at")[CALLS // 2]
    wallet_id = ledger.wallet(someone.account.pk).pk
    house_id = LedgerAccount.objects.get(kind="adjustment", customer_id=None).pk
    for name, debit, credit in [("a", house_id, wallet_id), ("b", wallet_id, house_id), ("c", house_id, wallet_id)]:
        Transfer.objects.using(OWNER).create(
            idempotency_key=f"adjustment:{uuid.uuid4()}:{name}",
            kind="adjustment",
            debit_id=debit,
            credit_id=credit,
            amount_nanos=7,
            created_at=call.created_at,
        )


def asked(someone: Person, query: str = "", zone: str = "UTC") -> LedgerFilter:
    return LedgerFilter.read(Scope(someone.account), QueryDict(query), ZoneInfo(zone))


def walk(someone: Person, query: str = "", rows: int = ROWS_PER_PAGE) -> list[Line]:
    lines: list[Line] = []
    before = ""
    while True:
        page = ledger_lines.page(asked(someone, query), before=before, rows=rows)
        lines += page.lines
        if not page.older:
            return lines
        before = page.older


def export(someone: Person, query: str = "") -> list[dict[str, str]]:
    response = someone.browser.get(f"/billing/ledger.csv?{query}")
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(body(response).decode())))


def body(response) -> bytes:  # type: ignore[no-untyped-def]
    async def read() -> bytes:
        return b"".join([chunk async for chunk in response.streaming_content])

    return async_to_sync(read)() if response.is_async else b"".join(response.streaming_content)


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# ---------------------------------------------------------------- who sees it, and nonsense


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_sent_to_log_in(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login?next=/billing/ledger")


@pytest.mark.parametrize("path", PATHS)
def test_a_developer_may_not_see_the_teams_ledger(owner: Person, path: str) -> None:
    developer = person()
    Membership.objects.create(account=owner.account, user=developer.user, role=Membership.Role.DEVELOPER)
    assert developer.browser.get(path, {"team": owner.account.slug}).status_code == 403


def test_nobody_sees_anothers_movements(owner: Person) -> None:
    me = person()
    assert "Nothing has moved yet" in me.browser.get("/billing/ledger").content.decode()
    assert export(me) == []
    theirs = walk(owner)[10].row.place
    answer = me.browser.get(f"/billing/ledger?before={quote(str(theirs))}")
    assert "/usage/requests/" not in answer.content.decode()


@pytest.mark.parametrize("query", [
    "show=everything", "before=nonsense", "after=nonsense", "before=2026-11-22~", "before=~gen-1", "before=2026-13-40T00:00:00Z~x",
    "before=2026-11-22T00:00:00~topup:x", "before=9999-12-31T23:59:59-23:00~x", "before=0001-01-01T00:00:00%2B23:00~x",
    "before=2026-11-22T00:00:00Z~a%00b", "after=2026-11-22T00:00:00Z~" + "x" * 201,
])  # fmt: skip
def test_what_names_no_lines_is_not_found(owner: Person, query: str) -> None:
    assert owner.browser.get(f"/billing/ledger?{query}").status_code == 404


@pytest.mark.parametrize(
    "query", ["from=2026-02-30", "to=yesterday", "from=0001-01-01", "from=2026-11-20&to=2026-11-19"]
)
def test_days_that_there_are_not_are_answered_beside_the_field(owner: Person, query: str) -> None:
    answer = owner.browser.get(f"/billing/ledger?{query}")
    assert answer.status_code == 200
    assert 'aria-invalid="true"' in answer.content.decode()
    assert owner.browser.get(f"/billing/ledger.csv?{query}").status_code == 404


def test_a_cursor_that_somebody_made_up_gets_true_balances(owner: Person) -> None:
    lines = {line.id: line.balance_nanos for line in walk(owner)}
    moment = walk(owner)[200].row.at + timedelta(microseconds=1)
    for name in ("topup:made-up", f"gen-{new_uuid7().hex}"):
        page = ledger_lines.page(asked(owner), before=f"{moment.isoformat()}~{name}")
        assert page.lines
        assert all(lines[line.id] == line.balance_nanos for line in page.lines)


# ---------------------------------------------------------------- every line


def test_the_lines_are_all_movements_once_each_newest_first(owner: Person) -> None:
    wallet = ledger.wallet(owner.account.pk)
    calls = {
        f"gen-{pk.hex}"
        for pk in CallRecord.objects.filter(account_id=owner.account.pk, cost_nanos__gt=0).values_list("pk", flat=True)
    }
    others = set(Transfer.objects.exclude(kind="capture").filter(debit_id=wallet.pk).values_list("pk", flat=True))
    others |= set(Transfer.objects.exclude(kind="capture").filter(credit_id=wallet.pk).values_list("pk", flat=True))
    lines = walk(owner)
    assert len(lines) == len(calls) + len(others)
    assert {line.id for line in lines} == calls | others
    assert lines == sorted(lines, key=lambda line: line.row.place, reverse=True)


@pytest.mark.parametrize("rows", [2, 50, 2_000])
def test_each_balance_is_the_one_before_it_and_the_lines_amount(owner: Person, rows: int) -> None:
    lines = walk(owner, rows=rows)
    balance = 0
    for line in reversed(lines):
        balance += line.row.amount_nanos
        assert line.balance_nanos == balance
    assert balance == ledger.wallet(owner.account.pk).posted_nanos


@pytest.mark.parametrize(
    "query", ["show=calls", "show=credit", "show=returns", "from=2020-01-01", "show=calls&from=2026-01-01"]
)
def test_a_filter_changes_no_balance(owner: Person, query: str) -> None:
    balances = {line.id: line.balance_nanos for line in walk(owner)}
    lines = walk(owner, query, rows=3)
    assert lines
    assert {line.id: line.balance_nanos for line in lines}.items() <= balances.items()


def test_filters_divide_the_ledger(owner: Person) -> None:
    parts = [{line.id for line in walk(owner, f"show={show}")} for show in ("calls", "credit", "returns")]
    assert set.union(*parts) == {line.id for line in walk(owner)}
    assert sum(map(len, parts)) == len(set.union(*parts))
    kinds = {line.row.kind for line in walk(owner, "show=returns")}
    assert kinds == {"refund", "dispute", "dispute_back"}


def test_days_are_those_of_the_persons_zone(owner: Person) -> None:
    everything = walk(owner)
    day = everything[len(everything) // 2].row.at.astimezone(ZoneInfo("Asia/Kolkata")).date()
    within = [line.id for line in everything if line.row.at.astimezone(ZoneInfo("Asia/Kolkata")).date() == day]
    shown = ledger_lines.page(asked(owner, f"from={day}&to={day}", "Asia/Kolkata"), rows=2_000).lines
    assert [line.id for line in shown] == within


def test_forwards_the_pages_are_the_same_as_backwards(owner: Person) -> None:
    first = ledger_lines.page(asked(owner), rows=20)
    second = ledger_lines.page(asked(owner), before=first.older, rows=20)
    back = ledger_lines.page(asked(owner), after=second.newer, rows=20)
    assert first.newer == ""
    assert [(line.id, line.balance_nanos) for line in back.lines] == [
        (line.id, line.balance_nanos) for line in first.lines
    ]
    assert back.newer == ""
    assert back.older == first.older


def test_a_free_call_moves_nothing_and_is_no_line(owner: Person) -> None:
    free = CallRecord.objects.filter(account_id=owner.account.pk, cost_nanos=0)
    assert free.exists()
    assert not {f"gen-{call.pk.hex}" for call in free} & {line.id for line in walk(owner)}


# ---------------------------------------------------------------- the page


def test_a_line_says_when_why_and_what_and_leads_there(owner: Person) -> None:
    page = owner.browser.get("/billing/ledger").content.decode()
    words = text(page)
    for cause in ("Top-up", "Refund", "Dispute", "Dispute won", "Promotional credit"):
        assert cause in words
    assert "=HYPERLINK(&quot;x&quot;), by operator" in page
    assert "op@example.test" not in page
    assert "Credit expired" in words
    assert "/billing/top-up/top-" in page
    assert "UTC" in words
    calls = owner.browser.get("/billing/ledger?show=calls").content.decode()
    assert "/usage/requests/gen-" in calls
    assert "Production API" in calls


def test_links_walk_through_the_whole_filter(owner: Person) -> None:
    path: str | None = "/billing/ledger?show=calls"
    seen: list[str] = []
    while path:
        page = owner.browser.get(path).content.decode()
        seen += re.findall(r'href="/usage/requests/(gen-[0-9a-f]{32})"', page)
        older = re.search(r'href="(\?[^"]+)" rel="next"', page)
        path = "/billing/ledger" + older[1].replace("&amp;", "&") if older else None
    assert seen == [line.id for line in walk(owner, "show=calls")]


def test_a_filter_without_lines_offers_the_whole_ledger(owner: Person) -> None:
    page = owner.browser.get("/billing/ledger?from=2021-01-01&to=2021-01-02").content.decode()
    assert "No movement matches" in page


@pytest.mark.parametrize("query", ["", "show=calls", "show=credit", "show=returns", "show=holds", "from=2026-01-01"])
def test_a_page_takes_few_queries(owner: Person, query: str) -> None:
    owner.browser.get("/billing/ledger")
    with CaptureQueriesContext(connection) as captured:
        assert owner.browser.get(f"/billing/ledger?{query}").status_code == 200
    assert len(captured) <= QUERIES_AT_MOST, "\n".join(query["sql"][:200] for query in captured)


def test_an_open_hold_is_shown_with_its_model_and_key(owner: Person) -> None:
    assert "Nothing is held" in owner.browser.get("/billing/ledger?show=holds").content.decode()
    hold = hold_as_a_call_does(owner)
    words = text(owner.browser.get("/billing/ledger?show=holds").content.decode())
    assert "$0.25" in words
    assert Scope(owner.account).keys[hold.key_id].name in words
    row = export(owner, "show=holds")[0]
    assert (row["id"], row["held_usd"]) == (f"gen-{hold.pk.hex}", "0.25")


def hold_as_a_call_does(someone: Person) -> Hold:
    """For the key and the model of a call that was; with the owner's role, as the application's may write no hold."""
    like = Hold.objects.filter(wallet_id=ledger.wallet(someone.account.pk).pk).earliest("created_at")
    boot_id, hold_id = uuid.uuid4(), uuid.UUID(bytes=new_uuid7())
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT start_boot(%s, 'test')", [boot_id])
    return Hold.objects.using(OWNER).create(
        pk=hold_id,
        wallet_id=like.wallet_id,
        key_id=like.key_id,
        boot_id=boot_id,
        model_id=like.model_id,
        price_id=like.price_id,
        amount_nanos=usd_to_nanos("0.25"),
    )


# ---------------------------------------------------------------- CSV


def test_the_csvs_amounts_add_up_to_the_balance(owner: Person) -> None:
    rows = export(owner)
    assert sum(usd_to_nanos(row["amount_usd"]) for row in rows) == ledger.wallet(owner.account.pk).posted_nanos
    assert [row["id"] for row in rows] == [line.id for line in walk(owner)]
    assert usd_to_nanos(rows[0]["balance_usd"]) == ledger.wallet(owner.account.pk).posted_nanos
    assert all(datetime.fromisoformat(row["created_at"]).tzinfo == UTC for row in rows)


def test_the_csv_is_of_exactly_the_filter(owner: Person) -> None:
    assert [row["id"] for row in export(owner, "show=returns")] == [line.id for line in walk(owner, "show=returns")]
    tomorrow = clock.now().date() + timedelta(days=2)
    assert export(owner, f"from={tomorrow}") == []


def test_no_cell_of_the_csv_is_a_formula(owner: Person) -> None:
    whats = [row["what"] for row in export(owner, "show=credit")]
    assert '\'=HYPERLINK("x"), by operator' in whats
