"""Logging in with another site's account: only where the environment holds its id and secret."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests import servers

CREDENTIALS = {
    "TOKENHUB_GITHUB_CLIENT_ID": "the-id",
    "TOKENHUB_GITHUB_CLIENT_SECRET": "the-secret",
    "TOKENHUB_GOOGLE_CLIENT_ID": "only-an-id",
}


@pytest.fixture(scope="module")
def site() -> Iterator[httpx.Client]:
    sandbox = servers.start_sandbox()
    web = servers.start_web(sandbox, **CREDENTIALS)
    with httpx.Client(base_url=web.url) as browser:
        yield browser
    web.stop()
    sandbox.stop()


def test_a_button_appears_for_a_site_with_both_id_and_secret_and_for_no_other(site: httpx.Client) -> None:
    for path in ("/accounts/login", "/accounts/signup"):
        page = site.get(path).text
        assert "Continue with GitHub" in page
        assert "Google" not in page
    assert site.get("/accounts/google/login").status_code == 404


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_button_leads_there_and_the_policy_lets_it(site: httpx.Client, slash: str) -> None:
    page = site.get("/accounts/login")
    (token, *_others) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    answer = site.post(f"/accounts/github/login{slash}", data={"csrfmiddlewaretoken": token})
    target = urlsplit(answer.headers["location"])
    assert (target.netloc, parse_qs(target.query)["client_id"]) == ("github.com", ["the-id"])
    assert "the-secret" not in answer.headers["location"]
    assert "form-action 'self' https://github.com;" in page.headers["content-security-policy"]


def test_looking_at_the_address_begins_nothing(site: httpx.Client) -> None:
    answer = site.get("/accounts/github/login")
    assert answer.status_code == 200
    assert "css/components.css" in answer.text


@pytest.mark.parametrize("path", ["login/cancelled", "login/error"])
def test_what_goes_wrong_there_is_said_in_our_frame(site: httpx.Client, path: str) -> None:
    answer = site.get(f"/accounts/3rdparty/{path}")
    assert "css/components.css" in answer.text
    assert "Back to log in" in answer.text
