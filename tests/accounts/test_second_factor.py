"""Authenticator apps, recovery codes, passkeys' pages, and who has to have one."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from tests.accounts.people import PASSWORD, Person, person
from tests.accounts.test_settings_pages import log_in

PERIOD_SECONDS = 30


def code_of(secret: str, steps: int = 0) -> str:
    """``steps`` periods from now; a code works once, and its neighbours are accepted too."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD_SECONDS + steps))


def prove(browser: Client, path: str) -> None:
    """Follows to the page that asks again who one is, and answers it."""
    response = browser.get(path)
    assert response.headers["Location"].startswith("/accounts/reauthenticate?next=")
    assert browser.post(response.headers["Location"], {"password": PASSWORD, "next": path}).status_code == 302


def enrolled(someone: Person) -> tuple[Client, str]:
    """A browser of somebody who has just set up an authenticator app, and the app's secret."""
    browser = log_in(someone)
    prove(browser, "/accounts/2fa/totp/activate")
    page = browser.get("/accounts/2fa/totp/activate").content.decode()
    (secret,) = re.findall(r'<code id="secret">(\w+)</code>', page)
    response = browser.post("/accounts/2fa/totp/activate", {"code": code_of(secret)})
    assert response.headers["Location"] == "/accounts/2fa/recovery-codes"
    return browser, secret


def test_setting_up_an_app_asks_for_the_password_again_and_a_wrong_code_does_nothing() -> None:
    someone = person()
    browser = log_in(someone)
    prove(browser, "/accounts/2fa/totp/activate")
    page = browser.post("/accounts/2fa/totp/activate", {"code": "000000"}).content.decode()
    assert 'id="id_code_error"' in page
    assert not Authenticator.objects.filter(user=someone.user).exists()


def test_with_an_app_the_password_alone_does_not_let_anybody_in() -> None:
    someone = person()
    _browser, secret = enrolled(someone)
    stranger = Client()
    response = stranger.post("/accounts/login", {"login": someone.user.email, "password": PASSWORD})
    assert response.headers["Location"] == "/accounts/2fa/authenticate"
    assert stranger.get("/settings/profile").status_code == 302
    assert 'id="id_code_error"' in stranger.post("/accounts/2fa/authenticate", {"code": "000000"}).content.decode()
    assert stranger.post("/accounts/2fa/authenticate", {"code": code_of(secret, 1)}).status_code == 302
    assert stranger.get("/settings/profile").status_code == 200


def test_a_recovery_code_lets_in_once() -> None:
    someone = person()
    browser, _secret = enrolled(someone)
    page = browser.get("/accounts/2fa/recovery-codes").content.decode()
    code = re.findall(r"<li>(\d{8})</li>", page)[0]
    assert code in browser.get("/accounts/2fa/recovery-codes/download").content.decode()
    answers = []
    for _ in range(2):
        stranger = Client()
        stranger.post("/accounts/login", {"login": someone.user.email, "password": PASSWORD})
        answers.append(stranger.post("/accounts/2fa/authenticate", {"code": code}).status_code)
    assert answers == [302, 200]


def test_secrets_of_second_factors_are_encrypted_at_rest() -> None:
    someone = person()
    _browser, secret = enrolled(someone)
    stored = Authenticator.objects.get(user=someone.user, type="totp")
    assert secret not in str(stored.data)
    assert stored.wrap().validate_code(code_of(secret, 1))


def test_switching_the_app_off_is_mailed() -> None:
    someone = person()
    browser, _secret = enrolled(someone)
    mail.outbox.clear()
    assert browser.post("/accounts/2fa/totp/deactivate").status_code == 302
    assert not Authenticator.objects.filter(user=someone.user, type="totp").exists()
    assert any(letter.to == [someone.user.email] for letter in mail.outbox)


@pytest.mark.parametrize("path", ["/accounts/2fa/totp/activate", "/accounts/2fa/webauthn/add", "/accounts/2fa/recovery-codes",
                                  "/accounts/2fa/recovery-codes/generate", "/accounts/2fa/totp/deactivate", "/accounts/2fa",
                                  "/accounts/2fa/webauthn", "/accounts/2fa/reauthenticate", "/accounts/2fa/webauthn/reauthenticate"])  # fmt: skip
def test_every_page_about_second_factors_is_in_our_frame(path: str) -> None:
    browser, _secret = enrolled(person())
    for address in (path, f"{path}/"):
        page = browser.get(address, follow=True)
        assert page.status_code == 200
        assert "css/components.css" in page.content.decode()
        assert "style=" not in page.content.decode()


def test_an_operator_without_a_second_factor_may_only_set_one_up(settings: Settings) -> None:
    settings.STAFF_NEEDS_SECOND_FACTOR = True
    customer, operator = person(), person()
    operator.user.is_staff = True
    operator.user.save()
    assert customer.browser.get("/billing").status_code == 200
    assert operator.browser.get("/billing").headers["Location"] == "/settings/security"
    assert "Operators need" in operator.browser.get("/settings/security").content.decode()
    browser, _secret = enrolled(operator)
    assert browser.get("/billing").status_code == 200
