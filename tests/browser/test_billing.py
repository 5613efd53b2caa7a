"""Money in, as people meet it: in a real browser, by role and name, over the test checkout."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(chromium: Browser, site: str) -> Iterator[Visitor]:
    """Somebody whose browser runs no scripts."""
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    someone = Visitor(context, site)
    yield someone
    context.close()
    assert someone.complaints == []


def balance(page: Page) -> str:
    return page.get_by_role("link", name=re.compile("go to billing")).inner_text().strip()


def choose(page: Page, amount: str) -> None:
    page.get_by_role("main").get_by_text(amount, exact=True).click()


def end_test_payment(page: Page, how: str = "Pay") -> None:
    expect(page.get_by_role("heading", name="Test checkout")).to_be_visible()
    expect(page.get_by_text("This is not a payment.")).to_be_visible()
    page.get_by_role("button", name=how, exact=True).click()


def test_from_ten_dollars_to_the_receipt(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    expect(page.get_by_text("Test checkout: no real money")).to_be_visible()
    expect(
        page.get_by_text("You pay $10.00 for $10.00 of credit, without a fee. Credit does not expire.")
    ).to_be_visible()
    page.get_by_role("button", name="Pay $10.00").dblclick()
    end_test_payment(page)
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Credited")
    assert balance(page) == "$11.00"
    page.reload()
    page.reload()
    assert balance(page) == "$11.00"
    page.get_by_role("link", name=re.compile("^Receipt ")).click()
    page.wait_for_url("**/billing/receipts/*")
    pdf = page.request.get(visitor.site + (page.get_by_role("link", name="PDF").get_attribute("href") or ""))
    assert pdf.body().startswith(b"%PDF-")
    page = visitor.go("/billing")
    expect(page.get_by_role("region", name="Last payment")).to_contain_text("Credited")
    assert page.get_by_text(re.compile("Payment, receipt")).count() == 1


def test_a_typed_amount_is_reckoned_while_it_is_typed(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    choose(page, "Other")
    field = page.get_by_label("Other amount")
    expect(field).to_be_focused()
    field.fill("3")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    field.fill("12.50")
    expect(page.get_by_text("You pay $12.50 for $12.50 of credit")).to_be_visible()
    field.press("Enter")
    end_test_payment(page)
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Credited")
    assert balance(page) == "$13.50"


def test_without_scripts_the_next_page_shows_the_sum(plain: Visitor) -> None:
    plain.sign_up()
    page = plain.go("/billing")
    choose(page, "Other")
    page.get_by_label("Other amount").fill("12.50")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/billing/top-up?amount=12.50")
    expect(page.get_by_text("You pay $12.50 for $12.50 of credit")).to_be_visible()
    page.get_by_role("button", name="Pay $12.50").click()
    end_test_payment(page)
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Credited")


def test_a_bank_debit_is_credited_on_the_page_that_waits_for_it(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    choose(page, "$25")
    page.get_by_role("button", name="Pay $25.00").click()
    end_test_payment(page, "Pay by bank debit")
    state = page.get_by_role("main").get_by_role("status")
    expect(state).to_have_text("Payment on its way")
    expect(state).to_have_text("Credited", timeout=40_000)
    assert balance(page) == "$26.00"


def test_an_order_that_is_left_can_be_paid_later_or_cancelled(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    page.get_by_role("button", name="Pay $10.00").click()
    page.get_by_role("link", name="Leave without paying").click()
    state = page.get_by_role("main").get_by_role("status")
    expect(state).to_have_text("Waiting for payment")
    page.get_by_role("link", name="Continue to payment").click()
    page.get_by_role("link", name="Leave without paying").click()
    page.get_by_role("button", name="Cancel this order").click()
    expect(state).to_have_text("Expired")
    assert balance(page) == "$1.00"


def test_auto_top_up_wants_a_card_and_a_monthly_cap(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    page.get_by_role("button", name="Save a card").click()
    end_test_payment(page)
    expect(page.get_by_text("The card is saved.")).to_be_visible()
    panel = page.get_by_role("region", name="Auto top-up")
    panel.get_by_label("Below").fill("10")
    panel.get_by_label("Add").fill("25")
    panel.get_by_role("button", name="Switch on").click()
    expect(panel.get_by_text("A monthly cap is required")).to_be_visible()
    expect(panel.get_by_label("Add")).to_have_value("25")
    panel.get_by_label("At most a month").fill("100")
    panel.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Auto top-up is on.")).to_be_visible()
    panel.get_by_role("button", name="Switch off").click()
    expect(panel.get_by_text("Off", exact=True)).to_be_visible()


def test_a_refund_takes_its_credit_from_the_balance(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    page.get_by_role("button", name="Pay $10.00").click()
    end_test_payment(page)
    page.get_by_role("textbox", name="Amount").fill("4")
    page.get_by_role("button", name="Ask for the refund").click()
    expect(page.get_by_text("$4.00 for $4.00 of credit")).to_be_visible()
    assert balance(page) == "$7.00"


def test_every_page_of_paying_fits(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/billing")
    assert_fit(page, "/billing of a new account")
    choose(page, "Other")
    page.get_by_label("Other amount").fill("12.50")
    page.get_by_role("button", name="Pay $12.50").click()
    assert_fit(page, "the test checkout")
    page.get_by_role("link", name="Leave without paying").click()
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Waiting for payment")
    assert_fit(page, "a payment that waits")
    page.get_by_role("link", name="Continue to payment").click()
    end_test_payment(page)
    assert_fit(page, "a payment that was credited")
    assert_fit(visitor.go("/billing"), "/billing after a payment")
    assert_fit(visitor.go("/billing/top-up?amount=25"), "/billing/top-up")
