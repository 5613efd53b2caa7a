"""What a page weighs, cold: HTML, CSS, JavaScript and fonts, compressed as a server would, against the budget of its kind.

    .venv/bin/python -m benchmarks.pages

A real browser loads each page with an empty cache, so that what modules import is counted too. Exit 1 if a page is over.
"""

import gzip
import sys
from collections import Counter

from playwright.sync_api import Browser, Response, StorageState

from benchmarks.served_site import PUBLIC, SIGNED_IN, Site, chromium, served

KINDS = {"document": "html", "stylesheet": "css", "script": "js", "font": "font"}
#: bytes by kind; the catalogue's pages hold every model
PUBLIC_BUDGET = {"html": 14_000, "css": 14_000, "js": 20_000, "font": 53_000}
SIGNED_IN_BUDGET = {"html": 18_000, "css": 14_000, "js": 22_000, "font": 53_000}
CATALOGUE_BUDGET = {"html": 24_000, "css": 14_000, "js": 22_000, "font": 53_000}


def weigh(browser: Browser, site: Site, path: str, cookies: StorageState | None) -> Counter[str]:
    """Compressed bytes by kind; ``foreign`` counts requests to other hosts, of which there must be none."""
    context = browser.new_context(storage_state=cookies)  # a context of its own has an empty cache
    page = context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(site.url + path, wait_until="networkidle")
    weights: Counter[str] = Counter()
    for answer in answers:
        if not answer.url.startswith(site.url):
            weights["foreign"] += 1
        elif kind := KINDS.get(answer.request.resource_type):
            body = answer.body()
            weights[kind] += len(body) if kind == "font" else len(gzip.compress(body, 9))
    context.close()
    return weights


def budget_of(path: str, *, signed_in: bool) -> dict[str, int]:
    if path.startswith("/models"):
        return CATALOGUE_BUDGET
    return SIGNED_IN_BUDGET if signed_in else PUBLIC_BUDGET


def main() -> None:
    over = False
    print(f"{'page':58}{'html':>8}{'css':>8}{'js':>8}{'font':>8}")
    with served() as site, chromium() as browser:
        context = browser.new_context()
        site.sign_in(context)
        owner = context.storage_state()
        for path, cookies in [*((path, None) for path in PUBLIC), *((path, owner) for path in SIGNED_IN)]:
            weights, budget = weigh(browser, site, path, cookies), budget_of(path, signed_in=cookies is not None)
            too_heavy = [kind for kind, most in budget.items() if weights[kind] > most]
            over = over or bool(too_heavy) or weights["foreign"] > 0
            figures = "".join(f"{weights[kind]:8}" for kind in budget)
            print(f"{path:58}{figures}" + (f"  over: {', '.join(too_heavy)}" if too_heavy else ""), flush=True)
    sys.exit(over)


if __name__ == "__main__":
    main()
