"""A person without a pointer: every step by keyboard, the focus always seen, nothing moving for whoever wants it still."""

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

TABS_MAX = 120

#: what has the focus: its name and role for messages, whether its ring shows, and whether any of it is seen (WCAG 2.4.11)
FOCUS = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return null;
  const shown = focused.matches('input[type=radio], input[type=checkbox]') ? focused.closest('label') ?? focused : focused;
  const around = [focused, shown, shown.parentElement];  // a field with an affix shows its ring around both
  const styles = around.map(element => getComputedStyle(element));
  const ring = styles.some(style => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1);
  const box = (focused.getClientRects()[0]?.width > 1 ? focused : shown).getClientRects()[0];
  const places = [[.5, .5], [.1, .1], [.9, .1], [.1, .9], [.9, .9]];
  const free = places.some(([across, down]) => {
    const hit = document.elementFromPoint(box.left + across * box.width, box.top + down * box.height);
    return hit !== null && (shown.contains(hit) || hit.contains(shown));
  });
  return {what: focused.outerHTML.slice(0, 160), ring, free};
}"""


def tab(page: Page, key: str = "Tab") -> None:
    """One step; wherever it leads, the focus is seen and nothing lies over it."""
    page.keyboard.press(key)
    focus = page.evaluate(FOCUS)
    assert focus is None or focus["ring"], f"no ring on {page.url}: {focus['what']}"
    assert focus is None or focus["free"], f"hidden on {page.url}: {focus['what']}"


def reach(page: Page, role: str, name: str | re.Pattern[str], *, exact: bool = True) -> None:
    """Tabs on until the focus is on it."""
    wanted = page.get_by_role(role, name=name, exact=exact).locator("visible=true")  # type: ignore[arg-type]
    expect(wanted.first).to_be_visible()
    for _ in range(TABS_MAX):
        tab(page)
        if any(one.evaluate("element => element === document.activeElement") for one in wanted.all()):
            return
    raise AssertionError(f"no way by Tab to {role} {name} on {page.url}")


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["wide", "narrow"])
def still(chromium: Browser, site: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Somebody who asked their system for reduced motion."""
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    someone = Visitor(context, site)
    yield someone
    context.close()
    assert someone.complaints == []


def assert_still(page: Page) -> None:
    assert page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length") == 0


def test_from_signing_up_to_logging_out_by_keyboard_alone(still: Visitor) -> None:
    page = still.go("/")
    reach(page, "link", "Get an API key")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/signup*")
    page.get_by_label("E-mail").wait_for()
    if not page.get_by_label("E-mail").evaluate("field => field === document.activeElement"):
        reach(page, "textbox", "E-mail")
    page.keyboard.type(f"{uuid.uuid4().hex[:10]}@example.test")
    tab(page)
    page.keyboard.type("a sentence works well")
    page.keyboard.press("Enter")
    page.wait_for_url("**/welcome")
    assert_still(page)

    reach(page, "button", "Run it here")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Received", exact=True)).to_be_visible()
    assert_still(page)

    still.go("/keys/new")
    reach(page, "textbox", "Name")
    page.keyboard.type("Laptop")
    page.keyboard.press("Enter")
    page.wait_for_url("**/keys/key-*")
    secret = page.locator("#secret").inner_text()
    reach(page, "button", "Copy key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert_still(page)

    still.go("/usage/requests")
    call = page.locator("[data-call]").first
    for _ in range(TABS_MAX):
        tab(page)
        if call.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Request, at a glance")).to_be_visible()
    assert_still(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Request, at a glance")).to_be_hidden()
    expect(call).to_be_focused()

    still.go("/accounts/logout")
    reach(page, "button", "Log out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()


def test_backwards_through_a_long_page_nothing_hides_the_focus(still: Visitor) -> None:
    """Upwards the sticky bar comes first, which is what hides a focus."""
    still.sign_up()
    page = still.go("/style")
    for key in ["Tab"] * 60 + ["Shift+Tab"] * 60:
        tab(page, key)


def test_dialogs_menus_and_the_palette_give_the_focus_back(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.go("/style")
    for opens, role, name in [("Control+k", "dialog", "Search or jump to"), ("?", "dialog", "Keyboard shortcuts")]:
        trigger = page.get_by_role("button", name="Search or jump to")
        trigger.focus()
        page.keyboard.press(opens)
        expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type]
        page.keyboard.press("Escape")
        expect(page.get_by_role(role, name=name)).to_be_hidden()  # type: ignore[arg-type]
        expect(trigger).to_be_focused()
