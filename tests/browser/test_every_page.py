"""Every page there is: taken from the site's own addresses, so that a new one cannot be forgotten.

Each is opened once, cold. It fits both widths and themes, axe-core objects to nothing, it stays within its budget of bytes,
nothing on it moves by itself, it asks no other host and its console is silent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from playwright.sync_api import Browser, Response, StorageState, expect

from benchmarks.budgets import CLS, budget_of, weigh
from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit
from tests.browser.test_keys import KEY, ask

pytestmark = pytest.mark.browser

#: by the name of the route; {key} and {call} are a key and a call of the person who looks
PUBLIC = {
    "landing": "/",
    "models": "/models",
    "models_compare": "/models/compare?m=openai/gpt-6-luna&m=openai/gpt-4.1",
    "models_choose": "/models/choose",
    "models_group": "/models/openai",
    "model_page": "/models/openai/gpt-6-luna",
    "account_signup": "/accounts/signup",
    "account_login": "/accounts/login",
    "account_request_login_code": "/accounts/login/code",
    "account_inactive": "/accounts/inactive",
    "account_email_verification_sent": "/accounts/confirm-email",
    "account_confirm_email": "/accounts/confirm-email/nonsense",
    "account_reset_password": "/accounts/password/reset",
    "account_reset_password_done": "/accounts/password/reset/done",
    "account_reset_password_from_key": "/accounts/password/reset/key/1-nonsense",
    "account_reset_password_from_key_done": "/accounts/password/reset/key/done",
    "invite": "/invite/not-a-real-one",
}
SIGNED_IN = {
    "style": "/style",
    "welcome": "/welcome",
    "dashboard": "/dashboard",
    "keys": "/keys",
    "key_new": "/keys/new",
    "key": "/keys/{key}",
    "key_edit": "/keys/{key}/edit",
    "key_rotate": "/keys/{key}/rotate",
    "key_delete": "/keys/{key}/delete",
    "connect": "/connect",
    "connect_tool": "/connect/cline",
    "usage": "/usage",
    "usage_requests": "/usage/requests",
    "usage_request": "/usage/requests/{call}",
    "billing": "/billing",
    "top_up": "/billing/top-up?amount=25",
    "receipts": "/billing/receipts",
    "ledger": "/billing/ledger",
    "settings_profile": "/settings/profile",
    "settings_security": "/settings/security",
    "settings_team": "/settings/team",
    "team_new": "/settings/team/new",
    "settings_notifications": "/settings/notifications",
    "settings_privacy": "/settings/privacy",
    "settings_delete": "/settings/privacy/delete",
    "settings_appearance": "/settings/appearance",
    "account_logout": "/accounts/logout",
    "account_email": "/accounts/email",
    "account_change_password": "/accounts/password/change",
    "account_reauthenticate": "/accounts/reauthenticate",
}
#: pages that only a story reaches, which looks at them by the same measure: in test_people, test_billing, test_ledger
IN_STORIES = {
    "top_up_page", "test_checkout", "receipt", "statement",
    "unsent", "member_remove", "account_confirm_login_code", "mfa_authenticate", "mfa_activate_totp", "mfa_deactivate_totp",
    "mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_add_webauthn", "mfa_remove_webauthn", "mfa_edit_webauthn",
}  # fmt: skip
#: routes that show no page of their own
NO_PAGES = {
    "answers to scripts": {"palette", "theme", "key_latest", "mfa_login_webauthn"},
    "answers to other machines": {"stripe_webhook"},
    "files": {
        "usage_export", "settings_export", "mfa_download_recovery_codes", "ledger_csv", "receipt_pdf", "statement_pdf",
    },
    "forms' targets": {
        "key_disable", "key_enable", "session_end", "sessions_end_others", "team_rename", "member_role", "team_transfer",
        "team_invite", "invitation_withdraw", "settings_history", "member_budget", "top_up_cancel", "top_up_refund", "auto_top_up",
        "auto_top_up_off", "card", "card_remove", "promo_code", "billing_details",
    },
    "ways to another page": {"settings", "mfa_index", "mfa_list_webauthn", "card_saved", "card_portal"},
    "only for people without a password, or with a second factor and nothing else": {
        "account_set_password", "mfa_reauthenticate", "mfa_reauthenticate_webauthn",
    },
    "only for members who may leave: their page is the confirmation on the team's": {"team_leave"},
}  # fmt: skip


def routes() -> set[str]:
    """The names of all routes; the relays have none, and the operators' are Django's own."""

    def names(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver) and pattern.app_name == "admin":
                continue
            if isinstance(pattern, URLResolver):
                yield from names(pattern.url_patterns)
            elif pattern.name:
                yield pattern.name

    return set(names(get_resolver().url_patterns))


def test_no_route_is_forgotten() -> None:
    """Whoever adds a page adds a line above, or the reason why there is none."""
    known = [set(PUBLIC), set(SIGNED_IN), IN_STORIES, *NO_PAGES.values()]
    assert routes() == set().union(*known)
    assert sum(map(len, known)) == len(set().union(*known))


@dataclass(frozen=True)
class Somebody:
    """Signed in, with a key and a call."""

    session: StorageState
    key: str
    call: str


@pytest.fixture(scope="module")
def somebody(chromium: Browser, site: str) -> Somebody:
    context = chromium.new_context()
    visitor = Visitor(context, site)
    visitor.sign_up()
    secret = KEY.findall(visitor.page.content())[0]
    call = ask(visitor, secret).headers["x-generation-id"]
    page = visitor.go("/keys")
    path = page.get_by_role("link", name="First key").first.get_attribute("href")
    assert path is not None
    made = Somebody(context.storage_state(), path.rpartition("/")[2], call)
    context.close()
    return made


def look_at(visitor: Visitor, path: str, *, signed_in: bool) -> None:
    """Opens the page with an empty cache and holds it against everything that is asked of a page."""
    visitor.context.new_cdp_session(visitor.page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    answers: list[Response] = []
    visitor.page.on("response", lambda answer: answers.append(answer))
    page = visitor.go(path)
    page.evaluate("document.fonts.ready.then(() => null)")
    budget = budget_of(path, signed_in=signed_in)
    assert budget.exceeded_by(weigh(answers, visitor.site)) == {}
    assert page.evaluate(CLS) <= budget.cls
    assert_fit(page, path)
    if answers[0].status == 404:
        visitor.complaints = [text for text in visitor.complaints if "404" not in text]  # the page itself is one


@pytest.mark.parametrize("path", PUBLIC.values(), ids=PUBLIC)
def test_a_public_page_is_light_still_and_accessible(visitor: Visitor, path: str) -> None:
    look_at(visitor, path, signed_in=False)


@pytest.mark.parametrize("path", SIGNED_IN.values(), ids=SIGNED_IN)
def test_a_page_of_the_portal_is_light_still_and_accessible(
    chromium: Browser, site: str, somebody: Somebody, path: str
) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, storage_state=somebody.session)
    visitor = Visitor(context, site)
    look_at(visitor, path.format(key=somebody.key, call=somebody.call), signed_in=True)
    expect(visitor.page).to_have_url(re.compile("/accounts/" if "/accounts/" in path else "^(?!.*/accounts/)"))
    context.close()
    assert visitor.complaints == []


# ---------------------------------------------------------------- names as bad as they come

WORST = '<b>bold</b> <img src=x onerror="alert(1)"> مفتاح 🔑🦊 '
LONGEST = 200


def worst_name(length: int) -> str:
    return WORST + "W" * (length - len(WORST))


@pytest.mark.parametrize(("path", "label", "button"), [
    ("/keys/new", "Name", "Create key"),
    ("/settings/profile", "Name", "Save"),
    ("/settings/team", "Team name", "Save name"),
])  # fmt: skip
def test_a_name_longer_than_its_field_is_refused_beside_it(
    visitor: Visitor, path: str, label: str, button: str
) -> None:
    visitor.sign_up()
    page = visitor.go(path)
    field = page.get_by_label(label)
    field.evaluate("field => field.removeAttribute('maxlength')")
    field.fill(worst_name(LONGEST))
    page.get_by_role("button", name=button).first.click()
    field = page.get_by_label(label)
    expect(field).to_have_accessible_description(re.compile(r"at most \d+ characters"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_worst_names_are_text_and_scroll_nothing_sideways(visitor: Visitor) -> None:
    visitor.sign_up()
    page = visitor.page
    names = {}
    for path, label, button in [
        ("/settings/profile", "Name", "Save"),
        ("/settings/team", "Team name", "Save name"),
        ("/keys/new", "Name", "Create key"),
    ]:
        page = visitor.go(path)
        field = page.get_by_label(label)
        field.fill(worst_name(int(field.get_attribute("maxlength") or LONGEST)))
        names[path] = field.input_value()  # the browser counts an emoji as two
        with page.expect_navigation():
            page.get_by_role("button", name=button).first.click()
    page.set_viewport_size({"width": 390, "height": 844})
    key = page.url.removeprefix(visitor.site)
    shown = {"/keys": "/keys/new", key: "/keys/new",
             "/settings/team": "/settings/team", "/settings/profile": "/settings/profile"}  # fmt: skip
    for path in [
        *shown,
        f"{key}/edit",
        f"{key}/rotate",
        f"{key}/delete",
        "/dashboard",
        "/usage",
        "/billing",
        "/connect",
    ]:
        page = visitor.go(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
        if path in shown:
            text = page.locator("body").evaluate(
                "body => body.textContent + [...document.querySelectorAll('input')].map(i => i.value)"
            )
            assert names[shown[path]] in text, path
        assert page.locator("img[src=x], b:text-is('bold')").count() == 0
