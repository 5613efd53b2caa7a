"""The keys of one account: nobody else's, shown in full once, dead when switched off. Strangers first."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, AuditEvent, Membership
from gateway.key_lines import window_end, window_start
from gateway.models import Model
from gateway.views.keys import KEYS_PER_PAGE
from tests.accounts.people import key_for, person
from tests.gateway.key_pages import KEY, create, edit, member, text_of
from tokenhub.clock import now

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')
PAGES_OF_ONE = ["", "/edit", "/rotate", "/delete", "/latest"]
VERBS = ["edit", "rotate", "disable", "enable", "delete"]
Role = Membership.Role


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    """Somebody answers for the vendors, as on every fresh installation; no page asks."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_stranger_is_sent_to_log_in(slash: str) -> None:
    key_id = key_for(person()).row.key_id
    paths = [
        "/keys",
        "/keys/new",
        "/connect",
        "/connect/cline",
        "/welcome",
        *(f"/keys/{key_id}{page}" for page in PAGES_OF_ONE),
    ]
    for path in paths:
        response = Client().get(path + slash)
        assert response.status_code == 302, path
        assert response.headers["Location"].startswith(f"/accounts/login?next={path}")


def test_another_accounts_key_looks_exactly_like_none() -> None:
    foreign, me = key_for(person()), person()
    nobody = f"key-{keys.new_key()[3:13]}"
    for path in [*(f"/keys/{{}}{page}" for page in PAGES_OF_ONE), "/keys?before={}"]:
        answers = {key_id: me.browser.get(path.format(key_id)) for key_id in (foreign.row.key_id, nobody)}
        assert {answer.status_code for answer in answers.values()} == {404}, path
        # the page repeats the address that was asked for, and nothing else of the key
        pages = {TOKEN.sub("", answer.content.decode()).replace(key_id[4:], "") for key_id, answer in answers.items()}
        assert len(pages) == 1
    for verb in VERBS:
        assert me.browser.post(f"/keys/{foreign.row.key_id}/{verb}").status_code == 404, verb
    assert keys.find(foreign.secret) is not None
    assert "Laptop" not in text_of(me, f"/keys?disabled={foreign.row.key_id}")


# ---------------------------------------------------------------- roles


def test_a_developer_sees_and_changes_own_keys_only() -> None:
    owner = person()
    theirs = key_for(owner, "of the owner").row
    me = member(owner.account, Role.DEVELOPER)
    create(me, name="of the developer")
    mine = ApiKey.objects.get(account=owner.account, name="of the developer")
    assert mine.created_by == me.user
    page = text_of(me, "/keys")
    assert "of the developer" in page
    assert "of the owner" not in page
    for verb in VERBS:
        assert me.browser.post(f"/keys/{theirs.key_id}/{verb}").status_code == 404, verb
    assert me.browser.post(f"/keys/{mine.key_id}/disable").status_code == 302
    assert ApiKey.objects.get(pk=mine.pk).disabled_by == me.user


def test_a_viewer_sees_all_keys_and_changes_none() -> None:
    owner = person()
    theirs = key_for(owner, "of the owner")
    me = member(owner.account, Role.VIEWER)
    page = text_of(me, "/keys")
    assert "of the owner" in page
    assert "Create key" not in page
    assert "More for of the owner" not in page
    assert me.browser.get(f"/keys/{theirs.row.key_id}").status_code == 200
    assert me.browser.post("/keys/new", {"name": "mine"}).status_code == 403
    assert me.browser.post("/connect/cline").status_code == 403
    for verb in VERBS:
        assert me.browser.post(f"/keys/{theirs.row.key_id}/{verb}").status_code == 403, verb
    assert keys.find(theirs.secret) is not None


def test_the_billing_role_reads_why_it_sees_no_keys() -> None:
    owner = person()
    theirs = key_for(owner, "of the owner").row
    me = member(owner.account, Role.BILLING)
    page = text_of(me, "/keys")
    assert "Keys are not part of your role" in page
    assert "of the owner" not in page
    assert me.browser.get(f"/keys/{theirs.key_id}").status_code == 404


def test_a_form_of_another_team_changes_nothing() -> None:
    me = person()
    assert create(me, team="another-team").status_code == 409
    assert not ApiKey.objects.filter(account=me.account).exists()


# ---------------------------------------------------------------- shown once


def test_a_new_key_is_shown_once_and_works() -> None:
    me = person()
    made = create(me)
    assert made.status_code == 302
    shown = text_of(me, made.headers["Location"])
    secrets = set(KEY.findall(shown))
    assert len(secrets) == 1
    found = keys.find(secrets.pop())
    assert found is not None
    assert (found.account, found.created_by) == (me.account, me.user)
    assert "curl http://localhost:8000/api/v1/chat/completions" in strip_tags(shown)
    for path in [made.headers["Location"], "/keys", f"{made.headers['Location']}/edit"]:
        assert not KEY.search(text_of(me, path)), path


def test_the_key_between_form_and_page_is_for_its_own_row_and_browser_only() -> None:
    me, other = person(), person()
    made = create(me)
    cookie = made.cookies["new_key"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == made.headers["Location"]
    older = key_for(other).row.key_id
    other.browser.cookies["new_key"] = cookie.value
    assert not KEY.search(text_of(other, f"/keys/{older}"))
    assert other.browser.get(made.headers["Location"]).status_code == 404


def test_no_cache_keeps_a_page_of_the_account() -> None:
    me = person()
    made = create(me)
    pages = [f"{made.headers['Location']}{page}" for page in PAGES_OF_ONE]
    for path in [*pages, "/keys", "/keys/new", "/connect", "/connect/cline", "/welcome"]:
        assert me.browser.get(path).headers["Cache-Control"] == "no-store", path


# ---------------------------------------------------------------- the form


def test_a_new_key_may_spend_five_dollars_a_month_unless_one_says_otherwise() -> None:
    me = person()
    page = text_of(me, "/keys/new")
    assert 'value="5.00"' in page
    assert f'value="Key, {now():%b %Y}"' in page
    create(me)
    key = ApiKey.objects.get(account=me.account)
    assert (key.limit_nanos, key.limit_window) == (5_000_000_000, "month")
    assert key.expires_at is key.rpm_limit is key.allowed_model_ids is key.ip_ranges is None


def test_no_limit_is_a_choice_and_an_empty_amount_is_none() -> None:
    me = person()
    assert "choose “No limit”" in create(me, limit_nanos="").content.decode()
    create(me, limit_nanos="", is_unlimited="on")
    assert ApiKey.objects.get(account=me.account).limit_nanos is None


def test_every_rule_is_kept_exactly() -> None:
    me, day = person(), now().date() + timedelta(days=30)
    slugs = list(Model.objects.filter(slug__startswith="openai/", kind="chat").values_list("slug", flat=True)[:2])
    me.user.time_zone = "Pacific/Auckland"
    me.user.save()
    create(
        me,
        name="Nightly",
        limit_nanos="$0.000000001",
        limit_window="week",
        expires_at=day.isoformat(),
        rpm_limit="60",
        models=slugs,
        ip_ranges="203.0.113.77/24, 2001:DB8::1\n203.0.113.0/24",
    )
    key = ApiKey.objects.get(account=me.account)
    assert (key.name, key.limit_nanos, key.limit_window, key.rpm_limit) == ("Nightly", 1, "week", 60)
    assert key.expires_at == datetime.combine(day, time.max, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert set(Model.objects.filter(pk__in=key.allowed_model_ids or []).values_list("slug", flat=True)) == set(slugs)
    assert key.ip_ranges == ["203.0.113.0/24", "2001:db8::1/128"]
    page = text_of(me, f"/keys/{key.key_id}/edit")
    for shown in ["0.000000001", day.isoformat(), 'value="60"', "203.0.113.0/24", f'value="{slugs[0]}" id="id_models_']:
        assert shown in page, shown
    assert page.count("checked") == len(slugs)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "Give the key a name"),
        ("name", "x" * 65, "64"),
        ("limit_nanos", "-1", "amount in dollars"),
        ("limit_nanos", "NaN", "amount in dollars"),
        ("limit_nanos", "1e3", "amount in dollars"),
        ("limit_nanos", "1,5", "amount in dollars"),
        ("limit_nanos", "0.0000000001", "nine decimals"),
        ("limit_nanos", "9999999999", "at most"),
        ("limit_nanos", "0", "more than $0"),
        ("limit_window", "year", "valid choice"),
        ("expires_at", "2020-01-01", "has passed"),
        ("expires_at", "tomorrow", "valid date"),
        ("rpm_limit", "0", "greater than or equal to 1"),
        ("rpm_limit", "99999999999", "less than or equal to"),
        ("models", "openai/no-such-model", "valid choice"),
        ("ip_ranges", "203.0.113.0/24 nonsense", "“nonsense” is neither"),
        ("ip_ranges", "10.0.0.1/33", "“10.0.0.1/33” is neither"),
        ("ip_ranges", "fe80::1%eth0", "is neither"),
    ],
)
def test_a_refused_field_says_what_to_do_keeps_the_rest_and_makes_no_key(field: str, value: str, says: str) -> None:
    me = person()
    page = create(me, **{"name": "Kept as typed", field: value})
    assert page.status_code == 200
    assert says in page.content.decode()
    assert f'id="id_{field}_error"' in page.content.decode()
    assert field == "name" or 'value="Kept as typed"' in page.content.decode()
    assert not ApiKey.objects.filter(account=me.account).exists()


def test_editing_changes_what_was_changed_and_writes_it_down() -> None:
    me = person()
    key = key_for(me).row
    edit(me, key, name="Desktop", limit_nanos="7.5")
    changed = ApiKey.objects.get(pk=key.pk)
    assert (changed.name, changed.limit_nanos, changed.limit_window) == ("Desktop", 7_500_000_000, "month")
    event = AuditEvent.objects.get(account=me.account, action="key.changed")
    assert event.actor == me.user
    assert event.detail == {"name": "Desktop", "limit_nanos": 7_500_000_000, "limit_window": "month"}
    edit(me, changed, limit_nanos="7.50")
    assert AuditEvent.objects.filter(account=me.account, action="key.changed").count() == 1


def test_editing_something_else_leaves_the_moment_of_expiry_alone() -> None:
    me = person()
    end = now() + timedelta(hours=30)
    key = keys.issue(account=me.account, created_by=me.user, name="Short", expires_at=end).row
    edit(me, key, name="Longer name", expires_at=end.date().isoformat())
    changed = ApiKey.objects.get(pk=key.pk)
    assert (changed.name, changed.expires_at) == ("Longer name", end)


def test_a_revoked_key_cannot_be_edited() -> None:
    me = person()
    key = key_for(me).row
    keys.revoke(key_id=key.key_id)
    edit(me, key, name="Alive?")
    assert "cannot be changed any more" in text_of(me, f"/keys/{key.key_id}/edit")
    assert ApiKey.objects.get(pk=key.pk).name == "Laptop"


# ---------------------------------------------------------------- the list


def test_an_expired_key_is_called_expired() -> None:
    me = person()
    keys.issue(account=me.account, name="Old", expires_at=now() - timedelta(seconds=1))
    assert "Expired" in text_of(me, "/keys")


@pytest.mark.parametrize(("spent", "says"), [(100, "At its limit"), (95, "Near its limit"), (89, "Active")])
def test_the_state_follows_the_spending(owner_db: psycopg.Connection, spent: int, says: str) -> None:
    me = person()
    key = keys.issue(account=me.account, name="Busy", limit_nanos=100, limit_window="month").row
    owner_db.execute("SET session_replication_role = replica")  # what only the ledger's triggers may write
    owner_db.execute("UPDATE api_key SET spent_nanos = %s, window_start = now() WHERE id = %s", [spent, key.pk])
    assert f">{says}<" in text_of(me, "/keys")
    owner_db.execute("UPDATE api_key SET window_start = now() - interval '32 days' WHERE id = %s", [key.pk])
    page = text_of(me, "/keys")
    assert ">Active<" in page
    assert "$0.00" in page


@pytest.mark.parametrize("window", ["day", "week", "month", "total"])
def test_windows_begin_when_the_database_says(owner_db: psycopg.Connection, window: str) -> None:
    row = owner_db.execute("SELECT now(), key_window(%s)", [window]).fetchone()
    assert row is not None
    assert window_start(window, row[0]) == row[1]
    end = window_end(window, row[0])
    assert end is None if window == "total" else end is not None and window_start(window, end) == end > row[0]


def test_a_key_whose_owner_left_the_team_says_so() -> None:
    owner = person()
    gone = member(owner.account, Role.DEVELOPER)
    key = key_for(gone, "orphan").row
    assert "Its owner left the team" not in text_of(owner, "/keys")
    Membership.objects.filter(account=owner.account, user=gone.user).delete()
    assert "Its owner left the team" in text_of(owner, "/keys")
    successor = keys.rotate(key=key, actor=owner.user, overlap=timedelta())
    assert successor is not None
    assert successor.row.created_by == owner.user


def test_names_are_shown_as_text() -> None:
    me = person()
    key = key_for(me, "<b>&'\"").row
    keys.disable(key=key, actor=me.user)
    paths = [
        "/keys",
        f"/keys?disabled={key.key_id}",
        "/keys?q=<b>",
        *(f"/keys/{key.key_id}{page}" for page in PAGES_OF_ONE),
    ]
    for path in paths:
        assert "<b>&'" not in text_of(me, path), path


def test_many_keys_come_in_pages() -> None:
    me = person()
    names = {key_for(me, f"key number {n:03}").row.name for n in range(KEYS_PER_PAGE + 1)}
    first = text_of(me, "/keys")
    older = re.search(r'href="(/keys\?before=[^"]+)"', first)
    assert older is not None
    shown = [set(re.findall(r"key number \d{3}", page)) for page in (first, text_of(me, older[1]))]
    assert [len(page) for page in shown] == [KEYS_PER_PAGE, 1]
    assert shown[0] | shown[1] == names


def test_search_finds_by_name_and_by_the_beginning_of_the_key() -> None:
    me = person()
    wanted, _other = key_for(me, "Nightly evals").row, key_for(me, "Production")
    for asked in ["EVALS", wanted.masked, f"th-{wanted.public_id[:6]}"]:
        page = text_of(me, f"/keys?q={asked}")
        assert "Nightly evals" in page, asked
        assert "Production" not in page, asked
    assert "No key matches" in text_of(me, "/keys?q=nonsense")


def test_ten_thousand_keys_cost_the_same_queries_as_one() -> None:
    counts = []
    for number in (1, 10_000):
        me = person()
        key_for(me)
        rows = [
            ApiKey(
                public_id=f"{me.account.pk % 36**4:05}{n:05}"[-10:], hash=bytes.fromhex(f"{me.account.pk:032x}{n:032x}"), last4="aaaa",
                name=f"key {n}", account=me.account, created_by=me.user,
            )
            for n in range(number - 1)
        ]  # fmt: skip
        ApiKey.objects.bulk_create(rows, batch_size=2_000)
        with CaptureQueriesContext(connection) as queries:
            assert me.browser.get("/keys").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


@pytest.mark.parametrize(
    "path", ["/keys/new", "/connect", "/connect/cline", "/welcome", "/keys/{}", "/keys/{}/edit", "/keys/{}/latest"]
)
def test_no_page_asks_more_than_twelve_times(path: str) -> None:
    me = person()
    key = key_for(me).row
    with CaptureQueriesContext(connection) as queries:
        assert me.browser.get(path.format(key.key_id)).status_code == 200
    assert len(queries) <= 12
