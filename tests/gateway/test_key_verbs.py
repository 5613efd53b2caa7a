"""Disabling, enabling, rotating and deleting: at once, once, and written down."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, AuditEvent
from gateway.models import Model
from tests.accounts.people import key_for, person
from tests.gateway.key_pages import KEY, row_of, text_of
from tokenhub.clock import now


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    """Somebody answers for the vendors, as on every fresh installation; no page asks."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"


def test_disabling_stops_a_key_at_once_and_undo_restores_it() -> None:
    me = person()
    issued = key_for(me)
    path = f"/keys/{issued.row.key_id}"
    disabled = me.browser.post(f"{path}/disable", follow=True).content.decode()
    assert keys.find(issued.secret) is None
    assert "Undo" in disabled
    assert f"by {me.user.email}" in disabled
    me.browser.post(f"{path}/enable")
    assert keys.find(issued.secret) is not None
    row = row_of(issued)
    assert row.disabled_at is row.disabled_by is None
    done = AuditEvent.objects.filter(account=me.account, subject=issued.row.key_id).order_by("id")
    assert list(done.values_list("action", flat=True)) == ["key.created", "key.disabled", "key.enabled"]


def test_what_is_done_already_is_not_done_and_written_down_again() -> None:
    me = person()
    issued = key_for(me)
    for verb in ["disable", "disable", "delete", "delete", "enable", "disable"]:
        me.browser.post(f"/keys/{issued.row.key_id}/{verb}")
    done = AuditEvent.objects.filter(account=me.account, subject=issued.row.key_id).order_by("id")
    assert list(done.values_list("action", flat=True)) == ["key.created", "key.disabled", "key.revoked"]
    assert keys.find(issued.secret) is None


def test_only_a_key_that_stopped_working_is_deleted_and_last_use_is_named_first(owner_db: psycopg.Connection) -> None:
    me = person()
    issued = key_for(me)
    path = f"/keys/{issued.row.key_id}"
    owner_db.execute("UPDATE api_key SET last_used_at = now() - interval '3 minutes' WHERE id = %s", [issued.row.pk])
    assert "Disable it first" in text_of(me, f"{path}/delete")
    me.browser.post(f"{path}/delete")
    assert keys.find(issued.secret) is not None
    me.browser.post(f"{path}/disable")
    asked = text_of(me, f"{path}/delete")
    assert "Delete “Laptop”?" in asked
    assert "3 minutes ago" in asked
    me.browser.post(f"{path}/delete")
    assert row_of(issued).revoked_at is not None
    assert "Revoked" in text_of(me, "/keys")


@pytest.mark.parametrize(
    ("overlap", "length"),
    [("now", timedelta()), ("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)), ("7d", timedelta(days=7))],
)
def test_rotating_makes_a_successor_with_the_same_rules(overlap: str, length: timedelta) -> None:
    me = person()
    model = Model.objects.filter(kind="chat").values_list("pk", flat=True)[0]
    rules: keys.Rules = {
        "limit_nanos": 7, "limit_window": "day", "rpm_limit": 3, "allowed_model_ids": [model], "ip_ranges": ["10.0.0.0/8"],
    }  # fmt: skip
    old = keys.issue(account=me.account, created_by=me.user, name="Laptop", tool="cline", **rules)
    before = now()
    made = me.browser.post(f"/keys/{old.row.key_id}/rotate", {"overlap": overlap})
    (secret,) = set(KEY.findall(text_of(me, made.headers["Location"])))
    new = keys.find(secret)
    assert new is not None
    assert new.name == "Laptop (rotated)"
    assert (new.replaces_id, new.created_by, new.tool, new.expires_at) == (old.row.pk, me.user, "cline", None)
    assert {rule: getattr(new, rule) for rule in rules} == rules
    expiry = row_of(old).expires_at
    assert expiry is not None
    assert before + length <= expiry <= now() + length
    assert (keys.find(old.secret) is None) == (overlap == "now")
    assert ("Replaced until" in text_of(me, "/keys")) == (overlap != "now")


def test_a_key_is_rotated_once() -> None:
    me = person()
    old = key_for(me).row
    for _ in range(2):
        me.browser.post(f"/keys/{old.key_id}/rotate", {"overlap": "1h"})
    assert ApiKey.objects.filter(account=me.account).count() == 2
    assert keys.rotate(key=old, actor=me.user, overlap=timedelta()) is None


def test_of_rotations_at_once_one_makes_a_successor() -> None:
    me = person()
    old = key_for(me).row

    def rotate(_: int) -> bool:
        try:
            return keys.rotate(key=old, actor=me.user, overlap=timedelta(hours=1)) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as people:
        assert sorted(people.map(rotate, range(4))) == [False, False, False, True]
    assert ApiKey.objects.filter(account=me.account).count() == 2


def test_an_overlap_never_lengthens_a_keys_life() -> None:
    me, end = person(), now() + timedelta(minutes=5)
    old = keys.issue(account=me.account, created_by=me.user, name="Short", expires_at=end)
    new = keys.rotate(key=old.row, actor=me.user, overlap=timedelta(days=7))
    assert new is not None
    assert row_of(old).expires_at == new.row.expires_at == end


def test_names_at_their_longest_still_say_that_the_key_was_rotated() -> None:
    me = person()
    old = keys.issue(account=me.account, name="x" * 64)
    new = keys.rotate(key=old.row, actor=me.user, overlap=timedelta())
    assert new is not None
    assert new.row.name == "x" * 54 + " (rotated)"
    again = keys.rotate(key=new.row, actor=me.user, overlap=timedelta())
    assert again is not None
    assert again.row.name == new.row.name
