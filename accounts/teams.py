"""Teams: who belongs to them, as what. Every change is decided under the team's lock and leaves an audit event.

Audit events name people by number, never by address: they cannot be changed, and a person may ask to be forgotten.
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import invitations
from accounts.models import Account, AuditEvent, Membership, User
from accounts.onboarding import open_account
from accounts.powers import POWERS, Power
from accounts.signals import spending_asked

Role = Membership.Role


class TeamRuleError(Exception):
    """What was asked would break a rule of teams; the text tells the person which, and what to do."""


@transaction.atomic
def create(*, owner: User, name: str) -> Account:
    """A further team. It begins with an empty wallet: starter credit is for people, once."""
    account = open_account(user=owner, name=name, starter_credit_nanos=0)
    record(account, owner, "team.created")
    return account


@transaction.atomic
def change_role(*, actor: Membership, member_id: int, role: str) -> Membership:
    """Raises ``PermissionDenied``, ``TeamRuleError`` (the last owner), ``Membership.DoesNotExist``."""
    actor, member = _locked(actor, member_id)
    _check_power(actor, member.role, role)
    if member.role == Role.OWNER != role:
        _check_other_owner(member)
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    if Power.MANAGE_TEAM not in POWERS[role]:
        invitations.withdraw_those_of(account=member.account, user=member.user)
    record(member.account, actor.user, "member.role_changed", member.user, {"from": before, "to": role})
    return member


@transaction.atomic
def set_budget(*, actor: Membership, member_id: int, budget_nanos: int | None) -> Membership:
    """What the member's keys may cost in a month before the team's page warns; None: no budget. Raises as ``change_role``."""
    actor, member = _locked(actor, member_id)
    _check_power(actor, member.role)
    before, member.monthly_limit_nanos = member.monthly_limit_nanos, budget_nanos
    member.save(update_fields=["monthly_limit_nanos"])
    detail = {"from_nanos": before, "to_nanos": budget_nanos}
    record(member.account, actor.user, "member.budget_changed", member.user, detail)
    return member


@transaction.atomic
def remove(*, actor: Membership, member_id: int) -> Membership:
    """Their keys stay: they are the team's. Raises as ``change_role``."""
    actor, member = _locked(actor, member_id)
    _check_power(actor, member.role)
    if member.role == Role.OWNER:
        _check_other_owner(member)
    _end(member)
    record(member.account, actor.user, "member.removed", member.user, {"role": member.role})
    return member


@transaction.atomic
def leave(*, member: Membership) -> None:
    """Raises ``TeamRuleError`` for the last owner."""
    member, _same = _locked(member, member.pk)
    if member.role == Role.OWNER:
        _check_other_owner(member)
    _end(member)
    record(member.account, member.user, "member.left", member.user, {"role": member.role})


@transaction.atomic
def transfer(*, actor: Membership, member_id: int) -> Membership:
    """The other becomes an owner, the one who gives becomes an admin. Raises as ``change_role``."""
    actor, member = _locked(actor, member_id)
    _check_power(actor, Role.OWNER)
    if member.pk == actor.pk:
        raise TeamRuleError(_("Choose somebody else: you own the team already."))
    Membership.objects.filter(pk=member.pk).update(role=Role.OWNER)
    Membership.objects.filter(pk=actor.pk).update(role=Role.ADMIN)
    record(member.account, actor.user, "ownership.transferred", member.user)
    return member


def spending(account: Account, since: datetime) -> dict[int, int]:
    """Nano-USD that the keys of each member have cost, by the user's id."""
    answers: list[Any] = spending_asked.send(sender=Account, account=account, since=since)
    return {user: nanos for _receiver, spent in answers for user, nanos in spent.items()}


def record(
    account: Account, actor: User, action: str, about: User | None = None, detail: dict[str, Any] | None = None
) -> None:
    subject = f"user-{about.pk}" if about is not None else ""
    AuditEvent.objects.create(account=account, actor=actor, action=action, subject=subject, detail=detail or {})


def _locked(actor: Membership, member_id: int) -> tuple[Membership, Membership]:
    """Both as they are now, with the team's row locked: two owners who demote each other take turns."""
    Account.objects.select_for_update(no_key=True).get(pk=actor.account_id)
    memberships = Membership.objects.select_related("account", "user").filter(account_id=actor.account_id)
    now = memberships.filter(pk=actor.pk).first()
    if now is None:  # removed a moment ago
        raise PermissionDenied
    return now, memberships.get(pk=member_id)


def _check_power(actor: Membership, *roles: str) -> None:
    """Whoever manages the team may touch everybody but owners, and make everything but owners."""
    needed = Power.OWN if Role.OWNER in roles else Power.MANAGE_TEAM
    if needed not in POWERS[actor.role]:
        raise PermissionDenied(_("Only an owner of the team can do this."))


def _check_other_owner(member: Membership) -> None:
    owners = Membership.objects.filter(account_id=member.account_id, role=Role.OWNER)
    if not owners.exclude(pk=member.pk).exists():
        raise TeamRuleError(_("A team needs an owner. Make somebody else an owner first."))


def _end(member: Membership) -> None:
    invitations.withdraw_those_of(account=member.account, user=member.user)
    member.delete()
    if not member.user.memberships.exists():
        open_account(user=member.user, starter_credit_nanos=0)  # nobody is without a team
