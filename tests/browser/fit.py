"""Whether a page fits: no sideways scroll, and nothing that axe-core objects to, at both widths and in both themes."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

WIDTHS = [(1280, 800), (390, 844)]
REFLOW_WIDTH = 320  # WCAG 1.4.10: 1280 px at 400 % zoom
#: a theme changes colours and nothing else, so the second one is asked about those alone
RULES = {"light": {}, "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}}}


def assert_fit(page: Page, where: str) -> None:
    page.set_viewport_size({"width": REFLOW_WIDTH, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} scrolls at {REFLOW_WIDTH}"
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        for theme, rules in RULES.items():
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} scrolls at {width}"
            assert violations(page, rules) == [], f"{where} at {width}, {theme}"


def violations(page: Page, rules: dict[str, object]) -> list[list[object]]:
    """Each violated rule with the elements concerned."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[list[object]] = page.evaluate(
        "rules => axe.run({resultTypes: ['violations'], ...rules})"
        ".then(r => r.violations.map(v => [v.id, v.nodes.map(node => node.html)]))",
        rules,
    )
    return found
