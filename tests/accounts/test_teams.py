"""Teams: made, joined, changed and left; never without an owner, and no power beyond the table of powers."""

import re
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connections
from django.db.models import Sum
from django.test import Client

from accounts import invitations, teams
from accounts.access import TEAM
from accounts.models import Account, AuditEvent, Invitation, Membership
from accounts.powers import POWERS, Power
from billing import ledger
from gateway import sample_calls
from gateway.models import CallRecord
from tests.accounts.people import PASSWORD, Person, key_for, new_email, person
from tokenhub.clock import now
from tokenhub.figures import usd

Role = Membership.Role


def joins(someone: Person, account: Account, role: str) -> Membership:
    """A member of another's team, acting for it."""
    session = someone.browser.session
    session[TEAM] = account.slug
    session.save()
    return Membership.objects.create(account=account, user=someone.user, role=role)


def membership(someone: Person, account: Account | None = None) -> Membership:
    return Membership.objects.select_related("account", "user").get(
        user=someone.user, account=account or someone.account
    )


def actions_of(account: Account) -> list[str]:
    return list(AuditEvent.objects.filter(account=account).order_by("id").values_list("action", flat=True))


def token_of(link: str) -> str:
    return link.rpartition("/")[2]


# ---------------------------------------------------------------- the table of powers
#: page or act → the power it takes (None: everybody's); each is tried by each role
MATRIX: dict[tuple[str, str], Power | None] = {
    ("GET", "/settings/profile"): None,
    ("GET", "/settings/security"): None,
    ("GET", "/settings/team"): None,
    ("GET", "/settings/notifications"): None,
    ("GET", "/settings/privacy"): None,
    ("GET", "/settings/appearance"): None,
    ("GET", "/settings/team/leave"): None,
    ("POST", "/settings/notifications"): None,
    ("POST", "/settings/notifications?threshold"): Power.MANAGE_ACCOUNT,
    ("POST", "/settings/privacy/history"): Power.MANAGE_ACCOUNT,
    ("POST", "/settings/team/name"): Power.MANAGE_ACCOUNT,
    ("POST", "/settings/team/invitations"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/invitations/INVITATION/withdraw"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/members/OTHER/role"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/members/OTHER/budget"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/members/OWNER/budget"): Power.OWN,
    ("GET", "/settings/team/members/OTHER/remove"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/members/OTHER/remove"): Power.MANAGE_TEAM,
    ("POST", "/settings/team/members/OWNER/role"): Power.OWN,
    ("POST", "/settings/team/members/OWNER/remove"): Power.OWN,
    ("POST", "/settings/team/invitations?owner"): Power.OWN,
    ("POST", "/settings/team/transfer"): Power.OWN,
}
FIELDS: dict[str, dict[str, str]] = {
    "/settings/notifications?threshold": {"threshold": "1", "low_balance_nanos": "5"},
    "/settings/team/name": {"name": "Renamed"},
    "/settings/team/invitations": {"role": Role.VIEWER},
    "/settings/team/invitations?owner": {"role": Role.OWNER},
    "/settings/team/members/OTHER/role": {"role": Role.BILLING},
    "/settings/team/members/OWNER/role": {"role": Role.ADMIN},
    "/settings/team/members/OTHER/budget": {"budget_nanos": "5"},
    "/settings/team/members/OWNER/budget": {"budget_nanos": "5"},
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("act", "power"), MATRIX.items(), ids=lambda it: " ".join(it) if isinstance(it, tuple) else "")
def test_a_role_may_do_exactly_what_the_table_says(role: str, act: tuple[str, str], power: Power | None) -> None:
    owner, other, someone = person(), person(), person()
    account = owner.account
    other_id = joins(other, account, Role.DEVELOPER).pk
    joins(someone, account, role)
    issued = invitations.issue(actor=membership(owner), role=Role.VIEWER)
    method, path = act
    fields = {"member": str(other_id)} if path.endswith("transfer") else FIELDS.get(path, {})
    address = (
        path.partition("?")[0]
        .replace("OTHER", str(other_id))
        .replace("OWNER", str(membership(owner).pk))
        .replace("INVITATION", str(issued.row.pk))
    )
    response = someone.browser.generic(
        method,
        address,
        "&".join(f"{name}={value}" for name, value in fields.items()),
        content_type="application/x-www-form-urlencoded",
    )
    allowed = power is None or power in POWERS[role]
    if allowed:
        assert response.status_code in (200, 302)
    elif path.endswith("?owner") and Power.MANAGE_TEAM in POWERS[role]:
        assert "is not one of the available choices" in response.content.decode()  # the form does not offer it
        assert not Invitation.objects.filter(account=account, role=Role.OWNER).exists()
    else:
        assert response.status_code == 403


def test_the_page_shows_the_table_of_powers() -> None:
    page = person().browser.get("/settings/team").content.decode()
    for role in Role:
        assert f'<th scope="col">{role.label}</th>' in page
    assert page.count('<span class="sr">yes</span>') == sum(len(powers) for powers in POWERS.values())


# ---------------------------------------------------------------- making and leaving
def test_a_second_team_begins_empty_and_is_switched_to() -> None:
    someone = person(starter_credit_nanos=None)
    assert someone.browser.post("/settings/team/new", {"name": "<b>Zürich</b> 团队 🚀"}).status_code == 302
    account = Account.objects.get(members=someone.user, name="<b>Zürich</b> 团队 🚀")
    assert ledger.wallet(account.pk).posted_nanos == 0
    page = someone.browser.get("/settings/team").content.decode()
    assert "&lt;b&gt;Zürich&lt;/b&gt; 团队 🚀" in page
    assert actions_of(account) == ["team.created"]


def test_a_form_of_one_team_does_nothing_to_another() -> None:
    someone = person()
    someone.browser.post("/settings/team/new", {"name": "Second"})
    response = someone.browser.post("/settings/team/name", {"name": "Changed", "team": someone.account.slug})
    assert response.status_code == 409
    assert set(Account.objects.filter(members=someone.user).values_list("name", flat=True)) == {
        someone.account.name,
        "Second",
    }


def test_the_last_owner_neither_leaves_nor_steps_down() -> None:
    owner, admin = person(), person()
    joins(admin, owner.account, Role.ADMIN)
    me = membership(owner)
    page = owner.browser.post("/settings/team/leave", follow=True).content.decode()
    assert "A team needs an owner" in page
    page = owner.browser.post(f"/settings/team/members/{me.pk}/role", {"role": Role.ADMIN}, follow=True)
    assert "A team needs an owner" in page.content.decode()
    assert membership(owner).role == Role.OWNER


def test_two_owners_who_demote_each_other_leave_one() -> None:
    first, second = person(), person()
    account = first.account
    joins(second, account, Role.OWNER)
    start, outcomes = threading.Barrier(2), []

    def demote(actor: Person, target: Person) -> None:
        me, other = membership(actor, account), membership(target, account)
        start.wait()
        try:
            teams.change_role(actor=me, member_id=other.pk, role=Role.VIEWER)
            outcomes.append("done")
        except Exception as e:
            outcomes.append(type(e).__name__)
        connections.close_all()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PermissionDenied", "done"]
    assert account.memberships.filter(role=Role.OWNER).count() == 1


def test_ownership_is_handed_over() -> None:
    owner, other = person(), person()
    member = joins(other, owner.account, Role.DEVELOPER)
    owner.browser.post("/settings/team/transfer", {"member": member.pk})
    assert membership(other, owner.account).role == Role.OWNER
    assert membership(owner).role == Role.ADMIN
    assert actions_of(owner.account)[-1] == "ownership.transferred"


def test_a_removed_member_loses_access_and_their_key_lives_on() -> None:
    owner, other = person(), person()
    member = joins(other, owner.account, Role.DEVELOPER)
    issued = key_for(Person(other.user, owner.account, other.browser))
    question = owner.browser.get(f"/settings/team/members/{member.pk}/remove").content.decode()
    assert "1 key that they made goes on working" in question
    owner.browser.post(f"/settings/team/members/{member.pk}/remove")
    assert not owner.account.memberships.filter(user=other.user).exists()
    issued.row.refresh_from_db()
    assert issued.row.revoked_at is None
    assert other.browser.get(f"/settings/team?team={owner.account.slug}").status_code == 404
    assert actions_of(owner.account)[-1] == "member.removed"


def test_who_leaves_their_only_team_gets_an_empty_one() -> None:
    owner, other = person(), person()
    joins(other, owner.account, Role.OWNER)
    owner.browser.post("/settings/team/leave")
    mine = Account.objects.get(members=owner.user)
    assert mine != owner.account
    assert ledger.wallet(mine.pk).posted_nanos == 0
    assert owner.browser.get("/settings/team").status_code == 200


def test_another_teams_members_and_invitations_look_like_invented_ones() -> None:
    owner, stranger = person(), person()
    issued = invitations.issue(actor=membership(owner), role=Role.VIEWER)
    member_id = membership(owner).pk
    for path in (
        f"/settings/team/members/{member_id}/remove",
        f"/settings/team/members/{member_id}/role",
        f"/settings/team/invitations/{issued.row.pk}/withdraw",
        f"/settings/team/members/{member_id}/budget",
        "/settings/team/members/999999999/role",
        "/settings/team/members/999999999/budget",
        "/settings/team/invitations/999999999/withdraw",
    ):
        assert stranger.browser.post(path, {"role": Role.VIEWER}).status_code == 404
    assert invitations.find(token_of(issued.link)) is not None


# ---------------------------------------------------------------- budgets
def text_of(someone: Person) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", someone.browser.get("/settings/team").content.decode()).split())


def test_each_member_is_shown_with_what_their_keys_cost_this_month_and_what_is_left_of_the_budget() -> None:
    owner, developer = person(), person()
    account = owner.account
    member = joins(developer, account, Role.DEVELOPER)
    laptop = key_for(Person(developer.user, account, developer.browser), "Laptop")
    sample_calls.make(account=account, user=owner.user, calls=1_000)
    month = now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    calls = CallRecord.objects.filter(account_id=account.pk, created_at__gte=month)
    spent = calls.filter(key_id=laptop.row.pk).aggregate(sum=Sum("cost_nanos", default=0))["sum"]
    others = calls.exclude(key_id=laptop.row.pk).aggregate(sum=Sum("cost_nanos", default=0))["sum"]

    teams.set_budget(actor=membership(owner), member_id=member.pk, budget_nanos=2 * spent + 1)
    assert f"{usd(spent)} of {usd(2 * spent + 1)} in" in text_of(owner)
    assert f"{usd(others)} in" in text_of(owner)
    assert "Over budget" not in text_of(owner)
    teams.set_budget(actor=membership(owner), member_id=member.pk, budget_nanos=max(spent, 1))
    assert "Over budget" in text_of(owner)
    assert "Over budget" in text_of(developer)
    assert usd(others) not in text_of(developer)


def test_a_budget_is_set_changed_and_taken_away_by_whoever_manages_the_team() -> None:
    owner, other = person(), person()
    member = joins(other, owner.account, Role.DEVELOPER)
    path = f"/settings/team/members/{member.pk}/budget"
    for typed, stored in [("$12.5", 12_500_000_000), ("0.000000001", 1), ("", None)]:
        assert owner.browser.post(path, {"budget_nanos": typed}).status_code == 302
        member.refresh_from_db()
        assert member.monthly_limit_nanos == stored
    assert actions_of(owner.account).count("member.budget_changed") == 3
    assert "stops no call" in text_of(owner)


def test_a_budget_that_is_no_amount_is_refused_beside_its_field_with_what_was_typed() -> None:
    owner = person()
    me = membership(owner)
    page = owner.browser.post(f"/settings/team/members/{me.pk}/budget", {"budget_nanos": '5 "euro"'}).content.decode()
    assert 'value="5 &quot;euro&quot;"' in page
    assert f'aria-describedby="id_budget_nanos_{me.pk}_error"' in page
    assert page.count("Write an amount in dollars") == 2  # in the summary and beside the field
    assert membership(owner).monthly_limit_nanos is None


# ---------------------------------------------------------------- invitations
def test_a_link_is_shown_once_stored_as_a_hash_and_works_once() -> None:
    owner, first, second = person(), person(), person()
    page = owner.browser.post("/settings/team/invitations", {"role": Role.DEVELOPER}).content.decode()
    link = next(word for word in page.replace("<", " ").replace(">", " ").split() if "/invite/" in word)
    path = link.removeprefix("http://localhost:8000")
    row = Invitation.objects.get(account=owner.account)
    assert token_of(link).encode() not in bytes(row.token_hash)
    assert link not in owner.browser.get("/settings/team").content.decode()

    assert "Join the team" in first.browser.get(path).content.decode()
    first.browser.post(path)
    assert membership(first, owner.account).role == Role.DEVELOPER
    assert owner.account.name in first.browser.get("/settings/team").content.decode()
    gone = second.browser.get(path)
    assert (gone.status_code, "does not work" in gone.content.decode()) == (404, True)
    assert not owner.account.memberships.filter(user=second.user).exists()
    assert actions_of(owner.account) == ["invitation.created", "invitation.accepted"]


def test_two_people_with_one_link_are_not_both_let_in() -> None:
    owner, first, second = person(), person(), person()
    invitation = invitations.issue(actor=membership(owner), role=Role.VIEWER).row
    start, outcomes = threading.Barrier(2), []

    def accept(someone: Person) -> None:
        start.wait()
        try:
            invitations.accept(invitation=invitation, user=someone.user)
            outcomes.append("in")
        except invitations.InvitationError:
            outcomes.append("out")
        connections.close_all()

    threads = [threading.Thread(target=accept, args=[someone]) for someone in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in", "out"]
    assert owner.account.memberships.count() == 2


@pytest.mark.parametrize("end", ["withdrawn", "expired", "invented"])
def test_a_link_that_is_over_looks_like_an_invented_one(end: str) -> None:
    owner, someone = person(), person()
    issued = invitations.issue(actor=membership(owner), role=Role.VIEWER)
    token = token_of(issued.link)
    if end == "withdrawn":
        owner.browser.post(f"/settings/team/invitations/{issued.row.pk}/withdraw")
    elif end == "expired":
        Invitation.objects.filter(pk=issued.row.pk).update(expires_at=now() - timedelta(seconds=1))
    else:
        token = "x" * 32
    for method in (someone.browser.get, someone.browser.post):
        response = method(f"/invite/{token}")
        assert response.status_code == 404
    assert not owner.account.memberships.filter(user=someone.user).exists()


def test_an_invitation_by_mail_is_for_that_address_alone() -> None:
    owner, right, wrong = person(), person(), person()
    mail.outbox.clear()
    owner.browser.post("/settings/team/invitations", {"role": Role.VIEWER, "email": right.user.email.upper()})
    (letter,) = mail.outbox
    assert letter.to == [right.user.email]
    path = next(word for word in letter.body.split() if "/invite/" in word).removeprefix("http://localhost:8000")
    assert "This invitation is for" in wrong.browser.get(path).content.decode()
    assert wrong.browser.post(path).status_code == 403
    assert right.browser.post(path).status_code == 302
    assert set(owner.account.memberships.values_list("user", flat=True)) == {owner.user.pk, right.user.pk}


def test_a_stranger_signs_up_through_an_invitation_and_comes_back_to_it() -> None:
    owner, browser, email = person(), Client(), new_email()
    path = invitations.issue(actor=membership(owner), role=Role.ADMIN, email=email).link.removeprefix(
        "http://localhost:8000"
    )
    page = browser.get(path).content.decode()
    assert f"/accounts/signup?next={path}&amp;email={email.replace('@', '%40')}" in page
    assert f'value="{email}"' in browser.get(f"/accounts/signup?next={path}&email={email}").content.decode()
    response = browser.post("/accounts/signup", {"email": email, "password1": PASSWORD, "next": path})
    assert response.headers["Location"] == path
    assert browser.post(path).headers["Location"] == "/settings/team"
    assert owner.account.memberships.get(user__email=email).role == Role.ADMIN


def test_who_no_longer_manages_the_team_leaves_no_open_invitation_behind() -> None:
    owner, admin = person(), person()
    joined = joins(admin, owner.account, Role.ADMIN)
    link = invitations.issue(actor=joined, role=Role.ADMIN).link
    teams.change_role(actor=membership(owner), member_id=joined.pk, role=Role.VIEWER)
    assert invitations.find(token_of(link)) is None


def test_joining_twice_is_said_and_does_not_use_up_the_link() -> None:
    owner = person()
    issued = invitations.issue(actor=membership(owner), role=Role.VIEWER)
    page = owner.browser.post(f"/invite/{token_of(issued.link)}", follow=True).content.decode()
    assert "You are in this team already" in page
    assert invitations.find(token_of(issued.link)) is not None
    assert membership(owner).role == Role.OWNER
