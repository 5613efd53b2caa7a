"""Entrance, second factors, teams and settings as people meet them: in a real browser, by role and name."""

import os
import re
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor
from tests.browser.fit import assert_fit

pytestmark = pytest.mark.browser

PASSWORD = "a sentence works well"
SETTINGS = ["profile", "security", "team", "team/new", "notifications", "privacy", "privacy/delete", "appearance"]


def letter_to(email: str) -> str:
    """The text of the last mail to that address, from the folder that development keeps mails in."""
    for path in sorted((Path(os.environ["TOKENHUB_DATA_DIR"]) / "mail").iterdir(), reverse=True):
        letter = message_from_bytes(path.read_bytes(), policy=policy.default)
        if letter["To"] == email:
            return str(letter.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    raise AssertionError(f"no mail to {email}")


def code_of(secret: str, steps: int = 0) -> str:
    """What an authenticator app shows, ``steps`` periods of 30 seconds from now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


@pytest.fixture
def colleague(chromium: Browser, site: str) -> Iterator[Visitor]:
    """A second person in a browser of their own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    someone = Visitor(context, site)
    yield someone
    context.close()


def sign_up(visitor: Visitor) -> str:
    """Straight to the settings, past the first run's own page. Returns the e-mail address."""
    email = f"{os.urandom(5).hex()}@example.test"
    page = visitor.go("/accounts/signup?next=/settings/profile")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Profile")).to_be_visible()
    return email


def log_in(visitor: Visitor, email: str) -> None:
    page = visitor.go("/accounts/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def log_out(visitor: Visitor) -> None:
    visitor.go("/accounts/logout").get_by_role("main").get_by_role("button", name="Log out").click()


def invite(visitor: Visitor, role: str) -> str:
    """Returns the path of a new invitation's link."""
    page = visitor.go("/settings/team")
    page.get_by_label("Role", exact=True).select_option(label=role)
    page.get_by_role("button", name="Make invitation").click()
    return "/invite/" + page.locator("#link").inner_text().rpartition("/")[2]


def join(visitor: Visitor, link: str) -> str:
    """Signs up through the link. Returns the e-mail address."""
    page = visitor.go(link)
    page.get_by_role("link", name="Create an account").click()
    email = f"{os.urandom(5).hex()}@example.test"
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Join the team").click()
    expect(page.get_by_text("You are in “")).to_be_visible()
    return email


# ---------------------------------------------------------------- the entrance
def test_a_used_and_a_malformed_address_are_said_beside_the_field(visitor: Visitor) -> None:
    email = sign_up(visitor)
    log_out(visitor)
    for typed, says in ((email, "already has an account"), ("nobody", "valid email address")):
        page = visitor.go("/accounts/signup")
        page.get_by_label("E-mail").fill(typed)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.get_by_label("E-mail")).to_have_accessible_description(re.compile(says))
        expect(page.get_by_label("E-mail")).to_have_value(typed)


def test_a_mailed_code_logs_in_and_leads_where_one_wanted_to_go(visitor: Visitor) -> None:
    email = sign_up(visitor)
    log_out(visitor)
    page = visitor.go("/settings/appearance")
    page.get_by_role("link", name="Mail me a code").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Mail me a code").click()
    assert_fit(page, "the mailed code")
    page.get_by_label("Code").fill(letter_to(email).split("\n\n")[1])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Appearance", exact=True)).to_be_visible()


def test_what_was_typed_survives_the_end_of_the_session(visitor: Visitor) -> None:
    email = sign_up(visitor)
    page = visitor.go("/settings/profile")
    page.get_by_label("Name").fill("Typed before the end")
    visitor.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Typed before the end")).to_be_visible()
    assert_fit(page, "not sent yet")
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_label("Name")).to_have_value("Typed before the end")


# ---------------------------------------------------------------- second factors
def test_an_authenticator_app_is_set_up_and_asked_for(visitor: Visitor) -> None:
    email = sign_up(visitor)
    page = visitor.go("/settings/security")
    page.get_by_role("link", name="Set up").click()
    assert_fit(page, "is it you")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    assert_fit(page, "set up an app")
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert_fit(page, "recovery codes")

    log_out(visitor)
    log_in(visitor, email)
    assert_fit(page, "one more step")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_label("Code").fill(code_of(secret, 1))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)
    assert_fit(visitor.go("/settings/security"), "security with an app")
    for path in ("totp/deactivate", "recovery-codes/generate"):
        page = visitor.go(f"/accounts/2fa/{path}")
        if "reauthenticate" in page.url:
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Confirm").click()
        expect(page).to_have_url(re.compile(f"{path}$"))
        assert_fit(page, path)


def test_a_passkey_is_added_and_logs_in_without_a_password(chromium: Browser, site: str) -> None:
    context = chromium.new_context()
    visitor = Visitor(context, site.replace("127.0.0.1", "localhost"))  # passkeys need a name
    device = context.new_cdp_session(visitor.page)
    device.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options | {"isUserVerified": True}})
    sign_up(visitor)
    page = visitor.go("/settings/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    assert_fit(page, "add a passkey")
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    for verb in ("Rename", "Remove"):
        page = visitor.go("/settings/security")
        page.get_by_role("link", name=f"{verb} Laptop").click()
        assert_fit(page, f"{verb} a passkey")
    log_out(visitor)
    page = visitor.go("/accounts/login?next=/settings/privacy")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Privacy", exact=True)).to_be_visible()
    context.close()
    assert visitor.complaints == []


# ---------------------------------------------------------------- teams
def test_somebody_is_invited_joins_and_is_seen(visitor: Visitor, colleague: Visitor) -> None:
    sign_up(visitor)
    link = invite(visitor, "Developer")
    assert_fit(visitor.page, "invitation made")
    assert_fit(colleague.go(link), "invitation, signed out")
    email = join(colleague, link)
    page = visitor.go("/settings/team")
    expect(page.get_by_label(f"Role of {email}", exact=True)).to_have_value("developer")
    assert_fit(page, "team of two")
    page.get_by_role("link", name=f"Remove {email}").click()
    assert_fit(page, "remove member")
    page.get_by_role("button", name="Remove from team").click()
    expect(page.get_by_text(f"{email} is no longer in the team.")).to_be_visible()


def test_a_form_opened_for_another_team_says_so_and_changes_nothing(visitor: Visitor) -> None:
    sign_up(visitor)
    first_tab = visitor.go("/settings/team")
    name = first_tab.get_by_role("heading", level=1).inner_text()
    second_tab = visitor.context.new_page()
    second_tab.goto(f"{visitor.site}/settings/team/new")
    second_tab.get_by_label("Team name").fill("Second team")
    second_tab.get_by_role("button", name="Make team").click()
    expect(second_tab.get_by_role("heading", level=1)).to_have_text("Second team")
    first_tab.get_by_label("Team name").fill("Changed by mistake")
    first_tab.get_by_role("button", name="Save name").click()
    expect(first_tab.get_by_role("heading", name="This form belongs to another team")).to_be_visible()
    visitor.complaints.clear()  # the console names the 409
    second_tab.reload()
    expect(second_tab.get_by_role("heading", level=1)).to_have_text("Second team")
    assert name != "Changed by mistake"


def test_a_viewer_sees_the_pages_and_may_not_act(visitor: Visitor, colleague: Visitor) -> None:
    sign_up(visitor)
    join(colleague, invite(visitor, "Viewer"))
    page = colleague.page
    for name in SETTINGS:
        answer = page.goto(f"{colleague.site}/settings/{name}")
        assert answer is not None and answer.status == 200
    colleague.go("/settings/team")
    expect(page.get_by_role("button", name="Make invitation")).to_have_count(0)
    assert_fit(page, "team, as a viewer")
    token = page.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    for path in ("team/name", "team/invitations", "privacy/history"):
        answer = colleague.context.request.post(
            f"{colleague.site}/settings/{path}",
            form={"csrfmiddlewaretoken": token, "name": "Mine", "role": "viewer"},
            headers={"origin": colleague.site},
        )
        assert answer.status == 403


# ---------------------------------------------------------------- settings
def test_the_browsers_zone_is_offered_and_saved(visitor: Visitor) -> None:
    sign_up(visitor)
    page = visitor.go("/settings/profile")
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    page.get_by_role("button", name=f"Use {zone}").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Time zone")).to_have_value(zone)
