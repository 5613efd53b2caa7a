"""The team's page: members, invitations, the table of powers. And the page behind an invitation's link."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from allauth.core import ratelimit
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access, invitations, teams
from accounts.models import Invitation, Membership
from accounts.powers import POWERS, WORDS, Power
from accounts.team_forms import BudgetForm, InviteForm, TeamNameForm
from tokenhub import charts
from tokenhub.clock import now

page = require_http_methods(["GET", "HEAD", "POST"])
Role = Membership.Role


class MemberRow(NamedTuple):
    """``spent_nanos``: this month; None where it is not to be seen. ``budget``: the form, where it may be changed."""

    member: Membership
    is_editable: bool
    spent_nanos: int | None
    budget: BudgetForm | None

    @property
    def share(self) -> int | None:
        """Of the budget, in per cent; None without one."""
        limit = self.member.monthly_limit_nanos
        return None if limit is None or self.spent_nanos is None else self.spent_nanos * 100 // max(limit, 1)

    @property
    def bar(self) -> SafeString:
        return charts.bar(self.spent_nanos or 0, self.member.monthly_limit_nanos or 0)


class PowerRow(NamedTuple):
    words: str
    given: list[bool]  # in the order of the roles


@require_safe
@access.signed_in
def team(request: HttpRequest) -> HttpResponse:
    return _team_page(request)


def _team_page(
    request: HttpRequest, budgets: Mapping[int, BudgetForm] | None = None, **forms: InviteForm | TeamNameForm
) -> HttpResponse:
    """``forms`` are those that were refused, to be shown again with what was typed; ``budgets`` by membership."""
    account, me = access.account_of(request), access.membership_of(request)
    manages, owns = access.may(request, Power.MANAGE_TEAM), access.may(request, Power.OWN)
    rows = _member_rows(request, budgets or {})
    context = {
        "me": me,
        "members": rows,
        "refused_budgets": list((budgets or {}).values()),
        "month": _month(),
        "roles": [role for role in Role if owns or role != Role.OWNER],
        "invitations": invitations.open_of(account).order_by("-id") if manages else [],
        "now": now(),
        "manages": manages,
        "owns": owns,
        "may_rename": access.may(request, Power.MANAGE_ACCOUNT),
        "all_roles": list(Role),
        "power_rows": [
            PowerRow(str(words), [power in POWERS[role] for role in Role]) for power, words in WORDS.items()
        ],
        "name_form": TeamNameForm(instance=account),
        "invite_form": InviteForm(makes_owners=owns),
    } | forms
    return render(request, "settings/team.html", context)


def _member_rows(request: HttpRequest, budgets: Mapping[int, BudgetForm]) -> list[MemberRow]:
    account, me = access.account_of(request), access.membership_of(request)
    manages, owns = access.may(request, Power.MANAGE_TEAM), access.may(request, Power.OWN)
    sees_all = access.may(request, Power.SEE_TEAM_USAGE)
    spent = teams.spending(account, _month())
    rows = []
    for member in account.memberships.select_related("user").order_by("id"):
        is_editable = owns or (manages and member.role != Role.OWNER)
        is_seen = sees_all or member.pk == me.pk
        form = budgets.get(member.pk) or BudgetForm(member=member)
        rows.append(
            MemberRow(
                member,
                is_editable,
                spent.get(member.user_id, 0) if is_seen else None,
                form if is_editable else None,
            )
        )
    return rows


def _month() -> datetime:
    """When the running one began; months are UTC's, as those of keys' limits."""
    return now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@page
@access.signed_in
def new(request: HttpRequest) -> HttpResponse:
    form = TeamNameForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "settings/team_new.html", {"form": form})
    account = teams.create(owner=access.user_of(request), name=form.cleaned_data["name"])
    request.session[access.TEAM] = account.slug
    messages.success(request, _("The team is made, and you are in it now."))
    return redirect("settings_team")


@require_POST
@access.needs(Power.MANAGE_ACCOUNT)
def rename(request: HttpRequest) -> HttpResponse:
    account = access.account_of(request)
    before = account.name
    form = TeamNameForm(request.POST, instance=account)
    if not form.is_valid():
        account.name = before  # the frame shows it
        return _team_page(request, name_form=form)
    form.save()
    teams.record(account, access.user_of(request), "team.renamed")
    return _done(request, _("The team has its new name."))


# ---------------------------------------------------------------- members
@require_POST
@access.needs(Power.MANAGE_TEAM)
def member_role(request: HttpRequest, member_id: int) -> HttpResponse:
    role = request.POST.get("role", "")
    if role not in Role:
        raise Http404
    try:
        member = teams.change_role(actor=access.membership_of(request), member_id=member_id, role=role)
    except Membership.DoesNotExist:
        raise Http404 from None
    except teams.TeamRuleError as e:
        return _refused(request, str(e))
    return _done(request, _("%(email)s: %(role)s.") % {"email": member.user.email, "role": member.get_role_display()})


@require_POST
@access.needs(Power.MANAGE_TEAM)
def member_budget(request: HttpRequest, member_id: int) -> HttpResponse:
    me = access.membership_of(request)
    member = me.account.memberships.filter(pk=member_id).first()
    if member is None:
        raise Http404
    form = BudgetForm(request.POST, member=member)
    if not form.is_valid():
        return _team_page(request, budgets={member.pk: form})
    try:
        changed = teams.set_budget(actor=me, member_id=member_id, budget_nanos=form.cleaned_data["budget_nanos"])
    except Membership.DoesNotExist:
        raise Http404 from None
    return _done(request, _("The budget of %(email)s is saved.") % {"email": changed.user.email})


@page
@access.needs(Power.MANAGE_TEAM)
def member_remove(request: HttpRequest, member_id: int) -> HttpResponse:
    """GET asks, POST does it."""
    me = access.membership_of(request)
    member = me.account.memberships.select_related("user").filter(pk=member_id).first()
    if member is None:
        raise Http404
    if request.method != "POST":
        return render(request, "settings/member_remove.html", {"member": member, "key_count": _key_count(member)})
    try:
        teams.remove(actor=me, member_id=member_id)
    except Membership.DoesNotExist:
        raise Http404 from None
    except teams.TeamRuleError as e:
        return _refused(request, str(e))
    return _done(request, _("%(email)s is no longer in the team.") % {"email": member.user.email})


@page
@access.signed_in
def leave(request: HttpRequest) -> HttpResponse:
    """GET asks, POST does it."""
    me = access.membership_of(request)
    if request.method != "POST":
        return render(request, "settings/team_leave.html", {"member": me, "key_count": _key_count(me)})
    try:
        teams.leave(member=me)
    except teams.TeamRuleError as e:
        return _refused(request, str(e))
    request.session.pop(access.TEAM, None)
    return _done(request, _("You have left “%(team)s”.") % {"team": me.account.name})


@require_POST
@access.needs(Power.OWN)
def transfer(request: HttpRequest) -> HttpResponse:
    chosen = request.POST.get("member", "")
    if not (chosen.isascii() and chosen.isdigit()):
        return _refused(request, _("Choose who shall own the team."))
    try:
        member = teams.transfer(actor=access.membership_of(request), member_id=int(chosen))
    except Membership.DoesNotExist:
        raise Http404 from None
    except teams.TeamRuleError as e:
        return _refused(request, str(e))
    return _done(request, _("%(email)s owns the team now; you are an admin.") % {"email": member.user.email})


def _key_count(member: Membership) -> int:
    return member.account.api_keys.filter(created_by=member.user, revoked_at=None).count()


# ---------------------------------------------------------------- invitations
@require_POST
@access.needs(Power.MANAGE_TEAM)
def invite(request: HttpRequest) -> HttpResponse:
    """The link is shown in this answer and never again."""
    form = InviteForm(request.POST, makes_owners=access.may(request, Power.OWN))
    if not form.is_valid():
        return _team_page(request, invite_form=form)
    if limited := ratelimit.consume_or_429(request, action="invite"):
        return limited
    try:
        issued = invitations.issue(actor=access.membership_of(request), **form.cleaned_data)
    except invitations.InvitationError as e:
        form.add_error("email", str(e))
        return _team_page(request, invite_form=form)
    return render(request, "settings/invited.html", {"issued": issued})


@require_POST
@access.needs(Power.MANAGE_TEAM)
def invitation_withdraw(request: HttpRequest, invitation_id: int) -> HttpResponse:
    account, user = access.account_of(request), access.user_of(request)
    if not invitations.withdraw(account=account, invitation_id=invitation_id, actor=user):
        raise Http404
    return _done(request, _("The invitation no longer works."))


@page
def invited(request: HttpRequest, token: str) -> HttpResponse:
    """Behind the link: who invites to what. Strangers sign up or log in first and come back here."""
    invitation = invitations.find(token)
    if invitation is None:
        return render(request, "settings/invitation_gone.html", status=404)
    if not request.user.is_authenticated:
        response = render(request, "settings/invitation.html", {"invitation": invitation})
        response["Cache-Control"] = "no-store"
        return response
    return _invited_person(request, invitation=invitation)


@access.signed_in
def _invited_person(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    user = access.user_of(request)
    is_mine = invitations.is_for(invitation, user)
    if request.method != "POST":
        return render(request, "settings/invitation.html", {"invitation": invitation, "is_mine": is_mine})
    if not is_mine:
        raise PermissionDenied(_("This invitation is for another address. Log in with that one."))
    try:
        member = invitations.accept(invitation=invitation, user=user)
    except invitations.InvitationError as e:
        messages.error(request, str(e))
    else:
        messages.success(request, _("You are in “%(team)s” now.") % {"team": member.account.name})
        request.session[access.TEAM] = member.account.slug
    return redirect("settings_team")


# ---------------------------------------------------------------- answers
def _done(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text)
    return redirect("settings_team")


def _refused(request: HttpRequest, text: str) -> HttpResponse:
    messages.error(request, text)
    return redirect("settings_team")
