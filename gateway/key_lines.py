"""Keys as pages show them: a state in words, what was spent of which limit until when, by which app it was used last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.utils.translation import gettext as _

from accounts import keys
from accounts.models import EPOCH, ApiKey, Membership, User
from gateway.models import Model, UsageHour
from tokenhub import clock

NEAR_LIMIT_PERCENT = 90
#: what a key needs beside its own row
ROWS = ("account", "created_by", "disabled_by", "successor", "replaces")

Window = ApiKey.Window


def window_start(window: str, at: datetime) -> datetime:
    """When the current window began: what the database's ``key_window()`` says. UTC, weeks begin on Monday."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case Window.DAY:
            return midnight
        case Window.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        case Window.MONTH:
            return midnight.replace(day=1)
    return EPOCH


def window_end(window: str, at: datetime) -> datetime | None:
    """When what was spent counts anew; None for a limit in total."""
    start = window_start(window, at)
    match window:
        case Window.DAY:
            return start + timedelta(days=1)
        case Window.WEEK:
            return start + timedelta(weeks=1)
        case Window.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
    return None


def person(user: User | None) -> str:
    return (user.name or user.email) if user is not None else _("System")


@dataclass(frozen=True)
class KeyLine:
    """``state`` is a word, ``mark`` the class of its shape and of the bar: "" ok, warn, bad, off."""

    key: ApiKey
    may_change: bool
    has_lost_owner: bool  # who made it is no longer in the team
    app: str  # that used it last, as the client calls itself
    models: list[str]  # slugs; none: all
    at: datetime

    # ------------------------------------------------------------ spending

    @property
    def spent_nanos(self) -> int:
        """In the current window: the row's own counter is moved only when a call ends."""
        return self.key.spent_nanos if self.key.window_start >= window_start(self.key.limit_window, self.at) else 0

    @property
    def resets_at(self) -> datetime | None:
        return None if self.key.limit_nanos is None else window_end(self.key.limit_window, self.at)

    @property
    def used_percent(self) -> int | None:
        """0..100 of the limit; None without a limit."""
        if self.key.limit_nanos is None:
            return None
        return min(100, self.spent_nanos * 100 // self.key.limit_nanos) if self.key.limit_nanos else 100

    @property
    def is_at_limit(self) -> bool:
        return self.is_usable and self.used_percent == 100

    # ------------------------------------------------------------ state

    @cached_property
    def _state(self) -> tuple[str, str]:
        if self.key.revoked_at is not None:
            return _("Revoked"), "off"
        if self.is_disabled:
            return _("Disabled"), "off"
        if self.has_expired:
            return (_("Replaced") if self.successor else _("Expired")), "off"
        if self.used_percent == 100:
            return _("At its limit"), "bad"
        if self.used_percent is not None and self.used_percent >= NEAR_LIMIT_PERCENT:
            return _("Near its limit"), "warn"
        return _("Active"), ""

    @property
    def state(self) -> str:
        return self._state[0]

    @property
    def mark(self) -> str:
        return self._state[1]

    @property
    def is_usable(self) -> bool:
        return self.mark != "off"

    @property
    def is_disabled(self) -> bool:
        return self.key.revoked_at is None and self.key.disabled_at is not None

    @property
    def has_expired(self) -> bool:
        return self.key.expires_at is not None and self.key.expires_at <= self.at

    @property
    def successor(self) -> ApiKey | None:
        return getattr(self.key, "successor", None)

    @property
    def is_being_replaced(self) -> bool:
        return self.is_usable and self.successor is not None

    # ------------------------------------------------------------ what may be done with it

    @property
    def can_edit(self) -> bool:
        return self.may_change and self.key.revoked_at is None

    @property
    def can_rotate(self) -> bool:
        return self.can_edit and not self.has_expired and self.successor is None

    @property
    def can_disable(self) -> bool:
        return self.can_edit and not self.is_disabled and not self.has_expired

    @property
    def can_enable(self) -> bool:
        return self.can_edit and self.is_disabled

    @property
    def can_delete(self) -> bool:
        return self.can_edit and (self.is_disabled or self.has_expired)

    # ------------------------------------------------------------ words

    @property
    def owner(self) -> str:
        return person(self.key.created_by)

    @property
    def disabled_by(self) -> str:
        return person(self.key.disabled_by)


def line_of(key: ApiKey, member: Membership) -> KeyLine:
    return lines_of([key], member)[0]


def lines_of(rows: Sequence[ApiKey], member: Membership) -> list[KeyLine]:
    """Keys of the member's team, fetched with ``ROWS``: at most three queries, however many they are."""
    present = _present({key.created_by_id for key in rows if key.created_by_id}, member)
    apps, slugs, at = _last_apps(rows), _slugs(rows), clock.now()
    return [
        KeyLine(
            key,
            may_change=keys.may_change(member, key),
            has_lost_owner=key.created_by_id is not None and key.created_by_id not in present,
            app=apps.get(key.pk, ""),
            models=[slugs[pk] for pk in key.allowed_model_ids or () if pk in slugs],
            at=at,
        )
        for key in rows
    ]


def _present(owners: set[int], member: Membership) -> set[int]:
    """Those of the owners that still belong to the team."""
    others = owners - {member.user_id}
    rows = (
        Membership.objects.filter(account_id=member.account_id, user__in=others)
        if others
        else Membership.objects.none()
    )
    return {member.user_id, *rows.values_list("user_id", flat=True)}


def _last_apps(rows: Sequence[ApiKey]) -> dict[int, str]:
    """By key: looked up in the hours of their last uses alone, which the index finds however much was used before."""
    used = [key for key in rows if key.last_used_at is not None]
    if not used:
        return {}
    hours = {key.last_used_at.replace(minute=0, second=0, microsecond=0) for key in used if key.last_used_at}
    found = UsageHour.objects.filter(
        account_id=used[0].account_id, hour__in=hours, key_id__in=[key.pk for key in used]
    ).exclude(app="")
    return dict(found.order_by("hour").values_list("key_id", "app"))


def _slugs(rows: Sequence[ApiKey]) -> dict[int, str]:
    ids = {pk for key in rows for pk in key.allowed_model_ids or ()}
    return dict(Model.objects.filter(pk__in=ids).values_list("id", "slug")) if ids else {}
