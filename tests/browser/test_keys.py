"""From a visitor to a first call, and everything that is done with keys: in a real browser, by role and name."""

import json
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit
from tests.browser.test_portal import status_of_a_call

pytestmark = pytest.mark.browser

KEY = re.compile(r"th-[0-9A-Za-z]{59}")
RECEIVED = re.compile("^Received$")
LONG_NAME = "a <b>name</b> as long as they come, مفتاح 🔑 with nothing left out!!"


@pytest.fixture
def plain(chromium: Browser, site: str) -> Iterator[Visitor]:
    """Somebody whose browser runs no scripts."""
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    someone = Visitor(context, site)
    yield someone
    context.close()
    assert someone.complaints == []


def key_on(page: Page) -> str:
    """The one key that the page shows in full."""
    (secret,) = set(KEY.findall(page.content()))
    return str(secret)


def ask(visitor: Visitor, secret: str, **body: object) -> httpx.Response:
    asked = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Hello!"}], **body}
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.post(f"{visitor.site}/api/v1/chat/completions", json=asked, headers=headers, timeout=30)


def choose(page: Page, verb: str, name: str) -> None:
    """From the menu of a key in the list."""
    page.get_by_label(f"More for {name}").click()
    row = page.get_by_role("row", name=name)
    row.get_by_role("link", name=verb, exact=True).or_(row.get_by_role("button", name=verb, exact=True)).last.click()


# ---------------------------------------------------------------- the first call


def test_a_visitor_has_a_working_request_after_two_fields_and_sees_it_arrive(visitor: Visitor) -> None:
    loads: list[str] = []
    visitor.page.on("load", lambda page: loads.append(page.url))
    page = visitor.go("/")
    page.get_by_role("main").get_by_role("link", name="Get an API key").click()
    page.get_by_label("E-mail").fill("first-call@example.test")
    page.get_by_label("Password").fill("a sentence works well")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Your first call")).to_be_visible()
    assert len(loads) <= 3
    secret = key_on(page)
    snippet = page.get_by_role("region", name="Example in cURL").first.inner_text()
    assert secret in snippet
    assert f":{visitor.site.rpartition(':')[2]}/api/v1/chat/completions" in snippet
    expect(page.get_by_text("Sandbox", exact=True).first).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Waiting for the first request")).to_be_visible()

    pasted = subprocess.run(["bash", "-c", snippet], capture_output=True, check=True, timeout=60)
    assert json.loads(pasted.stdout)["choices"][0]["message"]["content"]
    answer = page.get_by_role("region", name="3. The answer")
    expect(answer.get_by_role("status")).to_have_text(RECEIVED)
    for shown in ["Status200", "Time", "in", "out", "Charged$0.0000", "Balance$0.9999", "Sandbox"]:
        expect(answer).to_contain_text(shown)
    answer.get_by_role("link", name="See this request").click()
    page.wait_for_url("**/usage/requests/gen-*")


def test_the_same_request_runs_from_the_page(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.page
    snippet = page.get_by_role("region", name="Example in cURL").first.inner_text()
    with page.expect_request("**/api/v1/chat/completions") as sent:
        page.get_by_role("button", name="Run it here").click()
    body = re.search(r"-d '(.*)'$", snippet)
    assert body is not None
    assert json.loads(sent.value.post_data or "") == json.loads(body[1])
    answer = page.get_by_role("region", name="3. The answer")
    expect(answer.get_by_role("status")).to_have_text(RECEIVED)
    said = sent.value.response()
    assert said is not None
    expect(answer).to_contain_text(said.json()["choices"][0]["message"]["content"])
    assert page.url.endswith("/welcome")


def test_whoever_comes_back_to_the_welcome_page_finds_it_without_the_key(plain: Visitor) -> None:
    plain.sign_up()
    page = plain.page
    secret = key_on(page)
    assert status_of_a_call(plain, secret) == 200
    page.reload()
    assert secret not in page.content()
    expect(page.get_by_text(f"{secret[:7]}…{secret[-4:]}")).to_be_visible()
    expect(page.get_by_role("region", name="3. The answer").get_by_role("status")).to_have_text(RECEIVED)
    expect(page.get_by_role("listitem").filter(has_text="Make a first call")).to_contain_text("done")
    assert page.get_by_role("button", name="Run it here").count() == 0


# ---------------------------------------------------------------- keys


def test_a_new_keys_value_is_there_once(plain: Visitor) -> None:
    plain.sign_up()
    secret = plain.create_key("Laptop")
    page = plain.page
    assert key_on(page) == secret
    assert status_of_a_call(plain, secret) == 200
    page.reload()
    assert KEY.search(page.content()) is None
    expect(page.get_by_text(f"{secret[:7]}…{secret[-4:]}")).to_be_visible()
    page.go_back()
    assert secret not in page.content()


def test_copying_a_key_says_so_and_puts_exactly_it_on_the_clipboard(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.sign_up()
    secret = visitor.create_key("Laptop")
    page = visitor.page
    page.get_by_role("button", name="Copy key").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="Copy as .env").click()
    expect(page.get_by_role("button", name="Copy as .env")).to_have_count(0)
    expect(page.get_by_role("button", name="Copied").last).to_be_visible()
    assert f"TOKENHUB_API_KEY={secret}\n" in page.evaluate("navigator.clipboard.readText()")


def test_leaving_a_key_uncopied_asks_once(visitor: Visitor) -> None:
    visitor.sign_up()
    visitor.create_key("Laptop")
    page = visitor.page
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("heading", name="Laptop").click()
    links = page.get_by_role("link", name="All keys")
    with page.expect_event("dialog"):
        links.click(no_wait_after=True)
    links.click()
    page.wait_for_url("**/keys")
    assert asked == ["beforeunload"]


def test_a_key_can_be_tested_where_it_is_shown(visitor: Visitor) -> None:
    visitor.sign_up()
    visitor.create_key("Laptop")
    page = visitor.page
    page.get_by_role("button", name="Test this key").click()
    calls = page.get_by_role("region", name="Calls with this key")
    expect(calls.get_by_role("status")).to_have_text(RECEIVED)
    expect(calls).to_contain_text("Status200")


def test_a_used_up_limit_stops_the_key_and_raising_it_helps_at_once(plain: Visitor) -> None:
    plain.sign_up()
    secret = plain.create_key("Staging", **{"Spend limit in USD": "0.01"})
    refused = ask(plain, secret, max_tokens=4_000)
    assert refused.status_code == 402
    assert refused.json()["error"]["limit_source"] == "key"
    page = plain.go("/keys")
    page.get_by_role("link", name="Edit Staging").click()
    expect(page.get_by_label("Spend limit in USD")).to_have_value("0.01")
    page.get_by_label("Spend limit in USD").fill("0.50")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status").filter(has_text="is changed")).to_be_visible()
    assert ask(plain, secret, max_tokens=4_000).status_code == 200


def test_disabling_stops_the_next_call_and_undo_restores_it(plain: Visitor) -> None:
    plain.sign_up()
    secret = plain.create_key("Laptop")
    page = plain.go("/keys")
    choose(page, "Disable", "Laptop")
    assert status_of_a_call(plain, secret) == 401
    expect(page.get_by_role("row", name="Laptop")).to_contain_text("Disabled")
    page.get_by_role("status").get_by_role("button", name="Undo").or_(page.get_by_role("button", name="Undo")).click()
    assert status_of_a_call(plain, secret) == 200
    expect(page.get_by_role("row", name="Laptop")).to_contain_text("Active")


def test_deleting_is_for_disabled_keys_and_names_the_last_use(plain: Visitor) -> None:
    plain.sign_up()
    secret = plain.create_key("Laptop")
    assert status_of_a_call(plain, secret) == 200
    page = plain.go("/keys")
    choose(page, "Disable", "Laptop")
    choose(page, "Delete", "Laptop")
    expect(page.get_by_role("main")).to_contain_text("last used just now")
    page.get_by_role("button", name="Delete key").click()
    expect(page.get_by_role("row", name="Laptop")).to_contain_text("Revoked")
    assert status_of_a_call(plain, secret) == 401


def test_rotating_gives_a_new_key_while_the_old_one_goes_on(plain: Visitor) -> None:
    plain.sign_up()
    old = plain.create_key("Laptop")
    page = plain.page
    page.get_by_role("link", name="Rotate").click()
    page.get_by_label("1 hour").check()
    page.get_by_role("button", name="Rotate key").click()
    expect(page.get_by_role("heading", name="Laptop (rotated)")).to_be_visible()
    new = key_on(page)
    assert [status_of_a_call(plain, secret) for secret in (old, new)] == [200, 200]
    expect(plain.go("/keys").get_by_role("row", name="Laptop th-")).to_contain_text("Replaced until")


def test_models_are_found_by_typing_and_a_key_keeps_to_them(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/keys/new")
    page.get_by_text("More: last day, models").click()
    page.get_by_label("Find a model").fill("gpt-4.1")
    boxes = page.get_by_role("group", name="Models").get_by_role("checkbox")
    expect(boxes).to_have_count(1)
    boxes.check()
    page.get_by_role("button", name="Create key").click()
    secret = page.locator("#secret").inner_text()
    assert ask(visitor, secret).status_code == 200
    other = ask(visitor, secret, model="anthropic/claude-sonnet-4-6")
    assert other.status_code == 403
    assert "anthropic/claude-sonnet-4-6" in other.json()["error"]["message"]
    expect(page.get_by_text("openai/gpt-4.1", exact=True).first).to_be_visible()


# ---------------------------------------------------------------- tools


def test_a_connected_tool_has_its_base_url_its_own_key_and_shows_its_first_request(visitor: Visitor) -> None:
    visitor.sign_up()
    secrets = set()
    for tool, path, call in [("Cline", "/api/v1", "/chat/completions"), ("Claude Code", "/api", "/v1/messages")]:
        page = visitor.go("/connect")
        page.get_by_role("link", name=tool).click()
        base = page.get_by_role("region", name=f"Base URL for {tool}").locator("code").inner_text()
        assert base.endswith(path)
        page.get_by_role("button", name=f"Make a key for {tool}").click()
        expect(page.get_by_role("region", name=f"A key for {tool}")).to_contain_text("of $5.00")
        secret = key_on(page)
        assert page.content().count(secret) == 1
        secrets.add(secret)
        requests = page.get_by_role("region", name=f"Requests from {tool}")
        expect(requests.get_by_role("status")).to_have_text("Waiting for the first request")
        asked = {"model": "openai/gpt-4.1", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello!"}]}
        headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        assert httpx.post(base + call, json=asked, headers=headers, timeout=30).status_code == 200
        expect(requests.get_by_role("status")).to_have_text(RECEIVED)
        expect(requests).to_contain_text("openai/gpt-4.1")
    assert len(secrets) == 2
    page = visitor.go("/connect")
    expect(page.get_by_role("link", name="Cline")).to_contain_text("Connected")


# ---------------------------------------------------------------- every width and theme


@pytest.mark.long
def test_the_first_minutes_pages_fit_every_width_and_theme(visitor: Visitor) -> None:
    visitor.sign_up()
    assert_fit(visitor.page, "welcome, with the key")
    visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.page.get_by_role("button", name="Run it here").click()
    expect(visitor.page.get_by_text("Received", exact=True)).to_be_visible()
    assert_fit(visitor.page, "welcome, answered")
    page = visitor.go("/connect/codex")
    page.get_by_role("button", name="Make a key for").click()
    assert_fit(page, "codex, with the key")


@pytest.mark.long
def test_pages_of_keys_fit_every_width_and_theme(visitor: Visitor) -> None:
    visitor.sign_up()
    secret = visitor.create_key(LONG_NAME)
    page = visitor.page
    assert_fit(page, "key, revealed")
    key = page.url
    assert status_of_a_call(visitor, secret) == 200
    page.goto(f"{key}/edit")
    page.get_by_text("More: last day, models").click()
    assert_fit(page, "form, all open")
    page.get_by_label("Allowed networks").fill("nonsense")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("alert")).to_be_focused()
    assert_fit(page, "form, refused")
    assert_fit(visitor.go(f"{key.removeprefix(visitor.site)}/rotate"), "rotate")
    assert_fit(visitor.go(f"{key.removeprefix(visitor.site)}/delete"), "delete, too early")
    page = visitor.go("/keys")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_label("More for a <b>").click()
    assert_fit(page, "keys, menu open")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("row", name="a <b>").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert_fit(page, "keys, one disabled")
