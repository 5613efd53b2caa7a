"""A served site to look at: what `make run` starts, in a folder of its own, with an owner who has a month of calls."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120
CALLS = 20_000  # of the last 60 days

PUBLIC = [
    "/", "/models", "/models/openai", "/models/openai/gpt-6-luna", "/models/compare?m=openai/gpt-6-luna&m=openai/gpt-4.1",
    "/accounts/signup", "/accounts/login", "/accounts/password/reset", "/no-such-page",
]  # fmt: skip
SIGNED_IN = [
    "/dashboard", "/welcome", "/keys", "/keys/new", "/connect", "/connect/cline", "/usage", "/usage/requests", "/billing",
    "/billing/top-up?amount=25", "/billing/ledger", "/billing/receipts",
    "/settings/profile", "/settings/security", "/settings/team", "/settings/notifications", "/settings/privacy",
    "/settings/appearance", "/style",
]  # fmt: skip


@dataclass(frozen=True)
class Site:
    url: str
    email: str
    password: str

    def sign_in(self, context: BrowserContext) -> None:
        page = context.new_page()
        page.goto(f"{self.url}/accounts/login")
        page.get_by_label("E-mail").fill(self.email)
        page.get_by_label("Password", exact=True).fill(self.password)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(lambda url: "/accounts/login" not in url)
        page.close()


@contextmanager
def served() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="tokenhub-site-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        given = {"TOKENHUB_DEV": "1", "TOKENHUB_DATA_DIR": folder, "PORT": str(port)}
        env = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHUB_")} | given
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user
        command = [sys.executable, "-m", "tokenhub.supervisor"]
        with Path(folder, "site.log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            yield _ready(process, f"http://localhost:{port}", Path(folder), env)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _ready(process: subprocess.Popen[bytes], url: str, folder: Path, env: dict[str, str]) -> Site:
    until = time.monotonic() + START_SECONDS
    first_run = folder / "first_run.json"
    while not (first_run.exists() and _answers(f"{url}/readyz")):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"the site did not start:\n{(folder / 'site.log').read_text()[-2000:]}")
        time.sleep(0.2)
    owner = json.loads(first_run.read_text())
    subprocess.run(
        [sys.executable, "manage.py", "seed_calls", "--email", owner["email"], "--calls", str(CALLS)],
        cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return Site(url, owner["email"], owner["password"])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium that the tests use: CHROME_PATH, as the Makefile finds it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROME_PATH"), args=["--no-sandbox"])
        yield browser
        browser.close()
