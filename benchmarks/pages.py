"""What a page weighs, cold, and how quick and still it is on a slow phone, each beside the budget of its kind.

    .venv/bin/python -m benchmarks.pages

A real browser loads each page with an empty cache, so that what modules import is counted too. Times are taken at 390 px
with the processor slowed down to a quarter, 1.6 Mbit/s and 150 ms there and back: ``lcp`` in seconds, ``cls`` as a share of
the window, ``inp`` in milliseconds, the slowest of a few touches and keys. Exit 1 if a page is too heavy or moves; times are
only printed, since they are also the machine's.
"""

import sys

from playwright.sync_api import Browser, Page, Response, StorageState

from benchmarks.budgets import CLS, budget_of, weigh
from benchmarks.served_site import PUBLIC, SIGNED_IN, Site, chromium, served

SLOW_DOWN = 4
BYTES_PER_SECOND = 1_600_000 // 8
LATENCY_MS = 150
WATCH = """
  window.seen = {lcp: 0, inp: 0};
  new PerformanceObserver(list => list.getEntries().forEach(e => { seen.lcp = e.startTime / 1000; }))
    .observe({type: 'largest-contentful-paint', buffered: true});
  new PerformanceObserver(list => list.getEntries().forEach(e => {
    if (e.interactionId) seen.inp = Math.max(seen.inp, e.duration);
  })).observe({type: 'event', durationThreshold: 16, buffered: true});
"""


def slow_down(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_DOWN})
    session.send("Network.enable")
    line = {"downloadThroughput": BYTES_PER_SECOND, "uploadThroughput": BYTES_PER_SECOND}
    session.send("Network.emulateNetworkConditions", {"offline": False, "latency": LATENCY_MS, **line})


def interact(page: Page) -> None:
    """What any page offers: the palette or nothing, the focus, a touch of the theme button."""
    for key in ("Tab", "Tab", "Control+k", "Escape"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Switch theme").first.click()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))")


def measure(browser: Browser, site: Site, path: str, cookies: StorageState | None) -> tuple[str, bool]:
    """A line for the terminal, and whether the page is within what must hold."""
    # a context of its own has an empty cache
    context = browser.new_context(storage_state=cookies, viewport={"width": 390, "height": 844})
    context.add_init_script(WATCH)
    page = context.new_page()
    slow_down(page)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(site.url + path, wait_until="networkidle")
    weights, budget = weigh(answers, site.url), budget_of(path, signed_in=cookies is not None)
    moved = page.evaluate(CLS)
    lcp = page.evaluate("seen.lcp")
    interact(page)
    inp = page.evaluate("seen.inp")
    context.close()
    over = [*budget.exceeded_by(weights)]
    over += ["cls"] if moved > budget.cls else []
    slow = [*(["lcp"] if lcp > budget.lcp_seconds else []), *(["inp"] if inp > budget.inp_ms else [])]
    figures = "".join(f"{weights[kind]:8}" for kind in ("html", "css", "js", "font"))
    times = f"{lcp:7.2f}/{budget.lcp_seconds:.1f}{moved:8.3f}{inp:6.0f}/{budget.inp_ms}"
    said = f"  over: {', '.join(over)}" * bool(over) + f"  slow: {', '.join(slow)}" * bool(slow)
    return f"{path:58}{figures}{times}{said}", not over


def main() -> None:
    is_right = True
    print(f"{'page':58}{'html':>8}{'css':>8}{'js':>8}{'font':>8}{'lcp':>11}{'cls':>8}{'inp':>10}")
    with served() as site, chromium() as browser:
        context = browser.new_context()
        site.sign_in(context)
        owner = context.storage_state()
        for path, cookies in [*((path, None) for path in PUBLIC), *((path, owner) for path in SIGNED_IN)]:
            line, is_within = measure(browser, site, path, cookies)
            is_right = is_right and is_within
            print(line, flush=True)
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
