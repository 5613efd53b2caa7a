"""Mails: each as text and HTML, with our own addresses as the only links; and those that people ask for."""

from email import message_from_bytes, policy
from pathlib import Path

import pytest
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import keys, letters, mailbox
from accounts.models import Membership
from tests.accounts.people import PASSWORD, key_for, new_email, person

SITE = "http://localhost:8000"


def letters_to(address: str) -> list[mail.EmailMultiAlternatives]:
    return [letter for letter in mail.outbox if letter.to == [address]]  # type: ignore[misc]


def html_of(letter: mail.EmailMultiAlternatives) -> str:
    (alternative,) = letter.alternatives
    assert alternative.mimetype == "text/html"
    return str(alternative.content)


def test_signing_up_mails_a_link_that_confirms_the_address() -> None:
    email, browser = new_email(), Client()
    browser.post("/accounts/signup", {"email": email, "password1": PASSWORD})
    (letter,) = letters_to(email)
    assert letter.subject == "TokenHub: Confirm your e-mail address"
    link = next(word for word in letter.body.split() if "/confirm-email/" in word)
    assert f'<a href="{link}"' in html_of(letter)
    path = link.removeprefix(SITE)
    assert "Yes, confirm it" in browser.get(path).content.decode()
    browser.post(path)
    assert "Confirmed" in browser.get("/settings/profile").content.decode()


def test_a_mailed_code_logs_in_and_an_unknown_address_is_answered_alike() -> None:
    someone, stranger = person(), Client()
    pages = []
    for email in (someone.user.email, new_email()):
        browser = Client()
        asked = browser.post("/accounts/login/code", {"email": email})
        page = browser.get(asked.headers["Location"]).content.decode()
        pages.append(page.replace(email, "ADDRESS").partition("csrfmiddlewaretoken")[0])
    assert pages[0] == pages[1]
    stranger.post("/accounts/login/code", {"email": someone.user.email, "next": "/billing"})
    code = letters_to(someone.user.email)[-1].body.split("\n\n")[1]
    page = stranger.post("/accounts/login/code/confirm", {"code": "WRONG"}).content.decode()
    assert 'id="id_code_error"' in page
    assert stranger.post("/accounts/login/code/confirm", {"code": code}).status_code == 302
    assert stranger.get("/settings/profile").status_code == 200


@pytest.mark.parametrize(
    "name", ["https://evil.example/win", "<img src=https://evil.example/x>", "Tom & Jerry\r\nBcc: all@example.test"]
)
def test_names_in_letters_are_neither_links_nor_markup_nor_headers(name: str) -> None:
    context = {"team": name, "inviter": "a@example.test", "role": "Viewer", "link": f"{SITE}/invite/abc"}
    letter = letters.compose("emails/invitation", new_email(), context)
    html = html_of(letter)
    assert "\n" not in letter.subject
    assert 'href="https://evil' not in html and "<img" not in html
    assert f'<a href="{SITE}/invite/abc"' in html
    assert "Tom &amp; Jerry" in html or "Tom" not in name
    assert letter.message()["Bcc"] is None


def test_letters_fetch_nothing() -> None:
    context = {"team": "x", "inviter": "a@example.test", "role": "Viewer", "link": f"{SITE}/invite/abc"}
    html = html_of(letters.compose("emails/invitation", new_email(), context))
    assert "src=" not in html and "<link" not in html and "url(" not in html


def test_in_development_a_letter_is_printed_and_kept_as_a_file(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.DATA_DIR = tmp_path
    backend = mailbox.ConsoleAndFileBackend()
    letter = letters.compose("account/email/login_code", "someone@example.test", {"code": "ABC-DEF"})
    assert backend.send_messages([letter]) == 1
    (path,) = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    stored = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert stored["To"] == "someone@example.test"
    assert "ABC-DEF" in stored.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "ABC-DEF" in capsys.readouterr().out


def test_a_change_of_keys_is_mailed_to_those_who_asked_and_to_nobody_else() -> None:
    someone, colleague = person(), person()
    Membership.objects.filter(user=someone.user).update(notifies_keys=True)
    Membership.objects.create(account=someone.account, user=colleague.user, role=Membership.Role.ADMIN)
    mail.outbox.clear()
    issued = key_for(someone, name="Laptop & <b>desk</b>")
    keys.revoke(key_id=issued.row.key_id, account=someone.account, actor=someone.user)
    subjects = [letter.subject for letter in letters_to(someone.user.email)]
    assert subjects == [
        "TokenHub: Key “Laptop & <b>desk</b>” was made",
        "TokenHub: Key “Laptop & <b>desk</b>” was revoked",
    ]
    assert letters_to(colleague.user.email) == []
    assert all(issued.secret not in letter.body for letter in mail.outbox)
