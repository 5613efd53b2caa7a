"""What people set about themselves, what we hold about them, and how they go."""

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.test import Client

from accounts import keys
from accounts.models import Account, AuditEvent, Membership, User
from tests.accounts.people import PASSWORD, Person, key_for, person
from tests.accounts.test_teams import joins

PAGES = ["profile", "security", "team", "notifications", "privacy", "appearance"]
Role = Membership.Role


def log_in(someone: Person, user_agent: str = "A browser") -> Client:
    browser = Client(headers={"user-agent": user_agent})
    browser.post("/accounts/login", {"login": someone.user.email, "password": PASSWORD})
    return browser


@pytest.mark.parametrize("name", PAGES)
def test_every_page_answers_with_and_without_slash_in_few_queries(
    name: str,
    django_assert_max_num_queries,  # type: ignore[no-untyped-def]
) -> None:
    someone = person()
    for _ in range(5):
        joins(person(), someone.account, Role.VIEWER)
        log_in(someone)
    someone.browser.get(f"/settings/{name}/")
    with django_assert_max_num_queries(12):
        page = someone.browser.get(f"/settings/{name}")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert "style=" not in page.content.decode()
    assert Client().get(f"/settings/{name}").headers["Location"] == f"/accounts/login?next=/settings/{name}"


def test_the_profile_keeps_name_and_zone_and_refuses_an_invented_zone() -> None:
    someone = person()
    name = '<script>alert("x")</script> مرحبا 🚀'
    someone.browser.post("/settings/profile", {"name": name, "time_zone": "Europe/Oslo"})
    someone.user.refresh_from_db()
    assert (someone.user.name, someone.user.time_zone) == (name, "Europe/Oslo")
    page = someone.browser.post("/settings/profile", {"name": name, "time_zone": "Europe/Atlantis"}).content.decode()
    assert 'id="id_time_zone_error"' in page and "There is no such zone" in page
    assert 'value="Europe/Atlantis"' in page
    assert "<script>alert" not in page
    someone.user.refresh_from_db()
    assert someone.user.time_zone == "Europe/Oslo"


def test_appearance_is_kept() -> None:
    someone = person()
    someone.browser.post("/settings/appearance", {"theme": "dark"})
    someone.user.refresh_from_db()
    assert (someone.user.theme, someone.user.uses_shortcuts) == ("dark", False)
    assert 'value="dark" id="id_theme_2" checked' in someone.browser.get("/settings/appearance").content.decode()


def test_the_threshold_and_ones_mails_are_two_forms() -> None:
    someone = person()
    someone.browser.post("/settings/notifications", {"threshold": "1", "low_balance_nanos": "2.50"})
    someone.browser.post("/settings/notifications", {"notifies_keys": "on"})
    member = Membership.objects.select_related("account").get(user=someone.user)
    assert (member.notifies_balance, member.notifies_keys) == (False, True)
    assert member.account.low_balance_nanos == 2_500_000_000
    page = someone.browser.post("/settings/notifications", {"threshold": "1", "low_balance_nanos": "a lot"})
    assert 'id="id_low_balance_nanos_error"' in page.content.decode()
    someone.browser.post("/settings/notifications", {"threshold": "1", "low_balance_nanos": ""})
    member.account.refresh_from_db()
    assert member.account.low_balance_nanos is None


def test_history_is_switched_off_for_the_team() -> None:
    someone = person()
    someone.browser.post("/settings/privacy/history", {})
    someone.account.refresh_from_db()
    assert someone.account.keeps_history is False
    assert AuditEvent.objects.filter(account=someone.account, action="history.changed").exists()


# ---------------------------------------------------------------- sessions
def test_a_revoked_session_is_logged_out_at_once_and_only_it() -> None:
    someone = person()
    here, there = log_in(someone, "Here"), log_in(someone, "There")
    page = here.get("/settings/security").content.decode()
    assert "Here" in page and "There" in page
    row = UserSession.objects.get(user=someone.user, user_agent="There")
    here.post(f"/settings/security/sessions/{row.pk}/end")
    assert there.get("/settings/security").status_code == 302
    assert here.get("/settings/security").status_code == 200
    assert someone.browser.get("/settings/security").status_code == 200


def test_all_other_sessions_end_together() -> None:
    someone = person()
    here, there = log_in(someone), log_in(someone)
    here.post("/settings/security/sessions/end-others")
    assert there.get("/settings/security").status_code == 302
    assert here.get("/settings/security").status_code == 200


def test_another_persons_session_looks_like_an_invented_one() -> None:
    victim, someone = person(), person()
    browser = log_in(victim)
    row = UserSession.objects.get(user=victim.user)
    for session_id in (row.pk, 999999999):
        assert someone.browser.post(f"/settings/security/sessions/{session_id}/end").status_code == 404
    assert browser.get("/settings/security").status_code == 200


# ---------------------------------------------------------------- what we hold, and going
def test_the_export_holds_the_person_and_no_secret() -> None:
    someone = person()
    issued = key_for(someone)
    log_in(someone, "Firefox on a boat")
    response = someone.browser.get("/settings/privacy/export")
    assert response.headers["Content-Disposition"].startswith("attachment")
    data = response.json()
    assert data["person"]["email"] == someone.user.email
    assert [key["id"] for key in data["keys_made"]] == [issued.row.key_id]
    assert "Firefox on a boat" in {session["user_agent"] for session in data["sessions"]}
    assert data["actions"][0]["action"] == "key.created"
    text = response.content.decode()
    assert issued.secret not in text
    assert someone.user.password not in text


def test_deleting_takes_the_password() -> None:
    someone = person()
    page = someone.browser.post("/settings/privacy/delete", {"password": "not this"}).content.decode()
    assert 'id="id_password_error"' in page
    assert User.objects.get(pk=someone.user.pk).is_active


def test_the_owner_of_a_team_with_others_cannot_go() -> None:
    someone = person()
    joins(person(), someone.account, Role.OWNER)
    page = someone.browser.post("/settings/privacy/delete", {"password": PASSWORD}).content.decode()
    assert "has other members" in page
    assert User.objects.get(pk=someone.user.pk).is_active


def test_who_is_deleted_is_forgotten_their_keys_are_dead_and_the_books_stay() -> None:
    someone, host = person(starter_credit_nanos=5), person()
    email, own = someone.user.email, key_for(someone)
    elsewhere = log_in(someone)
    joins(someone, host.account, Role.DEVELOPER)
    lent = key_for(Person(someone.user, host.account, someone.browser))

    assert someone.browser.post("/settings/privacy/delete", {"password": PASSWORD}).headers["Location"] == "/"
    assert keys.find(own.secret) is None
    assert keys.find(lent.secret) is not None  # it is the other team's
    assert not User.objects.filter(email=email).exists()
    assert not EmailAddress.objects.filter(email=email).exists()
    assert not Membership.objects.filter(user=someone.user).exists()
    gone = User.objects.get(pk=someone.user.pk)
    assert (gone.is_active, gone.name, gone.has_usable_password()) == (False, "", False)
    assert elsewhere.get("/settings/profile").status_code == 302
    assert "is wrong" in Client().post("/accounts/login", {"login": email, "password": PASSWORD}).content.decode()
    assert Account.objects.filter(pk=someone.account.pk).exists()
    events = AuditEvent.objects.filter(account=someone.account).values_list("action", flat=True)
    assert {"key.revoked", "team.closed"} <= set(events)


# ---------------------------------------------------------------- a session that ended
def test_what_was_typed_after_the_session_ended_is_offered_again_and_sent_on_request() -> None:
    someone, browser = person(), Client()
    fields = {"name": "Typed <b>at length</b>", "team": someone.account.slug}
    response = browser.post("/settings/team/name", fields, headers={"referer": "http://testserver/settings/team"})
    assert response.headers["Location"] == "/accounts/login?next=/accounts/unsent"
    response = browser.post(
        "/accounts/login", {"login": someone.user.email, "password": PASSWORD, "next": "/accounts/unsent"}
    )
    assert response.headers["Location"] == "/accounts/unsent"
    page = browser.get("/accounts/unsent").content.decode()
    assert "Typed &lt;b&gt;at length&lt;/b&gt;" in page
    assert 'action="/settings/team/name"' in page and 'href="/settings/team"' in page
    someone.account.refresh_from_db()
    assert someone.account.name != fields["name"]  # nothing is sent by itself
    browser.post("/settings/team/name", fields)
    someone.account.refresh_from_db()
    assert someone.account.name == fields["name"]


def test_a_password_is_not_kept_for_later() -> None:
    someone, browser = person(), Client()
    browser.post("/settings/privacy/delete", {"password": PASSWORD, "note": "kept"})
    session = browser.session
    assert PASSWORD not in str(dict(session))
    assert "kept" in str(dict(session))
    assert User.objects.get(pk=someone.user.pk).is_active


@pytest.mark.parametrize("referrer", ["https://evil.example/x", "http://testserver//evil.example/x", ""])
def test_the_way_back_to_the_form_stays_on_this_site(referrer: str) -> None:
    browser = Client()
    response = browser.post("/settings/team/name", {}, headers={"referer": referrer})
    assert response.headers["Location"] == "/accounts/login?next=/settings/team/name"
