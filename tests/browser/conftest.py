"""A served site and a real Chromium. Without a Chromium these tests are reported as skipped, with the reason."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests import servers

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str | None:
    given = os.environ.get("CHROME_PATH")
    if given:
        return given if Path(given).exists() else None
    return shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="package")
def site() -> Iterator[str]:
    """The address of a web process as `make run` starts it, with the tests' database."""
    sandbox = servers.start_sandbox()
    stripe = servers.start_stripe()
    web = servers.start_web(sandbox, TOKENHUB_STRIPE_SANDBOX_URL=stripe.url)
    yield web.url
    web.stop()
    stripe.stop()
    sandbox.stop()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """For this package only: while Playwright runs, its event loop keeps Django's ORM out of this thread."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium: set CHROME_PATH, or install chromium or google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


class Visitor:
    """One person's browser window. Whatever its console reports as an error, CSP violations included, is kept."""

    def __init__(self, context: BrowserContext, site: str):
        self.site = site
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._leaves)

    def _hear(self, message: ConsoleMessage) -> None:
        # a test leaves a page without having touched it, so that the page's question is not asked
        is_unasked = "'beforeunload' confirmation panel" in message.text
        if message.type in ("error", "warning") and not is_unasked:
            self.complaints.append(f"{message.text} ({self.page.url})")

    def _leaves(self, request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((self.site, "data:")):
            self.complaints.append(f"asked a foreign host: {url}")

    def go(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page

    def sign_up(self) -> str:
        """Returns the e-mail address."""
        email = f"{uuid.uuid4().hex[:10]}@example.test"
        page = self.go("/accounts/signup")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill("a sentence works well")
        page.get_by_role("button", name="Create account").click()
        page.wait_for_url(lambda url: "/accounts/" not in url)
        return email

    def create_key(self, name: str, **fields: str) -> str:
        """Returns the key as the page reveals it."""
        page = self.go("/keys/new")
        page.get_by_label("Name").fill(name)
        for label, value in fields.items():
            page.get_by_label(label).fill(value)
        page.get_by_role("button", name="Create key").click()
        page.wait_for_url("**/keys/key-*")
        return page.locator("#secret").inner_text()


@pytest.fixture
def visitor(chromium: Browser, site: str) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    someone = Visitor(context, site)
    yield someone
    context.close()
    assert someone.complaints == []
