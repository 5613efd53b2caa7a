"""The catalogue as a person uses it: filters, the compare tray, the calculator; with script and without."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit

pytestmark = pytest.mark.browser

LIST = "/models?kind=chat&can=tools&can=vision&price=0.002"


@pytest.fixture
def without_script(visitor: Visitor) -> Iterator[Visitor]:
    browser = visitor.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    someone = Visitor(context, visitor.site)
    yield someone
    context.close()
    assert someone.complaints == []


def menu(page: Page, word: str) -> Locator:
    """One of the filters' menus, to open."""
    return page.get_by_role("search", name="Models").locator("summary").filter(has_text=word)


def listed(page: Page) -> list[str]:
    """The ids in the list, in its order."""
    return page.locator("#results .id code").all_inner_texts()


def test_filters_update_list_count_and_address_and_the_address_alone_gives_the_same_list(
    visitor: Visitor, without_script: Visitor
) -> None:
    page = visitor.go("/models")
    everything = listed(page)
    filters = page.get_by_role("search", name="Models")
    filters.get_by_label("Chat").check(force=True)
    page.wait_for_url("**/models?kind=chat*")
    menu(page, "Can do").click()
    filters.get_by_label("vision").check()
    page.wait_for_url("**can=vision*")
    menu(page, "Limits").click()
    filters.get_by_label("Typical call at most, USD").fill("0.002")
    page.wait_for_url("**price=0.002*")
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    chosen = listed(page)
    assert 0 < len(chosen) < len(everything) and set(chosen) < set(everything)
    expect(page.get_by_role("status").filter(has_text="models")).to_have_text(f"{len(chosen)} models")
    assert listed(without_script.go(page.url.removeprefix(visitor.site))) == chosen


def test_filters_apply_by_a_button_without_script(without_script: Visitor) -> None:
    page = without_script.go("/models")
    filters = page.get_by_role("search", name="Models")
    menu(page, "Provider").click()
    filters.get_by_label("xAI").check()
    filters.get_by_label("Search models").fill("grok")
    filters.get_by_label("Sort by").select_option("name")
    filters.get_by_role("button", name="Apply").click()
    assert re.search(r"q=grok&group=xai&.*sort=name", page.url)
    names = page.locator("#results a.cell").all_inner_texts()
    assert names == sorted(names, key=str.casefold) and all("Grok" in name for name in names) and names
    page.get_by_role("link", name="Clear filters").click()
    assert len(listed(page)) > len(names)


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no script"])
def test_ticked_models_are_compared_side_by_side(visitor: Visitor, without_script: Visitor, has_script: bool) -> None:
    page = (visitor if has_script else without_script).go("/models")
    for name in ("GPT-4.1", "GPT-6 Luna"):
        page.get_by_label(f"Compare {name}", exact=True).check()
    page.get_by_role("button", name=re.compile("^Compare")).click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    table = page.get_by_role("table", name="Models side by side")
    expect(table.get_by_role("columnheader")).to_have_count(2)
    typical = table.get_by_role("row", name=re.compile("Typical call"))
    expect(typical).to_contain_text("differs")
    expect(typical).to_contain_text("cheapest")


def test_the_tray_holds_four_and_keeps_them_while_the_list_changes(visitor: Visitor) -> None:
    page = visitor.go("/models")
    ticks = page.get_by_role("checkbox", name=re.compile("^Compare "))
    for place in range(4):
        ticks.nth(place).check()
    expect(page.get_by_role("button", name="Compare (4/4)")).to_be_visible()
    expect(ticks.nth(4)).to_be_disabled()
    page.get_by_label("Search models").fill("nothing has this name")
    expect(page.get_by_role("heading", name="No model matches all of these filters")).to_be_visible()
    expect(page.get_by_role("button", name="Compare (4/4)")).to_be_visible()
    page.get_by_role("button", name="Compare (4/4)").click()
    expect(page.get_by_role("columnheader")).to_have_count(4)


def test_the_calculator_answers_while_one_types_and_by_its_button_without_script(
    visitor: Visitor, without_script: Visitor
) -> None:
    page = visitor.go("/models/openai/gpt-4.1")
    page.get_by_label("Tokens in").fill("1000000")
    page.get_by_label("Tokens out").fill("0")
    page.get_by_label("Calls a day").fill("2")
    total = page.get_by_role("row", name=re.compile("^30 days"))
    expect(total).to_contain_text("$120.00")
    page.get_by_label("From cache, %").fill("100")
    expect(total).to_contain_text("$30.00")
    page.get_by_label("From cache, %").fill("101")
    expect(page.get_by_text("No estimate with these numbers.")).to_be_visible()

    page = without_script.go("/models/openai/gpt-4.1")
    page.get_by_label("Tokens in").fill("1000000")
    page.get_by_label("Tokens out").fill("0")
    page.get_by_label("Calls a day").fill("2")
    page.get_by_role("button", name="Work it out").click()
    expect(page.get_by_role("row", name=re.compile("^30 days"))).to_contain_text("$120.00")


def test_copying_an_id_or_code_says_so_also_after_the_list_changed(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.go("/models/openai/gpt-4.1")
    page.get_by_role("button", name="Copy openai/gpt-4.1").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == "openai/gpt-4.1"
    page.get_by_role("button", name="Copy", exact=True).first.click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    code = page.evaluate("navigator.clipboard.readText()")
    assert code.startswith("curl http") and '"model":"openai/gpt-4.1"' in code
    visitor.go("/models")
    page.get_by_label("Search models").fill("grok 4.3")
    page.wait_for_url("**q=grok*")
    page.get_by_role("button", name="Copy xai/grok-4.3").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == "xai/grok-4.3"


def test_help_me_choose_answers_for_the_volume_given(visitor: Visitor) -> None:
    page = visitor.go("/models")
    page.get_by_role("link", name="Help me choose").click()
    picks = page.get_by_role("region", name="Picks").get_by_role("listitem")
    expect(picks).to_have_count(3)
    page.get_by_label("Task").select_option(label="Making videos")
    expect(picks.filter(has_text="Kling").or_(picks.filter(has_text="Seedance")).first).to_be_visible()
    expect(picks.first).to_contain_text("30 days of your volume")


def test_a_menu_closes_by_escape_and_gives_the_focus_back(visitor: Visitor) -> None:
    page = visitor.go("/models")
    choices = page.get_by_role("search", name="Models").get_by_role("group", name="Can do")
    menu(page, "Can do").click()
    choices.get_by_label("tools").check()
    page.keyboard.press("Escape")
    expect(choices).to_be_hidden()
    expect(page.locator("summary:focus")).to_contain_text("Can do")


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        LIST,
        "/models?view=cards&kind=video",
        "/models?kind=image&can=tools&price=x",
        "/models/openai/gpt-5.4?input_tokens=-1&cached_percent=0&output_tokens=0&calls=0",
        "/models/google/gemini-2.5-pro",
        "/models/bytedance/doubao-seedance-2.0",
        "/models/compare?m=openai/gpt-4.1&m=openai/gpt-6-luna&m=xai/grok-4.3&m=kwaivgi/kling-v3.0-pro",
        "/models/compare",
    ],
)
def test_every_page_fits_every_width_and_theme(visitor: Visitor, path: str) -> None:
    assert_fit(visitor.go(path), path)


@pytest.mark.long
def test_the_pages_fit_in_the_shell_of_signed_in_people_too(visitor: Visitor) -> None:
    visitor.sign_up()
    for path in (LIST, "/models/openai/gpt-5.4"):
        page = visitor.go(path)
        expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()
        assert_fit(page, f"{path}, signed in")
        page.set_viewport_size({"width": 1280, "height": 800})


def test_open_menus_fit_too(visitor: Visitor) -> None:
    page = visitor.go("/models")
    for word in ("Provider", "Limits"):
        menu(page, word).click()
        assert_fit(page, f"/models, {word} open")


def test_an_unknown_model_fits_too(visitor: Visitor) -> None:
    page = visitor.go("/models/openai/gpt-9")
    expect(page.get_by_role("heading", name="There is no such model")).to_be_visible()
    assert_fit(page, "unknown model")
    visitor.complaints = [text for text in visitor.complaints if "404" not in text]  # the page itself is one
