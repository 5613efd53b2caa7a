"""The portal as a person meets it: in a real browser, by role and name."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit
from tokenhub.context import EXAMPLE_MODEL

pytestmark = pytest.mark.browser


def status_of_a_call(visitor: Visitor, key: str) -> int:
    """The very call that the page's snippet makes."""
    body = {"model": EXAMPLE_MODEL, "messages": [{"role": "user", "content": "Say hello in five words."}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{visitor.site}/api/v1/chat/completions", json=body, headers=headers, timeout=30).status_code


def test_billing_shows_the_starter_credit(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.page
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Billing").click()
    expect(page.get_by_role("heading", name="Billing", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Balance")).to_contain_text("1.00")
    row = page.get_by_role("row", name="Starter credit")
    expect(row).to_contain_text("+$1.00")
    expect(page.get_by_role("link", name="Available $1.00, go to billing")).to_be_visible()


def test_logging_out_and_in_again(visitor: Visitor) -> None:
    email = visitor.sign_up()
    page = visitor.page
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()
    visitor.go("/billing")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Log in").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("is wrong")
    expect(alert).to_be_focused()
    page.get_by_label("Password").fill("a sentence works well")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Billing", exact=True)).to_be_visible()


def test_on_a_phone_the_account_menu_logs_out(visitor: Visitor) -> None:
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    email = visitor.sign_up()
    page = visitor.page
    page.get_by_label(f"Account {email}").click()
    expect(page.get_by_text(email, exact=True)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()


def test_the_theme_is_chosen_and_kept_without_a_flash(visitor: Visitor) -> None:
    page = visitor.go("/")
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Switch theme").click()
    visitor.go("/accounts/login")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_everything_works_without_script(visitor: Visitor) -> None:
    browser = visitor.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    someone = Visitor(context, visitor.site)
    someone.sign_up()
    secret = someone.create_key("Laptop")
    assert status_of_a_call(visitor, secret) == 200
    context.close()
    assert someone.complaints == []


def test_the_landing_page_fits_whoever_is_signed_in(visitor: Visitor) -> None:
    visitor.sign_up()
    assert_fit(visitor.go("/"), "landing, signed in")


def test_a_refused_form_fits_too(visitor: Visitor) -> None:
    page = visitor.go("/accounts/signup")
    page.get_by_label("E-mail").fill("nobody")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_be_focused()
    assert_fit(page, "sign-up, refused")
