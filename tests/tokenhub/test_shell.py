"""The frame of every page: where it leads, what it says about money, whose zone and theme it has."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from accounts.models import Account, Membership, User
from accounts.onboarding import open_account
from accounts.powers import POWERS, Power
from tests.accounts.people import Person, key_for, person
from tokenhub.urls import handler500, urlpatterns  # noqa: F401 - this module is a site of its own below

CENT = 10_000_000  # nano-USD
HOSTILE = '<script>alert("عربي")</script> 🦊' + "x" * 80


def a_failing_page(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret detail")


def a_forbidden_page(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Ask an owner.")


urlpatterns = [path("fails", a_failing_page), path("forbidden", a_forbidden_page), *urlpatterns]


@pytest.fixture
def someone() -> Person:
    return person(starter_credit_nanos=500 * CENT)


@pytest.fixture
def second_team(someone: Person) -> Account:
    return open_account(user=someone.user, name="Second team", starter_credit_nanos=0)


def shown(browser: Client, path: str = "/style") -> str:
    response = browser.get(path)
    assert response.status_code == 200
    return response.content.decode()


def top_of(html: str) -> str:
    return html[html.index('<header class="top">') : html.index("</header>")]


def nav_of(html: str) -> str:
    return html[html.index('aria-label="Main">') : html.index("</nav>")]


def member(account: Account, role: str) -> Client:
    """A browser signed in as another member, who has no other team."""
    user = User.objects.create_user(f"{role}-{account.slug}@example.test", "a sentence works well")
    Membership.objects.create(account=account, user=user, role=role)
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


# ---------------------------------------------------------------- where it leads


def test_every_link_of_the_frame_leads_to_a_page(someone: Person) -> None:
    html = shown(someone.browser)
    hrefs = set(re.findall(r'href="(/[^"#?]*)"', top_of(html) + nav_of(html))) - {"/"}
    assert "/keys" in hrefs
    for href in hrefs:
        assert someone.browser.get(href).status_code == 200, href


def test_the_present_section_is_marked(someone: Person) -> None:
    assert re.search(r'href="/keys" aria-current="page"', nav_of(shown(someone.browser, "/keys/new")))
    assert 'aria-current="page"' not in nav_of(shown(someone.browser))


@pytest.mark.parametrize("role", list(Membership.Role))
def test_money_is_shown_to_those_who_may_see_it(someone: Person, role: str) -> None:
    html = shown(member(someone.account, role))
    may = Power.SEE_BILLING in POWERS[role]
    assert ("$5.00" in top_of(html)) is may
    assert ('href="/billing"' in nav_of(html)) is may


def test_the_frame_costs_few_queries(someone: Person, second_team: Account) -> None:
    with CaptureQueriesContext(connection) as queries:
        shown(someone.browser)
    assert len(queries) <= 5, [query["sql"] for query in queries]  # session, user, membership, wallet, teams


# ---------------------------------------------------------------- money


def test_the_chip_says_what_can_be_spent(someone: Person) -> None:
    assert 'aria-label="Available $5.00, go to billing"' in top_of(shown(someone.browser))


def test_the_chip_is_amber_below_the_teams_own_level(someone: Person) -> None:
    for level_cents, is_low in ((501, True), (500, False), (None, False)):
        Account.objects.filter(pk=someone.account.pk).update(low_balance_nanos=level_cents and level_cents * CENT)
        assert ("chip--warn" in top_of(shown(someone.browser))) is is_low, level_cents


def test_without_credit_every_page_says_what_is_blocked_and_still_opens() -> None:
    someone = person(starter_credit_nanos=0)
    for page in ("/keys", "/billing", "/models"):
        html = shown(someone.browser, page)
        assert "chip--bad" in top_of(html)
        assert "refused with 402 until credit is added" in html


def test_without_credit_only_those_who_can_pay_are_asked_to() -> None:
    broke = person(starter_credit_nanos=0)
    assert "Add credit</a>" in shown(broke.browser, "/keys")
    html = shown(member(broke.account, Membership.Role.DEVELOPER), "/keys")
    assert "refused with 402" in html and "Add credit</a>" not in html


def test_a_frozen_account_is_told_so(someone: Person, owner_db: psycopg.Connection) -> None:
    owner_db.execute("UPDATE ledger_account SET frozen = true WHERE customer_id = %s", [someone.account.pk])
    assert "This account is frozen." in shown(someone.browser, "/keys")


# ---------------------------------------------------------------- teams


def test_one_team_needs_no_switcher(someone: Person) -> None:
    assert "?team=" not in shown(someone.browser, "/keys")


def test_the_switcher_leads_to_the_same_section_of_the_other_team(someone: Person, second_team: Account) -> None:
    key = key_for(someone).row
    html = shown(someone.browser, f"/keys/{key.key_id}")
    assert f'href="/keys?team={second_team.slug}"' in html
    assert "Second team, switch" in top_of(shown(someone.browser, f"/keys?team={second_team.slug}"))
    assert "Second team, switch" in top_of(shown(someone.browser, "/keys"))  # remembered


def test_another_peoples_team_is_a_page_that_does_not_exist(someone: Person) -> None:
    stranger = person()
    response = someone.browser.get(f"/keys?team={stranger.account.slug}")
    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_a_form_of_another_team_is_refused_with_a_way_back(someone: Person, second_team: Account) -> None:
    response = someone.browser.post("/theme", {"theme": "dark", "team": second_team.slug})
    html = response.content.decode()
    assert response.status_code == 409
    assert "Nothing was changed" in html and f'href="?team={second_team.slug}"' in html


def test_names_are_text_whatever_they_hold(someone: Person, second_team: Account) -> None:
    Account.objects.filter(pk=someone.account.pk).update(name=HOSTILE)
    html = shown(someone.browser, f"/keys?team={someone.account.slug}")
    assert "<script>alert" not in html and HOSTILE in unescape(html)


# ---------------------------------------------------------------- the person's own


@pytest.mark.parametrize(("zone", "shows"), [("Asia/Tokyo", "Asia/Tokyo"), ("", "UTC"), ("Mars/Olympus", "UTC")])
def test_times_are_in_the_persons_zone(someone: Person, zone: str, shows: str) -> None:
    User.objects.filter(pk=someone.user.pk).update(time_zone=zone)
    assert f"<span>{shows}</span>" in shown(someone.browser)


def test_one_persons_zone_does_not_stay_for_the_next(someone: Person) -> None:
    User.objects.filter(pk=someone.user.pk).update(time_zone="Asia/Tokyo")
    shown(someone.browser)
    assert "<span>UTC</span>" in shown(person().browser)


def test_the_theme_is_saved_and_there_before_anything_is_painted(someone: Person) -> None:
    assert '<html lang="en" data-theme="">' in shown(someone.browser)
    response = someone.browser.post("/theme", {"theme": "dark", "next": "/keys?all=1"})
    assert (response.status_code, response["Location"]) == (302, "/keys?all=1")
    assert '<html lang="en" data-theme="dark">' in shown(someone.browser)
    assert someone.browser.post("/theme", {"theme": "light", "stays": "1"}).status_code == 204
    assert 'data-theme="light"' in shown(someone.browser)


def test_a_theme_that_does_not_exist_changes_nothing_and_the_way_back_stays_here(someone: Person) -> None:
    response = someone.browser.post("/theme", {"theme": "purple", "next": "https://elsewhere.example/"})
    assert response["Location"] == "/"
    assert User.objects.get(pk=someone.user.pk).theme == ""


def test_a_strangers_page_leaves_the_theme_to_their_browser() -> None:
    assert '<html lang="en">' in shown(Client(), "/")


# ---------------------------------------------------------------- the palette


def palette(browser: Client) -> list[dict[str, str]]:
    items: list[dict[str, str]] = browser.get("/palette").json()["items"]
    return items


def test_the_palette_finds_pages_models_keys_and_actions(someone: Person) -> None:
    issued = key_for(someone, "Nightly evals")
    items = palette(someone.browser)
    by_label = {item["label"]: item for item in items}
    assert by_label["Keys"]["url"] == "/keys"
    assert by_label["Nightly evals"]["detail"] == issued.row.masked
    assert by_label["Create key"]["url"] == "/keys/new"
    assert by_label["Switch theme"]["action"] == "theme"
    assert "openai/gpt-6-luna" in {item["detail"] for item in items}
    assert issued.secret not in str(items)
    for url in {item["url"] for item in items if item.get("url") and item["kind"] != "Model"}:
        assert someone.browser.get(url).status_code == 200, url


def test_the_palette_holds_no_key_that_the_person_may_not_see(someone: Person) -> None:
    key_for(someone, "Of the owner")
    stranger = person()
    developer = member(someone.account, Membership.Role.DEVELOPER)
    for browser in (stranger.browser, developer):
        labels = {item["label"] for item in palette(browser)}
        assert "Of the owner" not in labels
    assert "Add credit" not in {item["label"] for item in palette(developer)}


def test_strangers_are_sent_to_log_in() -> None:
    assert Client().get("/palette")["Location"].startswith("/accounts/login")


# ---------------------------------------------------------------- when things go wrong


@pytest.fixture
def broken_site() -> Iterator[Client]:
    """This site with two pages more, which fail."""
    with override_settings(ROOT_URLCONF=__name__):
        browser = Client(raise_request_exception=False)
        yield browser


def test_a_broken_page_gives_an_id_and_no_detail(broken_site: Client) -> None:
    response = broken_site.get("/fails")
    html = response.content.decode()
    assert response.status_code == 500
    assert re.search(r"err-[0-9a-f]{12}", html) and "a secret detail" not in html


def test_a_forbidden_page_says_whom_to_ask(broken_site: Client) -> None:
    response = broken_site.get("/forbidden")
    assert response.status_code == 403
    assert "Ask an owner." in response.content.decode()


def test_a_missing_page_offers_a_search(someone: Person) -> None:
    for browser in (Client(), someone.browser):
        response = browser.get("/no-such-page")
        assert response.status_code == 404
        assert 'role="search" action="/models"' in response.content.decode()


# ---------------------------------------------------------------- the style page


def test_the_style_page_shows_every_component() -> None:
    templates = Path(settings.BASE_DIR, "templates")
    seen = set(re.findall(r'include "(components/\w+\.html)"', (templates / "style.html").read_text()))
    todo = [templates / "base.html", templates / "public.html", *(templates / name for name in seen)]
    while todo:
        found = set(re.findall(r'include "(components/\w+\.html)"', todo.pop().read_text())) - seen
        seen |= found
        todo += [templates / name for name in found]
    assert seen == {f"components/{file.name}" for file in (templates / "components").glob("*.html")}


def test_the_style_page_is_for_those_who_build(someone: Person) -> None:
    with override_settings(DEV=False):
        assert someone.browser.get("/style").status_code == 403
        User.objects.filter(pk=someone.user.pk).update(is_staff=True)
        assert someone.browser.get("/style").status_code == 200


# ---------------------------------------------------------------- the landing page


def test_the_landing_page_has_a_request_to_paste_prices_and_the_makers() -> None:
    html = unescape(re.sub(r"<[^>]+>", "", shown(Client(), "/")))
    assert f'curl {settings.PUBLIC_URL}/api/v1/chat/completions -H "Authorization: Bearer $TOKENHUB_API_KEY"' in html
    rows = re.findall(r"<tr>\s*<td data-m=\"1\"><a class=\"cell\" href=\"(/models/[^\"]+)\"", shown(Client(), "/"))
    assert len(rows) == 6
    for href in [*rows, "/models/openai"]:
        assert Client().get(href).status_code == 200


def test_no_page_holds_inline_script_or_style(someone: Person) -> None:
    for browser, page in ((Client(), "/"), (someone.browser, "/style"), (someone.browser, "/keys")):
        html = shown(browser, page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", html), page
