"""What is shown where there is nothing to show."""

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.accounts.people import person


def test_unknown_pages_are_404_in_our_looks() -> None:
    for browser in (Client(), person().browser):
        page = browser.get("/no-such-page")
        assert page.status_code == 404
        assert "There is no such page" in page.content.decode()


def test_the_page_for_our_own_failures_needs_neither_request_nor_database() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert "Something broke on our side" in render_to_string("500.html")
    assert len(queries) == 0


@pytest.mark.parametrize("path", ["/api/v1/credits", "/v1/credits"])
def test_a_session_is_no_key(path: str) -> None:
    assert person().browser.get(path).status_code == 401
