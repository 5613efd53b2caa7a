"""The ledger, receipts and statements in a real browser: they fit, and filters and cursors live in the address."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit
from tests.browser.test_usage import seed

pytestmark = pytest.mark.browser

CALLS = 300


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, site: str) -> StorageState:
    context = chromium.new_context()
    seed(Visitor(context, site).sign_up(), CALLS)
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


@pytest.mark.parametrize("path", [
    "/billing/ledger", "/billing/ledger?show=credit&from=2026-02-30", "/billing/ledger?show=returns", "/billing/ledger?show=holds",
    "/billing/receipts",
])  # fmt: skip
def test_each_page_fits_and_is_accessible(busy: Visitor, path: str) -> None:
    assert_fit(busy.go(path), path)


def test_a_statement_fits_and_leads_to_its_pdf(busy: Visitor) -> None:
    page = busy.go("/billing/receipts")
    page.get_by_role("link", name=re.compile(r"\w+ \d{4}")).first.click()
    expect(page.get_by_text("Closing balance, USD")).to_be_visible()
    assert_fit(page, "statement")
    pdf = page.get_by_role("link", name="Download PDF").get_attribute("href")
    assert pdf
    answer = page.request.get(busy.site + pdf)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF-")


def test_a_filter_stays_while_one_walks_and_a_line_leads_to_its_call(busy: Visitor) -> None:
    page = busy.go("/billing/ledger")
    page.get_by_role("link", name="Calls", exact=True).click()
    newest = page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile(r"show=calls&before="))
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("tbody tr").first).to_have_text(newest, use_inner_text=True)
    page.locator("tbody a").first.click()
    expect(page).to_have_url(re.compile(r"/usage/requests/gen-[0-9a-f]{32}$"))


def test_the_csv_is_downloaded_for_the_filter(busy: Visitor) -> None:
    page = busy.go("/billing/ledger?show=credit")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("id,created_at,kind,cause")
    assert {line.split(",")[2] for line in lines[1:]} == {"promo"}
