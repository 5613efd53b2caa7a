"""Who may do what in a team: one table, which the team page shows and the tests walk through."""

from enum import StrEnum

from django.utils.translation import gettext_lazy as _

from accounts.models import Membership

Role = Membership.Role


class Power(StrEnum):
    SEE_TEAM_USAGE = "see_team_usage"  # everybody's calls and spending; without it, one's own
    SEE_TEAM_KEYS = "see_team_keys"
    MAKE_KEYS = "make_keys"  # and edit, rotate, disable one's own
    MANAGE_TEAM_KEYS = "manage_team_keys"
    SEE_BILLING = "see_billing"
    PAY = "pay"
    MANAGE_TEAM = "manage_team"  # invite, remove, change roles (an owner's only by an owner)
    MANAGE_ACCOUNT = "manage_account"  # the team's name, privacy and notices
    OWN = "own"  # make owners, remove owners


POWERS: dict[str, frozenset[Power]] = {
    Role.OWNER: frozenset(Power),
    Role.ADMIN: frozenset(Power) - {Power.OWN},
    Role.DEVELOPER: frozenset({Power.MAKE_KEYS}),
    Role.BILLING: frozenset({Power.SEE_TEAM_USAGE, Power.SEE_BILLING, Power.PAY}),
    Role.VIEWER: frozenset({Power.SEE_TEAM_USAGE, Power.SEE_TEAM_KEYS, Power.SEE_BILLING}),
}

#: the table's rows in words, from the everyday to the rare
WORDS = {
    Power.MAKE_KEYS: _("Make keys, and change their own"),
    Power.SEE_TEAM_USAGE: _("See everybody’s usage (without it: their own)"),
    Power.SEE_TEAM_KEYS: _("See everybody’s keys"),
    Power.MANAGE_TEAM_KEYS: _("Change everybody’s keys"),
    Power.SEE_BILLING: _("See balance and ledger"),
    Power.PAY: _("Pay and top up"),
    Power.MANAGE_TEAM: _("Invite, remove and change roles, owners excepted"),
    Power.MANAGE_ACCOUNT: _("Change the team’s name, alerts and privacy"),
    Power.OWN: _("Make and remove owners"),
}
