"""Signing up, in and out."""

import threading
import uuid

import pytest
from django.core import mail
from django.db import connections
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import checks
from accounts.models import Account, Membership, User
from billing import ledger
from tests.accounts.people import PASSWORD, new_email, person
from tokenhub.money import usd_to_nanos

ENTRANCES = ["/accounts/signup", "/accounts/login", "/accounts/logout", "/accounts/password/reset"]


def sign_up(browser: Client, email: str, password: str = PASSWORD, **extra: str):  # type: ignore[no-untyped-def]
    return browser.post("/accounts/signup", {"email": email, "password1": password, **extra})


def log_in(browser: Client, email: str, password: str, **extra: str):  # type: ignore[no-untyped-def]
    return browser.post("/accounts/login", {"login": email, "password": password, **extra})


@pytest.mark.parametrize("path", [*ENTRANCES, "/"])
def test_a_stranger_reaches_the_entrances_with_and_without_slash(path: str) -> None:
    for address in {path, f"{path.rstrip('/')}/"}:
        expected = 302 if "logout" in path else 200
        assert Client().get(address).status_code == expected


def test_sign_up_makes_user_account_and_starter_credit_and_leads_to_the_welcome() -> None:
    browser, email = Client(), new_email()
    response = sign_up(browser, email.upper())
    assert (response.status_code, response.headers["Location"]) == (302, "/welcome")
    user = User.objects.get(email=email)
    account = Account.objects.get(members=user)
    assert ledger.wallet(account.pk).posted_nanos == usd_to_nanos("1.00")
    assert "No keys yet" in browser.get("/keys").content.decode()
    assert user.password.startswith("argon2")


@pytest.mark.parametrize(
    ("password", "says"),
    [("short", "at least 12 characters"), ("telechargement", "too common"), ("", "required")],
)
def test_a_refused_password_says_why_under_the_field_and_nothing_is_made(password: str, says: str) -> None:
    email = new_email()
    page = sign_up(Client(), email, password).content.decode()
    assert says in page
    assert 'aria-invalid="true"' in page
    assert 'aria-describedby="id_password1_helptext id_password1_error"' in page
    assert 'id="id_password1_error"' in page
    assert f'value="{email}"' in page
    assert not User.objects.filter(email=email).exists()


def test_a_used_address_is_refused_beside_the_field() -> None:
    email = person().user.email
    page = sign_up(Client(), email).content.decode()
    assert "already has an account" in page
    assert 'id="id_email_error"' in page
    assert User.objects.filter(email=email).count() == 1


def test_two_sign_ups_at_once_make_one_account() -> None:
    email, start, statuses = new_email(), threading.Barrier(2), []

    def one() -> None:
        browser = Client()
        start.wait()
        statuses.append(sign_up(browser, email).status_code)
        connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 302]
    assert Membership.objects.filter(user__email=email).count() == 1


def test_an_unknown_address_and_a_wrong_password_are_answered_alike() -> None:
    email, unknown = person().user.email, new_email()
    pages = []
    for address in (email, unknown):
        response = log_in(Client(), address, "not the password")
        body = response.content.decode().replace(address, "ADDRESS")
        token = response.context["csrf_token"]
        pages.append((response.status_code, body.replace(str(token), "TOKEN")))
    assert pages[0] == pages[1]
    assert "is wrong" in pages[0][1]


def test_log_in_then_out() -> None:
    someone, browser = person(), Client()
    response = log_in(browser, someone.user.email, PASSWORD)
    assert response.headers["Location"] == "/dashboard"
    assert browser.get("/keys").status_code == 200
    assert browser.get("/accounts/logout").status_code == 200  # GET only asks
    assert browser.get("/keys").status_code == 200
    assert browser.post("/accounts/logout").headers["Location"] == "/"
    assert browser.get("/keys").status_code == 302


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "http:///evil.example",
        "http://localhost/",
        "javascript:alert(1)",
    ],
)
def test_next_never_leads_off_this_site(target: str) -> None:
    someone = person()
    assert log_in(Client(), someone.user.email, PASSWORD, next=target).headers["Location"] == "/dashboard"
    assert sign_up(Client(), new_email(), next=target).headers["Location"] == "/welcome"
    assert someone.browser.get("/accounts/login", {"next": target}).headers["Location"] == "/dashboard"


def test_next_leads_back_to_the_page_that_was_asked_for() -> None:
    someone, browser = person(), Client()
    asked = browser.get("/billing?before=x")
    assert asked.headers["Location"] == "/accounts/login?next=/billing%3Fbefore%3Dx"
    assert log_in(browser, someone.user.email, PASSWORD, next="/billing").headers["Location"] == "/billing"


def test_forms_without_their_token_change_nothing() -> None:
    browser, email = Client(enforce_csrf_checks=True), new_email()
    response = sign_up(browser, email)
    assert response.status_code == 403
    assert "This form has expired" in response.content.decode()
    assert not User.objects.filter(email=email).exists()


def test_a_password_reset_answers_alike_and_its_link_names_the_public_address() -> None:
    someone = person()
    known = Client().post("/accounts/password/reset", {"email": someone.user.email})
    unknown = Client().post("/accounts/password/reset", {"email": new_email()})
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])
    letter = next(m for m in mail.outbox if m.to == [someone.user.email])
    link = next(word for word in letter.body.split() if "/password/reset/key/" in word)
    assert link.startswith("http://localhost:8000/accounts/password/reset/key/")
    assert "testserver" not in letter.body

    browser, path = Client(), link.removeprefix("http://localhost:8000")
    form = browser.get(path, follow=True)
    assert form.status_code == 200
    changed = browser.post(
        form.request["PATH_INFO"], {"password1": "another fine sentence", "password2": "another fine sentence"}
    )
    assert changed.status_code == 302
    assert log_in(Client(), someone.user.email, PASSWORD).status_code == 200
    assert log_in(Client(), someone.user.email, "another fine sentence").status_code == 302


@pytest.mark.parametrize("path", ["/accounts/email", "/accounts/password/change", "/accounts/reauthenticate", "/accounts/inactive",
                                  "/accounts/confirm-email", "/accounts/confirm-email/nonsense", "/accounts/password/reset/done",
                                  "/accounts/password/reset/key/done", "/accounts/password/reset/key/1-set-password"])  # fmt: skip
def test_every_page_around_the_account_is_in_our_frame(path: str) -> None:
    page = person().browser.get(path, follow=True)
    assert page.status_code == 200
    assert "css/components.css" in page.content.decode()
    assert "style=" not in page.content.decode()


def test_a_mail_server_that_is_away_loses_no_sign_up(settings: Settings) -> None:
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": 1},
        }
    }
    browser, email = Client(), new_email()
    assert sign_up(browser, email).headers["Location"] == "/welcome"
    assert browser.get("/keys").status_code == 200


def test_a_robot_that_fills_the_hidden_field_gets_no_account() -> None:
    email = new_email()
    response = sign_up(Client(), email, website="https://spam.example")
    assert response.headers["Location"] == "/accounts/confirm-email"  # it is not told
    assert not User.objects.filter(email=email).exists()


@pytest.mark.parametrize(
    ("action", "path", "fields"),
    [
        ("signup", "/accounts/signup", {"email": "nobody", "password1": "short"}),
        ("login", "/accounts/login", {"login": "nobody@example.test", "password": "wrong"}),
        ("reset_password", "/accounts/password/reset", {"email": "nobody@example.test"}),
    ],
)
def test_too_many_attempts_are_answered_429_with_the_time_to_wait(
    settings: Settings, action: str, path: str, fields: dict[str, str]
) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {action: "2/7m/ip"}
    browser = Client(REMOTE_ADDR=f"2001:db8:{uuid.uuid4().hex[:4]}::1")
    statuses = [browser.post(path, fields).status_code for _ in range(2)]
    refused = browser.post(path, fields)
    assert 429 not in statuses
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "420")
    assert "Too many requests" in refused.content.decode()


def test_guessing_a_password_is_stopped_with_429_beside_the_form(settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"login_failed": "2/5m/key"}
    someone, browser = person(), Client()
    for _ in range(2):
        log_in(browser, someone.user.email, "a guess")
    refused = log_in(browser, someone.user.email, PASSWORD)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
    assert "Too many attempts" in refused.content.decode()
    assert f'value="{someone.user.email}"' in refused.content.decode()


def test_asking_for_codes_without_end_is_stopped_with_429_beside_the_field(settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"request_login_code": "2/5m/key"}
    email = new_email()
    answers = [Client().post("/accounts/login/code", {"email": email}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [302, 302, 429]
    assert answers[2].headers["Retry-After"] == "300"
    assert 'id="id_email_error"' in answers[2].content.decode()


def test_limits_count_the_client_and_believe_no_header_of_strangers(settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"signup": "1/h/ip"}
    address = f"2001:db8:{uuid.uuid4().hex[:4]}::1"
    fields = {"email": "nobody", "password1": "short"}
    answers = [
        Client(REMOTE_ADDR=address, headers={"x-forwarded-for": f"192.0.2.{n}"}).post("/accounts/signup", fields)
        for n in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_a_limit_that_nobody_can_read_refuses_to_start(settings: Settings) -> None:
    assert checks.rate_limits(None) == []
    settings.ACCOUNT_RATE_LIMITS = {"login": "many"}
    (error,) = checks.rate_limits(None)
    assert "TOKENHUB_RATE_LOGIN" in error.msg


def test_without_credentials_of_other_sites_there_is_no_button_and_no_address() -> None:
    assert "Continue with" not in Client().get("/accounts/login").content.decode()
    assert Client().post("/accounts/github/login").status_code == 404
