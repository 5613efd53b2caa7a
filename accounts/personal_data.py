"""What we hold about a person: to take away, and to be forgotten."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from accounts import invitations, keys, teams
from accounts.models import Account, ApiKey, AuditEvent, Membership, User

GONE_NAME = "Deleted"


class StillOwnerError(Exception):
    """Others depend on a team that this person owns; the text names it."""


def export(user: User) -> dict[str, Any]:
    """Everything of this room that is about the person, ready for JSON; times in ISO 8601, no secrets."""
    return {
        "person": {
            "email": user.email,
            "name": user.name,
            "joined": user.date_joined,
            "time_zone": user.time_zone,
            "theme": user.theme,
            "uses_shortcuts": user.uses_shortcuts,
        },
        "email_addresses": list(EmailAddress.objects.filter(user=user).values("email", "verified", "primary")),
        "linked_accounts": list(SocialAccount.objects.filter(user=user).values("provider", "uid", "date_joined")),
        "second_factors": list(Authenticator.objects.filter(user=user).values("type", "created_at", "last_used_at")),
        "sessions": list(UserSession.objects.filter(user=user).values("ip", "user_agent", "created_at")),
        "teams": list(
            Membership.objects.filter(user=user).values(
                "account__name", "account__slug", "role", "notifies_balance", "notifies_keys", "created_at"
            )
        ),
        "keys_made": [
            {"id": key.key_id, "name": key.name, "created": key.created_at, "revoked": key.revoked_at}
            for key in ApiKey.objects.filter(created_by=user).order_by("id")
        ],
        "actions": list(
            AuditEvent.objects.filter(actor=user).order_by("id").values("action", "subject", "detail", "created_at")
        ),
    }


@transaction.atomic
def erase(user: User) -> None:
    """The person is gone, the books stay. Their own teams' keys are dead when this commits. Raises ``StillOwnerError``.

    The row itself remains, without a name or an address: ledger, receipts and audit point to it.
    """
    alone = _teams_of_their_own(user)
    for key in ApiKey.objects.filter(account__in=alone, revoked_at=None):
        keys.revoke(key_id=key.key_id, account=key.account, actor=user)
    for account in alone:
        account.invitations.all().delete()
        Account.objects.filter(pk=account.pk).update(name=GONE_NAME, low_balance_nanos=None)
        teams.record(account, user, "team.closed")
    for member in Membership.objects.filter(user=user).exclude(account__in=alone).select_related("account"):
        invitations.withdraw_those_of(account=member.account, user=user)
        teams.record(member.account, user, "member.left", user, {"role": member.role})
    Membership.objects.filter(user=user).delete()
    Session.objects.filter(session_key__in=UserSession.objects.filter(user=user).values("session_key")).delete()
    for model in (EmailAddress, SocialAccount, Authenticator, UserSession):
        model.objects.filter(user=user).delete()
    _forget(user)


def _teams_of_their_own(user: User) -> list[Account]:
    """Locked, so that nobody joins one of them meanwhile."""
    owned = Account.objects.filter(memberships__user=user, memberships__role=Membership.Role.OWNER)
    locked = Account.objects.select_for_update(no_key=True).filter(pk__in=owned.values("pk"))
    accounts = list(locked.order_by("pk"))
    with_others = _shared(accounts).first()
    if with_others is not None:
        raise StillOwnerError(
            _("You own “%(team)s”, which has other members. Transfer it or remove them first.")
            % {"team": with_others.name}
        )
    return accounts


def _shared(accounts: list[Account]) -> QuerySet[Account]:
    rows = Account.objects.filter(pk__in=[account.pk for account in accounts])
    return rows.annotate(people=Count("memberships")).filter(people__gt=1)


def _forget(user: User) -> None:
    user.email = f"deleted-{user.pk}@deleted.invalid"
    user.name = user.time_zone = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
