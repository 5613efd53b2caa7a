"""The operators' site in a real browser: under the strict policy, on a phone too."""

import os

import psycopg
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser


def test_an_operator_finds_an_account_and_gives_credit(visitor: Visitor) -> None:
    customer = visitor.sign_up()
    visitor.page.get_by_role("button", name="Log out").click()
    operator = visitor.sign_up()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as app_db:
        app_db.execute("UPDATE user_account SET is_staff = true WHERE email = %s", [operator])
    for rows in ("billing/topup", "billing/transfer", "billing/promocode", "billing/promocode/add"):
        page = visitor.go(f"/operator/{rows}/")
        expect(page.locator("#content h1")).to_be_visible()
    page = visitor.go("/operator")
    page.get_by_role("link", name="Accounts", exact=True).last.click()
    page.get_by_role("searchbox").or_(page.locator("#searchbar")).first.fill(customer)
    page.keyboard.press("Enter")
    page.locator("#result_list tbody th a").click()
    page.get_by_role("link", name="Give credit").click()
    for scheme in ("light", "dark"):
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Amount in dollars").fill("5")
    page.get_by_label("Reason").fill("an apology")
    page.get_by_role("button", name="Give credit").click()
    expect(page.get_by_text("$5.00 given.")).to_be_visible()
    expect(page.get_by_text("$6.00")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
