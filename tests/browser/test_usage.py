"""Usage and the dashboard as a person meets them, with a hundred thousand calls behind them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, Request, StorageState, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import REFLOW_WIDTH, assert_fit
from tests.servers import ROOT
from tokenhub.money import usd_to_nanos
from tokenhub.templatetags.ui import usd

pytestmark = pytest.mark.browser

CALLS = 100_000


def seed(email: str, calls: int = CALLS) -> None:
    """Through the command, in a process of its own: Playwright's event loop keeps the ORM out of this one."""
    command = [sys.executable, "manage.py", "seed_calls", "--email", email, "--calls", str(calls), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["calls"] == calls


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, site: str) -> StorageState:
    """The session of one account with ``CALLS`` calls."""
    context = chromium.new_context()
    seed(Visitor(context, site).sign_up())
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def busy(chromium: Browser, site: str, signed_in: StorageState) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, storage_state=signed_in)
    someone = Visitor(context, site)
    yield someone
    context.close()
    assert someone.complaints == []


def calls_on(page: Page) -> list[str]:
    return page.locator("[data-call]").evaluate_all("links => links.map(link => link.dataset.call)")


def test_without_calls_each_page_explains_itself_and_offers_one_action(visitor: Visitor) -> None:
    visitor.sign_up()
    for path, heading, action in [
        ("/usage", "No calls yet", "Go to keys"),
        ("/usage/requests", "No calls yet", "Go to keys"),
        ("/dashboard", "Nothing was called yet", "Make the first call"),
    ]:
        page = visitor.go(path)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_role("main").get_by_role("link", name=action)).to_be_visible()
        expect(page.get_by_role("main").get_by_role("table")).to_have_count(0)


def export_of(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    return list(csv.DictReader(io.StringIO(download.value.path().read_text())))


def test_totals_equal_the_exported_csv_and_the_ledger_and_another_zone_moves_the_day(
    busy: Visitor, app_db: psycopg.Connection
) -> None:
    captures = "SELECT sum(amount_nanos)::bigint FROM transfer WHERE kind = 'capture' AND hold_id = ANY(%s)"
    three_days_ago = datetime.now(UTC).date() - timedelta(days=3)
    seen = []
    for zone in ("Pacific/Auckland", "UTC"):
        page = busy.go("/settings/profile")
        page.get_by_label("Time zone").fill(zone)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        page = busy.go(f"/usage?range=custom&from={three_days_ago}&to={three_days_ago}&app=Cline&app=curl")
        expect(page.get_by_role("main")).to_contain_text(zone)
        rows = export_of(page)
        spent = sum(usd_to_nanos(row["cost_usd"]) for row in rows)
        totals = page.get_by_role("row", name="Total", exact=False).last
        expect(totals).to_contain_text(f"{len(rows):,}")
        expect(totals).to_contain_text(usd(spent))
        ids = [uuid.UUID(row["id"].removeprefix("gen-")) for row in rows]
        assert app_db.execute(captures, [ids]).fetchone() == (spent,)
        moments = [datetime.fromisoformat(row["created_at"]).astimezone(ZoneInfo(zone)) for row in rows]
        assert {moment.date() for moment in moments} == {three_days_ago}
        seen.append({row["id"] for row in rows})
    assert seen[0] - seen[1]


def test_the_log_opens_with_one_request_and_everything_stays_inside_the_filter(busy: Visitor) -> None:
    page = busy.page
    asked: list[str] = []

    def hear(request: Request) -> None:
        if request.resource_type in ("document", "fetch", "xhr"):
            asked.append(request.url)

    page.on("request", hear)
    busy.go("/usage/requests?range=30d&app=Cline")
    expect(page.locator("[data-call]")).to_have_count(50)
    assert len(asked) == 1

    first = calls_on(page)
    page.keyboard.press("j")
    expect(page.locator(f'[data-call="{first[0]}"]')).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f'[data-call="{first[1]}"]')).to_be_focused()
    page.keyboard.press("Enter")
    peek = page.get_by_role("complementary", name="Request, at a glance")
    expect(peek).to_contain_text(first[1])
    expect(peek).to_contain_text("Cline")
    page.keyboard.press("j")
    expect(peek).to_contain_text(first[2])
    page.keyboard.press("k")
    expect(peek).to_contain_text(first[1])
    assert "app=Cline" in page.url
    assert f"peek={first[1]}" in page.url
    busy.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == first[1]
    page.keyboard.press("Escape")
    expect(peek).to_be_hidden()
    expect(page.locator(f'[data-call="{first[1]}"]')).to_be_focused()
    assert "peek" not in page.url

    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    assert "app=Cline" in page.url
    assert not set(first) & set(calls_on(page))
    for row in page.locator("[data-rows] tr").all()[:5]:
        expect(row).to_contain_text("Cline")
    page.get_by_role("link", name="Newer").click()
    expect(page.locator(f'[data-call="{first[0]}"]')).to_be_visible()
    assert calls_on(page) == first


def test_new_calls_arrive_by_themselves_until_the_log_is_paused(busy: Visitor) -> None:
    key = busy.create_key("Live")
    page = busy.go("/usage/requests?range=24h")
    before = calls_on(page)
    call(busy, key)
    expect(page.locator("[data-rows] tr.fresh")).to_have_count(1, timeout=15_000)
    expect(page.locator("[data-rows] tr").first).to_contain_text("Live")
    assert calls_on(page)[1:] == before
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()


def call(visitor: Visitor, key: str, app: str = "tests") -> None:
    answer = httpx.post(
        f"{visitor.site}/api/v1/chat/completions",
        headers={"authorization": f"Bearer {key}".encode(), "x-title": app.encode()},
        json={"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]},
        timeout=30,
    )
    assert answer.status_code == 200


def test_filters_are_chosen_in_the_form_kept_in_the_address_and_removed_by_their_chip(busy: Visitor) -> None:
    page = busy.go("/usage")
    page.get_by_label("Group by").select_option(label="by key")
    expect(page.get_by_role("heading", name="Spend by key")).to_be_visible()
    page.get_by_text("Add filter").click()
    page.get_by_label("Key", exact=True).select_option(label="Cline")
    page.get_by_role("button", name="Apply").click()
    chip = page.get_by_role("link", name="Remove filter: Key Cline")
    expect(chip).to_be_visible()
    assert "key=key-" in page.url
    page.get_by_role("link", name="Requests", exact=True).click()
    expect(page.get_by_role("link", name="Remove filter: Key Cline")).to_be_visible()
    page.get_by_role("link", name="Remove filter: Key Cline").click()
    expect(page.get_by_role("cell", name="Production API").first).to_be_visible()
    assert "key=key-" not in page.url


def test_a_bar_zooms_in_and_a_request_explains_its_cost(busy: Visitor) -> None:
    page = busy.go("/usage?range=7d")
    page.get_by_text("Zoom in").click()
    page.locator("[data-bucket]").first.click()
    expect(page.get_by_text("Zoomed")).to_be_visible()
    page.get_by_role("link", name="Leave the zoom").click()
    expect(page.get_by_text("Zoomed")).to_have_count(0)
    busy.go("/usage/requests?status=ok&range=7d")
    page.locator("[data-call]").first.click()
    page.get_by_role("link", name="Open this request").click()
    expect(page.get_by_role("heading", name="What it cost, and why")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"\d × \$[\d.]+/M .*= \$0\.\d+"))


#: as long as a key's and an app's name may be
HARD_KEY = ("<b>bold</b> שלום עולם 🚀 " + "W" * 64)[:63]  # a form counts the emoji twice
HARD_APP = ("<i>x</i> مرحبا 🎉" + "M" * 40)[:40]


def test_names_with_markup_from_right_to_left_and_without_spaces_break_nothing(visitor: Visitor) -> None:
    visitor.sign_up()
    call(visitor, visitor.create_key(HARD_KEY), HARD_APP)
    page = visitor.go("/usage/requests")
    call_id = calls_on(page)[0]
    for path, name in [
        ("/usage?by=key", HARD_KEY),
        ("/usage?by=app", HARD_APP),
        ("/usage?" + urlencode({"app": HARD_APP}), HARD_APP),
        (f"/usage/requests?peek={call_id}", HARD_APP),
        (f"/usage/requests/{call_id}", HARD_KEY),
        ("/dashboard", HARD_KEY),
    ]:
        page.set_viewport_size({"width": 1280, "height": 800})
        visitor.go(path)
        expect(page.locator("main bdi:visible").filter(has_text=name).first).to_be_visible()
        expect(page.locator("main :is(bdi, .legend, .twin) :is(b, i:not([class]))")).to_have_count(0)
        for width in (1280, 390, REFLOW_WIDTH):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls at {width}"


def test_without_script_filters_paging_and_peek_still_work(busy: Visitor) -> None:
    browser = busy.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False, storage_state=busy.context.storage_state())
    someone = Visitor(context, busy.site)
    page = someone.go("/usage")
    page.get_by_label("Metric").select_option(label="Requests")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Requests by model")).to_be_visible()
    page = someone.go("/usage/requests?range=30d")
    first = page.locator("[data-call]").first.get_attribute("data-call")
    assert first is not None
    page.locator("[data-call]").first.click()
    expect(page.get_by_role("complementary", name="Request, at a glance")).to_contain_text(first)
    page.get_by_role("link", name="Close").click()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    context.close()
    assert someone.complaints == []


@pytest.mark.long
def test_every_page_fits_every_width_and_theme(busy: Visitor) -> None:
    page = busy.go("/usage/requests?range=30d")
    call_id = calls_on(page)[0]
    for path in [
        "/dashboard",
        "/usage",
        "/usage?range=30d&by=app&metric=first_token",
        "/usage?range=custom&from=x&to=y",
        "/usage?app=nobody",
        f"/usage/requests?range=30d&status=error&peek={call_id}",
        f"/usage/requests/{call_id}",
    ]:
        assert_fit(busy.go(path), path)
    page = busy.go("/usage")
    page.get_by_text("Add filter").click()
    assert_fit(page, "usage, adding a filter")
