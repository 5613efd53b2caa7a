"""The frame in a real browser: palette, shortcuts, menus, themes and languages of code."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import RULES, violations

pytestmark = pytest.mark.browser


def assert_accessible(page: Page, where: str) -> None:
    for theme, rules in RULES.items():
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        assert violations(page, rules) == [], f"{where}, {theme}"


@pytest.fixture
def member(visitor: Visitor) -> Page:
    """On the page that shows every component."""
    visitor.sign_up()
    return visitor.go("/style")


def turn_off_shortcuts(visitor: Visitor) -> None:
    page = visitor.go("/settings/appearance")
    page.get_by_role("checkbox", name=re.compile("shortcuts")).uncheck()
    page.get_by_role("main").get_by_role("button", name="Save").click()
    page.wait_for_load_state()


# ---------------------------------------------------------------- palette and shortcuts


def test_the_palette_goes_to_a_page_by_keyboard(member: Page) -> None:
    member.keyboard.press("Control+k")
    palette = member.get_by_role("dialog", name="Search or jump to")
    expect(palette.get_by_role("combobox")).to_be_focused()
    expect(palette.get_by_role("option").first).to_be_visible()
    assert_accessible(member, "palette")
    member.keyboard.type("bill")
    expect(palette.get_by_role("option", name="Billing")).to_have_attribute("aria-selected", "true")
    member.keyboard.press("Enter")
    member.wait_for_url("**/billing")


def test_the_palette_finds_a_model_by_id_and_a_pasted_request(member: Page) -> None:
    member.get_by_role("button", name="Search or jump to").click()
    search = member.get_by_role("combobox", name="A page, model, key, request id or action")
    search.fill("openai/gpt-6-lu")
    expect(member.get_by_role("option")).to_have_count(1)
    search.fill("gen-" + "0" * 32)
    expect(member.get_by_role("option")).to_have_text(re.compile("Open request"))
    search.fill("no such thing")
    expect(member.get_by_text("Nothing matches.")).to_be_visible()
    member.keyboard.press("Escape")
    expect(member.get_by_role("dialog")).to_have_count(0)
    expect(member.get_by_role("button", name="Search or jump to")).to_be_focused()


def test_the_palette_switches_the_theme(member: Page) -> None:
    member.emulate_media(color_scheme="light")
    member.keyboard.press("Control+k")
    member.keyboard.type("switch theme")
    expect(member.get_by_role("option")).to_have_count(1)
    with member.expect_response("**/theme") as saved:
        member.keyboard.press("Enter")
    assert saved.value.status == 204
    assert member.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    member.reload()
    assert member.evaluate("document.documentElement.dataset.theme") == "dark"


def test_g_and_a_letter_go_to_a_section(member: Page) -> None:
    member.keyboard.press("g")
    member.keyboard.press("k")
    expect(member).to_have_url(re.compile(r"/keys$"))


def test_single_keys_are_dead_inside_fields(member: Page) -> None:
    field = member.get_by_label("Name")
    field.fill("")
    field.press("g")
    field.press("k")
    field.press("?")
    expect(field).to_have_value("gk?")
    expect(member.get_by_role("dialog")).to_have_count(0)


def test_a_question_mark_shows_the_sheet(member: Page) -> None:
    member.keyboard.press("?")
    sheet = member.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet.get_by_text("Search on this page")).to_be_visible()
    assert_accessible(member, "shortcuts")
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_be_hidden()


def test_a_slash_goes_to_the_pages_own_search(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/models")
    page.keyboard.press("/")
    expect(page.get_by_role("main").get_by_role("searchbox").first).to_be_focused()
    expect(page.get_by_role("main").get_by_role("searchbox").first).to_have_value("")


def test_switched_off_single_keys_do_nothing_and_the_palette_still_opens(visitor: Visitor) -> None:
    visitor.sign_up()
    turn_off_shortcuts(visitor)
    page = visitor.go("/style")
    for key in ("?", "/", "g", "k"):
        page.keyboard.press(key)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    assert page.url.endswith("/style")


# ---------------------------------------------------------------- menus, narrow screens


def test_menus_close_on_escape_and_give_the_focus_back(member: Page) -> None:
    menu = member.get_by_label("Account ")
    menu.click()
    expect(member.get_by_role("link", name="Appearance")).to_be_visible()
    assert_accessible(member, "account menu")
    member.keyboard.press("Escape")
    expect(member.get_by_role("link", name="Appearance")).to_be_hidden()
    expect(menu).to_be_focused()


def test_on_a_phone_every_section_is_two_touches_away(member: Page) -> None:
    member.set_viewport_size({"width": 390, "height": 844})
    bar = member.get_by_role("navigation", name="Main, compact")
    assert [link.strip() for link in bar.get_by_role("link").all_inner_texts()] == [
        "Dashboard",
        "Models",
        "Keys",
        "Usage",
    ]
    bar.get_by_text("More").click()
    assert_accessible(member, "more")
    bar.get_by_role("link", name="Settings").click()
    member.wait_for_url("**/settings/profile")


# ---------------------------------------------------------------- charts and code


def test_a_chart_is_read_by_keyboard_and_a_series_can_be_hidden(member: Page) -> None:
    chart = member.get_by_role("img", name="Spend per day by model.")
    chart.focus()
    figure = member.locator("figure").filter(has=chart)
    expect(figure.get_by_role("status")).to_contain_text("30 Nov:")
    member.keyboard.press("ArrowLeft")
    expect(figure.get_by_role("status")).to_contain_text("29 Nov:")
    expect(figure.get_by_role("status")).to_contain_text("Total $")
    other = figure.get_by_role("button", name="Other")
    other.click()
    expect(other).to_have_attribute("aria-pressed", "false")
    assert figure.locator("path.f6").evaluate("path => getComputedStyle(path).display") == "none"
    figure.get_by_text("Show the figures as a table").click()
    expect(figure.get_by_role("row", name="29 Nov")).to_be_visible()
    assert_accessible(member, "chart with its table")


def test_the_language_of_code_changes_by_arrow_keys_and_stays(visitor: Visitor) -> None:
    page = visitor.go("/")
    page.get_by_role("radio", name="cURL", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name="Example in Python")).to_be_visible()
    expect(page.get_by_role("region", name="Example in cURL")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("region", name="Example in Python")).to_be_visible()


def test_code_is_copied_as_it_is_and_that_is_said(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.go("/")
    page.get_by_role("main").get_by_role("button", name="Copy", exact=True).first.click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    pasted = page.evaluate("navigator.clipboard.readText()")
    assert pasted == page.get_by_role("region", name="Example in cURL").inner_text()
    assert pasted.startswith("curl http") and "\n" not in pasted


def test_code_changes_its_language_without_script(visitor: Visitor) -> None:
    assert visitor.context.browser is not None
    context = visitor.context.browser.new_context(java_script_enabled=False)
    page = Visitor(context, visitor.site).go("/")
    page.get_by_text("JavaScript", exact=True).click()
    expect(page.get_by_role("region", name="Example in JavaScript")).to_be_visible()
    context.close()
