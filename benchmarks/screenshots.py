"""Every page in both themes and both widths, of a seeded site, into screenshots/ (ignored by git): `make screenshots`."""

import re
import shutil
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.served_site import PUBLIC, ROOT, SIGNED_IN, chromium, served

FOLDER = ROOT / "screenshots"
WIDTHS = [(1280, 800), (390, 844)]


def take(page: Page, url: str, path: str) -> str:
    """Four pictures of one page. Returns a line for the terminal."""
    answer = page.goto(url + path)
    assert answer is not None
    name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "landing"
    wide = []
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(str(width))
        for theme in ("light", "dark"):
            # what a person chose stands on <html>; the pictures show both all the same
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            page.screenshot(path=FOLDER / f"{name}-{theme}-{width}.png", full_page=True)
    return f"{answer.status}  {path}" + (f"  scrolls sideways at {', '.join(wide)}" if wide else "")


def main() -> None:
    with served() as site, chromium() as browser:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        stranger = browser.new_page()
        for path in PUBLIC:
            print(take(stranger, site.url, path), flush=True)
        context = browser.new_context()
        site.sign_in(context)
        page = context.new_page()
        for path in SIGNED_IN:
            print(take(page, site.url, path), flush=True)
    print(f"{len(list(Path(FOLDER).iterdir()))} pictures in {FOLDER}")


if __name__ == "__main__":
    main()
