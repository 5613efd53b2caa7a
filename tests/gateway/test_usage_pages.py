"""Usage: charts, request log, one request, export. Strangers first; then that every figure agrees with the ledger's."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Sum
from django.http import QueryDict
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from accounts import keys as key_store
from accounts.models import ApiKey, Membership
from billing.models import Transfer
from gateway import request_log, sample_calls, usage, usage_charts, usage_sample
from gateway import usage_periods as periods
from gateway.auditor import audit
from gateway.metrics import Sums
from gateway.models import CallRecord, UsageHour
from gateway.receipts import Receipt
from gateway.request_log import ROWS_PER_PAGE
from gateway.usage_filters import Scope, UsageFilter
from gateway.usage_periods import BUCKETS_MAX, HOUR, BadPeriod
from tests.accounts.people import Person, person
from tokenhub import clock
from tokenhub.figures import usd
from tokenhub.ids import new_uuid7
from tokenhub.money import usd_to_nanos

CALLS = 3_000
#: the whole of what is seeded
WIDE = "range=custom&from=2024-01-01&to=2099-12-31"
PATHS = ["/usage", "/usage/requests", "/usage/requests/gen-" + "0" * 32, "/usage/export"]


class Team:
    """An owner, and a developer whose only key is ``Laptop``; sample calls with all keys of the team."""

    def __init__(self) -> None:
        self.owner, self.developer = person(), person()
        account = self.owner.account
        Membership.objects.create(account=account, user=self.developer.user, role=Membership.Role.DEVELOPER)
        self.laptop = key_store.issue(account=account, name="Laptop", created_by=self.developer.user)
        sample_calls.make(account=account, user=self.owner.user, calls=CALLS)
        self.developer.browser.get("/usage", {"team": account.slug})  # from here on the developer acts for this team

    @property
    def calls(self):  # type: ignore[no-untyped-def]
        return CallRecord.objects.filter(account_id=self.owner.account.pk)

    def key(self, name: str) -> ApiKey:
        return ApiKey.objects.get(account=self.owner.account, name=name)


@pytest.fixture(scope="module")
def team(_database_for_all: None) -> Team:
    return Team()


@pytest.fixture
def in_zone(team: Team) -> Iterator[Person]:
    yield team.owner
    team.owner.user.time_zone = ""
    team.owner.user.save(update_fields=["time_zone"])


def move(someone: Person, zone: str) -> None:
    someone.user.time_zone = zone
    someone.user.save(update_fields=["time_zone"])


def page(someone: Person, path: str) -> str:
    response = someone.browser.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def body(response) -> bytes:  # type: ignore[no-untyped-def]
    async def read() -> bytes:
        return b"".join([chunk async for chunk in response.streaming_content])

    return async_to_sync(read)() if response.is_async else b"".join(response.streaming_content)


def exported(someone: Person, query: str) -> list[dict[str, str]]:
    response = someone.browser.get(f"/usage/export?{query}&format=csv")
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(body(response).decode())))


def asked(someone: Person, query: str, zone: str = "UTC") -> UsageFilter:
    return UsageFilter.read(Scope(someone.account), QueryDict(query), ZoneInfo(zone))


def nameless(html: bytes, asked_for: str) -> bytes:
    """Without what differs for any two requests: the address that was asked for, and each form's fresh token."""
    return re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", html).replace(asked_for.encode(), b"")


def shown_ids(html: str) -> list[str]:
    return re.findall(r'data-call="(gen-[0-9a-f]{32})"', html)


def gen(record: CallRecord) -> str:
    return f"gen-{record.pk.hex}"


# ---------------------------------------------------------------- who sees what


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_stranger_is_sent_to_log_in(path: str, slash: str) -> None:
    answer = Client().get(path + slash)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login?next=/usage")


def test_another_teams_call_or_key_looks_exactly_like_none(team: Team) -> None:
    me = person()
    foreign_call, no_call = gen(team.calls.first()), f"gen-{new_uuid7().hex()}"
    foreign_key, no_key = team.laptop.row.key_id, f"key-{key_store.new_key()[3:13]}"
    for path, foreign, nothing in [
        ("/usage/requests/{}", foreign_call, no_call),
        ("/usage/requests?peek={}", foreign_call, no_call),
        ("/usage?key={}", foreign_key, no_key),
        ("/usage/export?key={}", foreign_key, no_key),
    ]:
        answers = [me.browser.get(path.format(one)) for one in (foreign, nothing)]
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert nameless(answers[0].content, foreign) == nameless(answers[1].content, nothing)


def test_a_developer_sees_only_the_calls_of_own_keys_everywhere(team: Team) -> None:
    mine = team.calls.filter(key_id=team.laptop.row.pk)
    others = team.calls.exclude(key_id=team.laptop.row.pk)
    assert mine.exists()
    assert others.exists()

    charts = page(team.developer, f"/usage?{WIDE}&by=key")
    assert "Laptop" in charts
    assert "Production API" not in charts
    assert f"{mine.count():,}" in text(charts)
    log = page(team.developer, f"/usage/requests?{WIDE}")
    assert "Production API" not in log
    assert f"of {mine.count():,} that match" in text(log)
    assert {row["id"] for row in exported(team.developer, WIDE)} == {gen(record) for record in mine}
    assert team.developer.browser.get(f"/usage/requests/{gen(mine.first())}").status_code == 200
    assert team.developer.browser.get(f"/usage/requests/{gen(others.first())}").status_code == 404
    assert team.developer.browser.get(f"/usage?key={team.key('Production API').key_id}").status_code == 404
    assert team.developer.browser.get(f"/usage?member={team.owner.user.pk}").status_code == 404


def test_a_key_exports_what_its_maker_may_see(team: Team) -> None:
    owners = key_store.issue(account=team.owner.account, name="Reports", created_by=team.owner.user)
    for issued, visible in [(owners, team.calls), (team.laptop, team.calls.filter(key_id=team.laptop.row.pk))]:
        answer = Client().get(f"/usage/export?{WIDE}&format=json", headers={"authorization": f"Bearer {issued.secret}"})
        assert len(json.loads(body(answer))["data"]) == visible.count()
    refused = Client().get("/usage/export", headers={"authorization": f"Bearer {key_store.new_key()}"})
    assert refused.status_code == 401


def test_a_key_whose_maker_left_exports_its_own_calls_alone(team: Team) -> None:
    gone = person()
    issued = key_store.issue(account=team.owner.account, name="Orphan", created_by=gone.user)
    answer = Client().get(f"/usage/export?{WIDE}&format=json", headers={"authorization": f"Bearer {issued.secret}"})
    assert json.loads(body(answer))["data"] == []


# ---------------------------------------------------------------- every figure agrees


def filters(team: Team) -> list[str]:
    record = team.calls.filter(cost_nanos__gt=0).first()
    assert record is not None
    slug = Scope(team.owner.account).models[record.model_id].slug
    key = team.key("Cline").key_id
    return [
        WIDE,
        "range=7d",
        "range=24h",
        f"{WIDE}&{urlencode({'model': slug})}",
        f"{WIDE}&key={key}&endpoint=messages",
        f"{WIDE}&member={team.developer.user.pk}",
        f"range=30d&app=curl&app=Cline&{urlencode({'model': slug})}",
        f"{WIDE}&app=nobody",
    ]


def test_totals_equal_the_export_the_ledgers_captures_and_the_page(team: Team) -> None:
    for query in filters(team):
        total = usage.report(asked(team.owner, query)).total
        rows = exported(team.owner, query)
        records = CallRecord.objects.filter(asked(team.owner, query).calls)
        captured = Transfer.objects.filter(kind="capture", hold_id__in=records.values("id"))
        assert len(rows) == total.calls == records.count(), query
        assert sum(usd_to_nanos(row["cost_usd"]) for row in rows) == total.cost_nanos, query
        assert (captured.aggregate(sum=Sum("amount_nanos"))["sum"] or 0) == total.cost_nanos, query
        assert sum(int(row["output_tokens"]) for row in rows) == total.output_tokens
        assert request_log.count(asked(team.owner, query)) == total.calls
        as_json = json.loads(body(team.owner.browser.get(f"/usage/export?{query}&format=json")))["data"]
        assert [row["cost_usd"] for row in as_json] == [row["cost_usd"] for row in rows]
        if total.calls:
            assert f"{total.calls:,}" in text(page(team.owner, f"/usage?{query}"))


@pytest.mark.parametrize("by", ["model", "key", "member", "app", "endpoint", "status"])
@pytest.mark.parametrize("metric", ["spend", "requests", "tokens_out"])
def test_groups_and_bars_add_up_to_the_total(team: Team, by: str, metric: str) -> None:
    report = usage.report(asked(team.owner, f"range=30d&by={by}&metric={metric}"))
    field = "calls" if by == "status" else asked(team.owner, f"metric={metric}").metric.field
    whole = getattr(report.total, field)
    assert whole > 0
    assert sum(getattr(group.sums, field) for group in report.groups) == whole
    assert sum(getattr(sums, field) for one in report.series for sums in one.sums) == whole
    assert len(report.buckets) <= BUCKETS_MAX


def test_by_outcome_answered_and_failed_calls_are_told_apart(team: Team) -> None:
    failed = team.calls.filter(status__gte=400).count()
    assert failed > 0
    report = usage.report(asked(team.owner, f"{WIDE}&status=error"))
    assert (report.total.calls, report.total.errors) == (failed, failed)
    assert len(exported(team.owner, f"{WIDE}&status=error")) == failed
    assert usage.report(asked(team.owner, f"{WIDE}&status=ok")).total == Sums(calls=team.calls.count() - failed)


@pytest.mark.parametrize(
    "query", ["by=status", "by=status&app=curl", "by=model&status=error", "by=key&status=ok&app=Cline"]
)
def test_by_outcome_the_cost_of_each_group_is_that_of_its_calls(team: Team, query: str) -> None:
    want = asked(team.owner, f"{WIDE}&{query}")
    costs = usage_sample.costs(want, report := usage.report(want))
    assert costs is not None
    for group in report.groups:
        calls = CallRecord.objects.filter(want.calls, want.is_one_of(want.by, [group.value]))
        assert costs[group.value] == calls.aggregate(sum=Sum("cost_nanos"))["sum"]
    captured = Transfer.objects.filter(kind="capture", hold_id__in=CallRecord.objects.filter(want.calls).values("id"))
    total = captured.aggregate(sum=Sum("amount_nanos"))["sum"]
    assert sum(costs.values()) == total
    assert f"Spend {usd(total)}" in text(page(team.owner, f"/usage?{WIDE}&{query}"))


def test_where_too_many_calls_would_be_added_up_by_outcome_the_page_says_where_their_cost_is(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "added up where" not in text(page(team.owner, f"/usage?{WIDE}&by=status"))
    monkeypatch.setattr(usage_sample, "WALK_MAX", CALLS - 1)
    html = text(page(team.owner, f"/usage?{WIDE}&by=status"))
    assert "What each outcome cost is added up where the range has at most" in html
    assert "Spend" not in html.partition("Totals for the range")[2]


# ---------------------------------------------------------------- percentiles


def percentile(times: list[int], percent: int) -> int:
    """The first of the sorted times that at least so many per cent do not exceed."""
    return sorted(times)[-(-len(times) * percent // 100) - 1]


@pytest.mark.parametrize("most", [usage_sample.CALLS_MAX, 70])
@pytest.mark.parametrize(
    "query", ["by=model", "by=key", "by=member", "by=app&app=curl", "by=endpoint&app=curl&app=Cline"]
)
def test_percentiles_are_exact_over_the_latest_calls_that_match(
    team: Team, query: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_sample, "CALLS_MAX", most)
    want = asked(team.owner, f"{WIDE}&metric=first_token_p95&{query}")
    sample = usage_sample.read(want, report := usage.report(want))
    newest = list(CallRecord.objects.filter(want.calls).order_by("-created_at", "-id")[:most])
    assert sample.whole.calls == len(newest)
    assert sample.is_everything == (report.total.calls <= most)
    for spread, calls in [
        (sample.whole, newest),
        *((sample.of(group.value), those_of(newest, want, group)) for group in report.groups),
    ]:
        times = [record.first_byte_ms for record in calls if record.first_byte_ms >= 0]
        known = (percentile(times, 50), percentile(times, 95)) if times else (None, None)
        assert (spread.calls, spread.p50_ms, spread.p95_ms) == (len(calls), *known)
    html = text(page(team.owner, f"/usage?{WIDE}&metric=first_token_p95&{query}"))
    assert f"First token, p50 {sample.whole.p50_ms:,}" in html
    assert f"p95 {sample.whole.p95_ms:,} ms" in html
    assert ("percentiles of the latest" in html) == (report.total.calls > most)
    assert "First token, mean by" in html


def those_of(records: list[CallRecord], want: UsageFilter, group: usage.Group) -> list[CallRecord]:
    ids = set(
        CallRecord.objects.filter(want.calls, want.is_one_of(want.by, [group.value])).values_list("pk", flat=True)
    )
    return [record for record in records if record.pk in ids]


def test_a_key_that_rested_is_found_among_others_calls(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_sample, "WALK_MAX", 200)
    rested = team.key("Cline")
    last = team.calls.filter(key_id=rested.pk).earliest("created_at").created_at
    want = asked(
        team.owner, f"range=custom&from=2024-01-01T00:00Z&to={last + HOUR:%Y-%m-%dT%H:00Z}&key={rested.key_id}"
    )
    sample = usage_sample.read(want, usage.report(want))
    assert sample.whole.calls == CallRecord.objects.filter(want.calls).count() > 0


def test_the_period_before_is_compared_up_to_the_same_hour(team: Team) -> None:
    want = asked(team.owner, "range=7d")
    report = usage.report(want)
    start, now = want.period.start, clock.now()
    until = periods.floor_hour(now) + HOUR - timedelta(days=7)
    before = team.calls.filter(created_at__gte=start - timedelta(days=7), created_at__lt=until)
    assert report.total_before.cost_nanos == before.aggregate(sum=Sum("cost_nanos"))["sum"]
    whole = team.calls.filter(created_at__gte=start - timedelta(days=7), created_at__lt=start)
    assert sum(sums.calls for sums in report.buckets_before) == whole.count()


def test_a_bar_leads_to_exactly_its_calls(team: Team) -> None:
    want = asked(team.owner, "range=7d&metric=requests")
    report = usage.report(want)
    bucket = max(range(len(report.buckets)), key=lambda n: report.buckets[n].calls)
    link = next(bar for bar in usage_charts.buckets(want, report) if bar.number == bucket)
    assert usage.report(asked(team.owner, link.query)).total == report.buckets[bucket]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata"])
def test_a_persons_zone_moves_the_day_boundary(in_zone: Person, team: Team, zone: str) -> None:
    move(in_zone, zone)
    day = clock.now().astimezone(ZoneInfo(zone)).date() - timedelta(days=3)
    midnight = periods.floor_hour(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))
    of_that_day = team.calls.filter(created_at__gte=midnight, created_at__lt=midnight + timedelta(days=1))
    html = page(in_zone, f"/usage?range=custom&from={day}&to={day}")
    assert zone in html
    assert f"Requests {of_that_day.count():,} " in text(html)
    assert len(exported(in_zone, f"range=custom&from={day}&to={day}")) == of_that_day.count()


# ---------------------------------------------------------------- the time axis


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("days", [1, 2, 3, 7, 14, 15, 31, 59, 60, 61, 365, 3_000])
def test_any_range_has_at_most_sixty_steps_that_cover_it(zone: str, days: int) -> None:
    for first in (date(2026, 3, 25), date(2026, 10, 20)):  # around both clock changes
        last = first + timedelta(days=days - 1)
        period = periods.custom(first.isoformat(), last.isoformat(), ZoneInfo(zone))
        starts = period.starts
        assert len(starts) <= BUCKETS_MAX
        assert starts == sorted(set(starts))
        assert starts[0] == period.start
        assert sum(period.bucket(n).hours for n in range(len(starts))) == period.hours
        assert len(period.labels) == len(starts)
        assert period.days == (first, last)


def test_a_day_begins_at_midnight_or_at_the_whole_hour_before() -> None:
    first = periods.custom("2026-11-22", "2026-11-22", ZoneInfo("Asia/Kolkata"))
    assert first.start.isoformat() == "2026-11-21T18:00:00+00:00"
    assert first.labels[0] == "23:30"
    change = periods.custom("2026-10-25", "2026-10-25", ZoneInfo("Europe/Oslo"))
    assert change.hours == 25


@pytest.mark.parametrize("from_, to", [("", ""), ("x", "2026-11-01"), ("2026-11-02", "2026-11-01"), ("2026-13-01", "2026-11-01"), ("0001-01-01", "9999-12-31"), ("2026-11-01T14:30Z", "2026-11-02")])  # fmt: skip
def test_a_range_that_names_no_time_is_said_beside_its_field(team: Team, from_: str, to: str) -> None:
    with pytest.raises(BadPeriod) as bad:
        periods.custom(from_, to, ZoneInfo("UTC"))
    html = page(team.owner, "/usage?" + urlencode({"range": "custom", "from": from_, "to": to}))
    for field in bad.value.problems:
        assert f'aria-describedby="{field}-error"' in html
        assert f'id="{field}-error"' in html
    assert team.owner.browser.get("/usage/export", {"range": "custom", "from": from_, "to": to}).status_code == 404


@pytest.mark.parametrize(
    "query", ["range=year", "metric=luck", "by=colour", "model=no/such", "status=odd", "endpoint=fax"]
)
def test_what_there_is_not_is_not_found(team: Team, query: str) -> None:
    assert team.owner.browser.get(f"/usage?{query}").status_code == 404


# ---------------------------------------------------------------- the request log


@pytest.mark.parametrize("query", ["", "&status=error", "&app=curl", "&app=curl&status=error"])
def test_older_and_newer_walk_the_filter_once_in_order(team: Team, query: str) -> None:
    wanted = CallRecord.objects.filter(asked(team.owner, f"range=7d{query}").calls).order_by("-created_at", "-id")
    seen: list[str] = []
    path: str | None = f"/usage/requests?range=7d{query}"
    pages = []
    while path:
        pages.append(html := page(team.owner, path))
        ids = shown_ids(html)
        assert len(ids) <= ROWS_PER_PAGE
        seen += ids
        older = re.search(r'href="(\?[^"]+)" rel="next"', html)
        path = "/usage/requests" + older[1].replace("&amp;", "&") if older else None
    assert seen == [gen(record) for record in wanted]
    if len(pages) > 1:
        newer = re.search(r'href="(\?[^"]+)" rel="prev"', pages[1])
        assert newer is not None
        back = page(team.owner, "/usage/requests" + newer[1].replace("&amp;", "&"))
        assert shown_ids(back) == shown_ids(pages[0])


def test_live_rows_are_those_after_the_newest_that_is_shown(team: Team) -> None:
    ids = shown_ids(page(team.owner, "/usage/requests?range=30d"))
    html = page(team.owner, "/usage/requests?range=30d")
    fifth = re.findall(r'data-cursor="([^"]+)"', html)[5]
    fresh = team.owner.browser.get("/usage/requests", {"range": "30d", "after": fifth, "part": "rows"}).content.decode()
    assert shown_ids(fresh) == ids[:5]
    assert "<html" not in fresh


def test_peek_is_a_link_that_keeps_the_filter(team: Team) -> None:
    html = page(team.owner, "/usage/requests?range=30d&app=curl")
    link = re.search(r'<a class="cell" href="(\?[^"]+)" data-call="(gen-[0-9a-f]+)"', html)
    assert link is not None
    peeked = page(team.owner, "/usage/requests" + link[1].replace("&amp;", "&"))
    assert shown_ids(peeked) == shown_ids(html)
    assert f"/usage/requests/{link[2]}" in peeked
    assert "app=curl" in link[1]


def test_an_invented_cursor_is_a_404(team: Team) -> None:
    for cursor in ["x", "~", "2026-01-01T00:00:00Z~x", f"2026-01-01T00:00:00~gen-{'0' * 32}"]:
        assert team.owner.browser.get("/usage/requests", {"before": cursor}).status_code == 404


# ---------------------------------------------------------------- one request


def test_a_requests_page_derives_its_cost_in_words(team: Team) -> None:
    charged = team.calls.filter(cost_nanos__gt=0)
    for record in [charged.filter(cached_input_tokens=0).first(), charged.filter(cached_input_tokens__gt=0).first()]:
        assert record is not None
        receipt = Receipt.of(record)
        exact = sum(Decimal(line.amount) for line in receipt.lines)
        assert 0 <= Decimal(record.cost_nanos).scaleb(-9) - exact < Decimal("0.000000001")
        assert sum(line.tokens for line in receipt.lines) == record.input_tokens + record.output_tokens
        html = text(page(team.owner, f"/usage/requests/{gen(record)}"))
        assert receipt.sum_in_words in html
        assert "Charged $" in html
        assert "Not stored" in html


def test_a_failed_call_says_not_charged_and_which_providers_were_asked(team: Team) -> None:
    failed = team.calls.filter(status=502).first()
    html = text(page(team.owner, f"/usage/requests/{gen(failed)}"))
    assert "Not charged" in html
    assert "Refused 502" in html
    tried = team.calls.filter(detail__attempts__isnull=False).first()
    html = text(page(team.owner, f"/usage/requests/{gen(tried)}"))
    attempt = tried.detail["attempts"][0]
    assert f"{attempt['status']} {attempt['error']}" in html
    bars = Receipt.of(tried).waterfall
    assert [bar.kind for bar in bars] == ["err", "wait", "run"]


def test_names_with_markup_are_shown_as_text_and_no_formula_reaches_a_spreadsheet(team: Team) -> None:
    key = team.key("Nightly evals")
    ApiKey.objects.filter(pk=key.pk).update(name='=HYPERLINK("x") <b>ע</b>')
    try:
        html = page(team.owner, "/usage/requests?range=30d&app=evals.py")
        assert "&lt;b&gt;ע&lt;/b&gt;" in html
        assert "<b>ע</b>" not in html + page(team.owner, "/usage?by=key&range=30d")
        names = {row["key_name"] for row in exported(team.owner, "range=30d&app=evals.py")}
        assert names == {'\'=HYPERLINK("x") <b>ע</b>'}
    finally:
        ApiKey.objects.filter(pk=key.pk).update(name=key.name)


# ---------------------------------------------------------------- empty states


def test_without_calls_the_pages_say_why_and_offer_one_action() -> None:
    me = person()
    for path in ["/usage", "/usage/requests"]:
        html = page(me, path)
        assert "No calls yet" in html
        assert 'href="/keys"' in html
        assert "<table" not in html


def test_where_nothing_matches_the_filters_can_be_cleared(team: Team) -> None:
    for path in ["/usage", "/usage/requests"]:
        html = page(team.owner, f"{path}?app=nobody")
        assert "Nothing matches" in html
        assert "Clear filters" in html


# ---------------------------------------------------------------- what it costs the database

MEASURED = [
    "/dashboard",
    "/usage",
    "/usage?range=30d&by=member&metric=first_token",
    "/usage?by=status&range=month",
    "/usage?by=key&metric=first_token_p95&app=curl",
    "/usage?status=error&range=30d",
    "/usage?app=nobody",
    "/usage/requests?range=30d",
    "/usage/requests?range=30d&status=error&app=curl",
    "/usage/requests?range=30d&peek={call}",
    "/usage/requests/{call}",
]


def plan_of(sql: str) -> str:
    """As with many calls: a small table would be read whole, whatever indexes there are."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + sql)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.parametrize("path", MEASURED)
def test_a_page_takes_at_most_twelve_queries_and_none_scans_the_calls(team: Team, path: str) -> None:
    call = gen(team.calls.order_by("created_at").first())
    for someone in (team.owner, team.developer):
        shown = path.format(
            call=call if someone is team.owner else gen(team.calls.filter(key_id=team.laptop.row.pk).first())
        )
        with CaptureQueriesContext(connection) as captured:
            assert someone.browser.get(shown).status_code == 200
        queries = [query["sql"] for query in captured]
        assert len(queries) <= 12, queries
        if path.startswith("/usage") and "/requests" not in path:
            bounded = [sql for sql in queries if "call_record" in sql]
            assert len(bounded) <= 1  # a sample, or the cost by outcome of a small range: gateway/usage_sample.py
        for sql in queries:
            if 'FROM "call_record"' in sql:
                plan = plan_of(sql)
                assert "Seq Scan on call_record" not in plan, plan
                assert "Index Cond" in plan, plan


# ---------------------------------------------------------------- the sample itself


def test_sample_calls_leave_a_ledger_that_agrees_with_itself(team: Team) -> None:
    assert team.calls.count() == CALLS
    assert UsageHour.objects.filter(account_id=team.owner.account.pk).aggregate(sum=Sum("calls"))["sum"] == CALLS
    assert audit().violations == []


def test_sample_calls_are_refused_outside_development() -> None:
    me = person()
    with override_settings(DEV=False), pytest.raises(CommandError, match="development"):
        call_command("seed_calls", email=me.user.email, calls=10)
    assert not CallRecord.objects.filter(account_id=me.account.pk).exists()
