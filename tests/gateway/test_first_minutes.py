"""Welcome and connect: a key appears once, for whoever may have one, and pages tell what came of it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, Membership
from gateway.first_call import cheapest_offer, request_body
from gateway.first_steps import first_steps
from gateway.models import Model
from gateway.offers import all_offers
from gateway.tools import TOOLS
from tests.accounts.people import Person, key_for, new_email, person
from tokenhub.snippets import snippets

KEY = re.compile(r"th-[0-9A-Za-z]{59}")
Role = Membership.Role


@pytest.fixture(autouse=True)
def _sandbox(settings: Settings) -> None:
    """Somebody answers for the vendors, as on every fresh installation; no page asks."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"


def text_of(someone: Person, path: str) -> str:
    return someone.browser.get(path).content.decode()


# ---------------------------------------------------------------- welcome


def test_signing_up_leads_to_a_first_key_of_five_dollars_a_month() -> None:
    browser, email = Client(), new_email()
    form = {"email": email, "password1": "a sentence works well"}
    signed_up = browser.post("/accounts/signup", form)
    assert signed_up.headers["Location"] == "/welcome"
    page = browser.get("/welcome").content.decode()
    (secret,) = set(KEY.findall(page))
    key = keys.find(secret)
    assert key is not None
    assert (key.name, key.limit_nanos, key.limit_window) == ("First key", 5_000_000_000, "month")
    assert key.created_by is not None
    assert key.created_by.email == email
    assert KEY.search(browser.get("/welcome").content.decode()) is None
    assert ApiKey.objects.filter(account=key.account).count() == 1


def test_two_tabs_get_one_first_key() -> None:
    me = person()

    def mint(_: int) -> bool:
        try:
            return keys.issue_first(account=me.account, name="First key", created_by=me.user) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as tabs:
        assert sorted(tabs.map(mint, range(4))) == [False, False, False, True]


def test_a_team_that_had_a_key_is_given_none() -> None:
    me = person()
    keys.revoke(key_id=key_for(me).row.key_id)
    assert KEY.search(text_of(me, "/welcome")) is None
    assert ApiKey.objects.filter(account=me.account).count() == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BILLING])
def test_whoever_may_make_no_keys_is_given_none(role: str) -> None:
    owner, me = person(), person()
    Membership.objects.create(account=owner.account, user=me.user, role=role)
    page = text_of(me, f"/welcome?team={owner.account.slug}")
    assert "Your role in this team makes no keys" in page
    assert not ApiKey.objects.filter(account=owner.account).exists()


def test_looking_without_opening_makes_no_key() -> None:
    me = person()
    me.browser.head("/welcome")
    assert not ApiKey.objects.filter(account=me.account).exists()


def test_the_model_to_try_first_is_the_cheapest_that_can_be_called() -> None:
    offer = cheapest_offer()
    assert offer is not None
    callable_costs = [o.typical_nanos for o in all_offers() if o.is_callable and o.typical_nanos is not None]
    assert offer.typical_nanos == min(callable_costs)
    allowed = Model.objects.get(slug="openai/gpt-4.1").pk
    only = cheapest_offer([allowed])
    assert only is not None
    assert only.model.pk == allowed
    assert cheapest_offer([]) is None


def test_the_browser_sends_what_the_snippet_says() -> None:
    curl = snippets("openai/gpt-4.1", "th-key")[0].code
    sent = re.search(r"-d '(.*)'$", curl)
    assert sent is not None
    assert json.loads(sent[1]) == json.loads(request_body("openai/gpt-4.1"))


def test_without_any_model_the_page_says_so(settings: Settings) -> None:
    settings.SANDBOX_URL = ""
    assert "No chat model is up" in text_of(person(), "/welcome")


def test_the_steps_are_ticked_from_what_is_there(owner_db: psycopg.Connection) -> None:
    me = person()

    def done() -> list[bool]:
        return [step.is_done for step in first_steps(me.account)]

    assert done() == [False, False, False, False]
    issued = keys.issue(account=me.account, name="Cline", tool="cline", created_by=me.user)
    assert done() == [False, False, False, False]
    owner_db.execute("UPDATE api_key SET last_used_at = now() WHERE id = %s", [issued.row.pk])
    assert done() == [True, True, False, False]
    keys.change(key=issued.row, actor=me.user, name="Cline", limit_nanos=1)
    assert done() == [True, True, True, False]


def test_nothing_is_shown_before_the_first_call() -> None:
    me = person()
    latest = me.browser.get(f"/keys/{key_for(me).row.key_id}/latest").json()
    assert latest == {"id": "", "html": ""}


# ---------------------------------------------------------------- connect


@pytest.mark.parametrize("slug", TOOLS)
def test_each_tool_gets_a_key_of_its_own_shown_once_in_its_settings(slug: str) -> None:
    me, tool = person(), TOOLS[slug]
    before = text_of(me, f"/connect/{slug}")
    assert KEY.search(before) is None
    made = me.browser.post(f"/connect/{slug}")
    shown = text_of(me, made.headers["Location"])
    (secret,) = KEY.findall(shown)
    key = keys.find(secret)
    assert key is not None
    assert (key.tool, key.name, key.limit_nanos, key.limit_window) == (slug, tool.name, 5_000_000_000, "month")
    assert tool.base_url in shown
    assert tool.base_url.endswith("/api/v1" if tool.ends_in_v1 else "/api")
    for left in ["{base}", "{key}", "{model}"]:
        assert left not in shown
    assert KEY.search(text_of(me, f"/connect/{slug}")) is None


def test_tools_of_anthropics_dialect_get_the_base_without_v1() -> None:
    assert {slug for slug, tool in TOOLS.items() if not tool.ends_in_v1} == {"claude-code", "anthropic-sdk"}


def test_a_tool_that_calls_from_its_own_servers_warns_of_a_local_address() -> None:
    assert "calls from its own servers" in text_of(person(), "/connect/cursor")
    assert "calls from its own servers" not in text_of(person(), "/connect/cline")


def test_an_unknown_tool_is_no_page() -> None:
    me = person()
    assert me.browser.get("/connect/no-such-tool").status_code == 404
    assert me.browser.post("/connect/no-such-tool").status_code == 404
    assert not ApiKey.objects.filter(account=me.account).exists()


def test_a_tools_page_shows_ones_own_key_only() -> None:
    owner, me = person(), person()
    Membership.objects.create(account=owner.account, user=me.user, role=Role.ADMIN)
    theirs = keys.issue(account=owner.account, name="Cline", tool="cline", created_by=owner.user).row
    assert theirs.masked not in text_of(me, f"/connect/cline?team={owner.account.slug}")
    assert theirs.masked in text_of(owner, "/connect/cline")
