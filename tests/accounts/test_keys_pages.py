"""The keys of one account: nobody else's, shown in full once, dead when revoked. Strangers first."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.models import ApiKey, AuditEvent
from accounts.views import KEYS_PER_PAGE
from tests.accounts.people import Person, key_for, person
from tokenhub.clock import now

KEY = re.compile(r"th-[0-9A-Za-z]{59}")


def create(someone: Person, **fields: str):  # type: ignore[no-untyped-def]
    return someone.browser.post("/keys/new", {"name": "Laptop", **fields})


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_stranger_is_sent_to_log_in(slash: str) -> None:
    key_id = key_for(person()).row.key_id
    for path in ["/keys", "/keys/new", f"/keys/{key_id}", f"/keys/{key_id}/revoke"]:
        response = Client().get(path + slash)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login?next=/keys")
    Client().post(f"/keys/{key_id}/revoke{slash}")
    assert ApiKey.objects.get(public_id=key_id[4:]).revoked_at is None


def test_another_accounts_key_looks_exactly_like_none() -> None:
    foreign, me = key_for(person()).row.key_id, person()
    nobody = f"key-{keys.new_key()[3:13]}"
    for path in ["/keys/{}", "/keys/{}/revoke", "/keys?before={}"]:
        answers = [me.browser.get(path.format(key_id)) for key_id in (foreign, nobody)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    assert me.browser.post(f"/keys/{foreign}/revoke").status_code == 404
    assert ApiKey.objects.get(public_id=foreign[4:]).revoked_at is None
    assert "Laptop" not in me.browser.get("/keys").content.decode()


def test_a_new_key_is_shown_once_and_works() -> None:
    me = person()
    made = create(me)
    assert made.status_code == 302
    shown = me.browser.get(made.headers["Location"])
    secrets = set(KEY.findall(shown.content.decode()))
    assert len(secrets) == 1
    found = keys.find(secrets.pop())
    assert found is not None
    assert (found.account, found.created_by) == (me.account, me.user)
    assert "http://localhost:8000/api/v1/chat/completions" in shown.content.decode()
    again = me.browser.get(made.headers["Location"])
    assert again.status_code == 200
    assert not KEY.search(again.content.decode())
    assert not KEY.search(me.browser.get("/keys").content.decode())


def test_the_key_between_form_and_page_is_for_its_own_row_and_browser_only() -> None:
    me, other = person(), person()
    made = create(me)
    cookie = made.cookies["new_key"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == made.headers["Location"]
    older = key_for(other).row.key_id
    other.browser.cookies["new_key"] = cookie.value
    assert not KEY.search(other.browser.get(f"/keys/{older}").content.decode())
    assert other.browser.get(made.headers["Location"]).status_code == 404


def test_no_cache_keeps_a_page_of_the_account() -> None:
    me = person()
    made = create(me)
    for path in [made.headers["Location"], "/keys", "/keys/new", "/billing", f"{made.headers['Location']}/revoke"]:
        assert me.browser.get(path).headers["Cache-Control"] == "no-store"


def test_limit_and_last_day_are_kept_exactly() -> None:
    me, day = person(), now().date() + timedelta(days=30)
    create(me, name="Nightly", limit_nanos="0.000000001", expires_at=day.isoformat())
    key = ApiKey.objects.get(account=me.account)
    assert (key.name, key.limit_nanos, key.limit_window) == ("Nightly", 1, "total")
    assert key.expires_at is not None
    assert key.expires_at.date() == day
    assert key.expires_at - datetime(day.year, day.month, day.day, tzinfo=UTC) > timedelta(hours=23, minutes=59)


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
        ("expires_at", "2020-01-01", "has passed"),
        ("expires_at", "tomorrow", "valid date"),
    ],
)
def test_a_refused_field_says_what_to_do_and_makes_no_key(field: str, value: str, says: str) -> None:
    me = person()
    page = create(me, **{field: value})
    assert page.status_code == 200
    assert says in page.content.decode()
    assert f'id="id_{field}_error"' in page.content.decode()
    assert not ApiKey.objects.filter(account=me.account).exists()


def test_revoking_asks_first_then_kills_the_key_once() -> None:
    me = person()
    issued = key_for(me)
    path = f"/keys/{issued.row.key_id}/revoke"
    assert "Revoke “Laptop”?" in me.browser.get(path).content.decode()
    assert keys.find(issued.secret) is not None
    for _ in range(2):
        assert me.browser.post(path).headers["Location"] == "/keys"
    assert keys.find(issued.secret) is None
    assert "Revoked" in me.browser.get("/keys").content.decode()
    assert AuditEvent.objects.filter(account=me.account, action="key.revoked", actor=me.user).count() == 1


def test_an_expired_key_is_called_expired() -> None:
    me = person()
    keys.issue(account=me.account, name="Old", expires_at=now() - timedelta(seconds=1))
    assert "Expired" in me.browser.get("/keys").content.decode()


def test_names_are_shown_as_text() -> None:
    me = person()
    key = key_for(me, "<b>&'\"")
    for path in ["/keys", f"/keys/{key.row.key_id}", f"/keys/{key.row.key_id}/revoke"]:
        assert "<b>" not in me.browser.get(path).content.decode()


def test_many_keys_come_in_pages() -> None:
    me = person()
    names = {key_for(me, f"key number {n:03}").row.name for n in range(KEYS_PER_PAGE + 1)}
    first = me.browser.get("/keys").content.decode()
    second = me.browser.get(re.search(r'href="(/keys\?before=[^"]+)"', first)[1]).content.decode()  # type: ignore[index]
    shown = [set(re.findall(r"key number \d{3}", page)) for page in (first, second)]
    assert [len(page) for page in shown] == [KEYS_PER_PAGE, 1]
    assert shown[0] | shown[1] == names


def test_a_page_costs_the_same_queries_for_one_key_and_for_many() -> None:
    counts = []
    for number in (1, 20):
        me = person()
        for _ in range(number):
            key_for(me)
        with CaptureQueriesContext(connection) as queries:
            me.browser.get("/keys")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def test_unknown_pages_are_404_in_our_looks() -> None:
    for browser in (Client(), person().browser):
        page = browser.get("/no-such-page")
        assert page.status_code == 404
        assert "There is no such page" in page.content.decode()


def test_the_page_for_our_own_failures_needs_neither_request_nor_database() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert "Something broke on our side" in render_to_string("500.html")
    assert len(queries) == 0


@pytest.mark.parametrize("path", ["/api/v1/credits", "/v1/credits"])
def test_a_session_is_no_key(path: str) -> None:
    assert person().browser.get(path).status_code == 401
