"""Invitations to a team: a link that works once, for seven days. Of its token only the hash is stored."""

import hashlib
import secrets
from datetime import timedelta
from typing import NamedTuple

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import letters
from accounts.models import Account, AuditEvent, Invitation, Membership, User
from accounts.powers import POWERS, Power
from tokenhub.clock import now

LIFETIME = timedelta(days=7)
MOST_OPEN = 100
TOKEN_BYTES = 24


class InvitationError(Exception):
    """The invitation cannot be made or used; the text says why."""


class IssuedInvitation(NamedTuple):
    row: Invitation
    link: str  # shown and mailed now; it cannot be made again
    was_mailed: bool


def open_of(account: Account) -> QuerySet[Invitation]:
    """Neither used nor withdrawn; those that have expired are among them, so that a page can say so."""
    return Invitation.objects.filter(account=account, accepted_at=None, revoked_at=None)


def issue(*, actor: Membership, role: str, email: str = "") -> IssuedInvitation:
    """With ``email`` it is mailed there, and only that address may use it. Raises ``PermissionDenied``, ``InvitationError``."""
    needed = Power.OWN if role == Membership.Role.OWNER else Power.MANAGE_TEAM
    if needed not in POWERS[actor.role]:
        raise PermissionDenied(_("Only an owner of the team can do this."))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic():
        row = _made(actor, role, email, token)
    link = settings.PUBLIC_URL + reverse("invite", args=[token])
    context = {"team": actor.account.name, "inviter": actor.user.email, "role": row.get_role_display(), "link": link}
    was_mailed = bool(email) and letters.send("emails/invitation", email, context)
    return IssuedInvitation(row, link, was_mailed)


def _made(actor: Membership, role: str, email: str, token: str) -> Invitation:
    account = Account.objects.select_for_update(no_key=True).get(pk=actor.account_id)
    if email and Membership.objects.filter(account=account, user__emailaddress__email__iexact=email).exists():
        raise InvitationError(_("This person is in the team already."))
    if open_of(account).filter(expires_at__gt=now()).count() >= MOST_OPEN:
        raise InvitationError(_("Too many invitations are open. Withdraw some first."))
    if email:  # a newer invitation replaces the older
        open_of(account).filter(email__iexact=email).update(revoked_at=Now())
    row = Invitation.objects.create(
        account=account,
        email=email,
        role=role,
        token_hash=_hash(token),
        invited_by=actor.user,
        expires_at=now() + LIFETIME,
    )
    _record(row, actor.user, "invitation.created")
    return row


def find(token: str) -> Invitation | None:
    """The invitation that this token opens now. A used, withdrawn, expired and an invented one are alike."""
    rows = Invitation.objects.select_related("account", "invited_by")
    return rows.filter(token_hash=_hash(token), accepted_at=None, revoked_at=None, expires_at__gt=Now()).first()


def is_for(invitation: Invitation, user: User) -> bool:
    """A link is for whoever holds it; one with an address is for the person whose address it is."""
    if not invitation.email:
        return True
    return EmailAddress.objects.filter(user=user, email__iexact=invitation.email).exists()


def accept(*, invitation: Invitation, user: User) -> Membership:
    """Raises ``InvitationError``; the row count decides between two who use the same link at once."""
    try:
        with transaction.atomic():
            Account.objects.select_for_update(no_key=True).get(pk=invitation.account_id)  # it may be closing
            won = Invitation.objects.filter(
                pk=invitation.pk, accepted_at=None, revoked_at=None, expires_at__gt=Now()
            ).update(accepted_at=Now(), accepted_by=user)
            if not won:
                raise InvitationError(_("This invitation is no longer valid. Ask for a new one."))
            member = Membership.objects.create(account=invitation.account, user=user, role=invitation.role)
            _record(invitation, user, "invitation.accepted")
    except IntegrityError:
        raise InvitationError(_("You are in this team already.")) from None
    return member


def withdraw(*, account: Account, invitation_id: int, actor: User) -> bool:
    """False if there is no such open invitation of that account."""
    with transaction.atomic():
        won = open_of(account).filter(pk=invitation_id).update(revoked_at=Now())
        if won:
            _record(Invitation.objects.get(pk=invitation_id), actor, "invitation.withdrawn")
    return bool(won)


def withdraw_those_of(*, account: Account, user: User) -> None:
    """What somebody who no longer manages the team had handed out."""
    open_of(account).filter(invited_by=user).update(revoked_at=Now())


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _record(row: Invitation, actor: User, action: str) -> None:
    AuditEvent.objects.create(
        account=row.account, actor=actor, action=action, subject=f"invitation-{row.pk}", detail={"role": row.role}
    )
