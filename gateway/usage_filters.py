"""Whose calls, of which period, of which kind: everything that the address of a usage page says.

``Scope`` is what a person may see and cannot be widened by an address; ``UsageFilter`` is read from the query and written
back into it, so that charts, request log, export and shared links mean the same calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from functools import cached_property
from typing import NamedTuple

from django.db.models import Q
from django.http import Http404, HttpRequest, QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import access
from accounts.models import Account, ApiKey, Membership
from accounts.powers import POWERS, Power
from gateway import usage_periods as periods
from gateway.metrics import METRICS, Metric
from gateway.models import Endpoint, Model
from gateway.usage_periods import BadPeriod, Period
from tokenhub import clock

#: an app's name is stripped of spaces, so that this can only mean "said no name"
NO_APP = " "
ENDPOINTS = {endpoint.name.lower(): endpoint for endpoint in Endpoint}
DIMENSIONS: dict[str, str | Promise] = {
    "model": _("Model"),
    "key": _("Key"),
    "member": _("Member"),
    "app": _("App"),
    "endpoint": _("Endpoint"),
    "status": _("Status"),
}
STATUSES: dict[str, str | Promise] = {"ok": _("answered"), "error": _("failed")}
#: from this HTTP status on a call has failed; as settle() counts errors
FAILED_FROM = 400


class KeyName(NamedTuple):
    id: int
    key_id: str  # key-…
    name: str
    masked: str
    owner_id: int | None
    owner: str


class ModelName(NamedTuple):
    id: int
    slug: str
    name: str


@dataclass(frozen=True)
class Scope:
    """The calls that one person or key may see: an account's, or only those of some of its keys."""

    account: Account
    only_keys_of: int | None = None  # a user's id; None: the whole team's
    only_key: int | None = None

    @classmethod
    def of_request(cls, request: HttpRequest) -> "Scope":
        """Whoever may not see the team's usage sees that of the keys that are theirs."""
        alone = None if access.may(request, Power.SEE_TEAM_USAGE) else access.user_of(request).pk
        return cls(access.account_of(request), alone)

    @classmethod
    def of_key(cls, key: ApiKey) -> "Scope":
        """What the key's maker may see; of a maker who left the team, this key's calls alone."""
        maker = None
        if key.created_by_id is not None:
            maker = Membership.objects.filter(account_id=key.account_id, user_id=key.created_by_id).first()
        if maker is None:
            return cls(key.account, only_key=key.pk)
        return cls(key.account, None if Power.SEE_TEAM_USAGE in POWERS[maker.role] else maker.user_id)

    @property
    def is_whole_team(self) -> bool:
        return self.only_keys_of is None and self.only_key is None

    @cached_property
    def keys(self) -> dict[int, KeyName]:
        rows = ApiKey.objects.filter(account=self.account)
        if self.only_keys_of is not None:
            rows = rows.filter(created_by=self.only_keys_of)
        if self.only_key is not None:
            rows = rows.filter(pk=self.only_key)
        columns = ("id", "public_id", "name", "last4", "created_by_id", "created_by__name", "created_by__email")
        return {
            pk: KeyName(pk, f"key-{public_id}", name, f"th-{public_id[:4]}…{last4}", user, user_name or email or "")
            for pk, public_id, name, last4, user, user_name, email in rows.order_by("name", "id").values_list(*columns)
        }

    @cached_property
    def models(self) -> dict[int, ModelName]:
        """All that ever were, because old calls refer to them."""
        return {row[0]: ModelName(*row) for row in Model.objects.order_by("position").values_list("id", "slug", "name")}

    @property
    def members(self) -> dict[int, str]:
        return {key.owner_id: key.owner for key in self.keys.values() if key.owner_id is not None}

    @property
    def where(self) -> Q:
        """For ``UsageHour`` and ``CallRecord`` alike."""
        mine = Q(account_id=self.account.pk)
        return mine if self.is_whole_team else mine & Q(key_id__in=list(self.keys))


class Choice(NamedTuple):
    value: str
    label: str


class Chip(NamedTuple):
    """One filter in force, and the query that is left without it."""

    dimension: str
    name: str
    value: str
    query: str


@dataclass(frozen=True)
class UsageFilter:
    scope: Scope
    period: Period
    metric: Metric
    by: str
    only: Mapping[str, tuple[str, ...]]  # dimension → values as the address has them
    range_query: Mapping[str, str]  # what the address says about the period
    problems: Mapping[str, str] = field(default_factory=dict)  # field → sentence

    # ------------------------------------------------------------ reading

    @classmethod
    def read(cls, scope: Scope, query: QueryDict, zone: tzinfo | None = None) -> "UsageFilter":
        """Raises ``Http404`` for a range, grouping, model or key that there is not: to ignore it would show other calls."""
        zone = zone or timezone.get_current_timezone()
        period, problems = _period(query, zone)
        metric = query.get("metric", "spend")
        by = query.get("by", "model")
        if metric not in METRICS or by not in DIMENSIONS:
            raise Http404
        only = {name: tuple(dict.fromkeys(filter(None, query.getlist(name)))) for name in DIMENSIONS}
        asked = {name: str(query[name]) for name in ("range", "from", "to") if query.get(name)}
        read = cls(scope, period, METRICS[metric], by, {n: v for n, v in only.items() if v}, asked, problems)
        read._check()
        # by outcome only calls are counted: see UsageHour
        return replace(read, metric=METRICS["requests"]) if read.is_by_outcome else read

    def _check(self) -> None:
        for dimension, values in self.only.items():
            known = {choice.value for choice in self.choices(dimension)}
            if dimension != "app" and not known.issuperset(values):
                raise Http404

    @property
    def is_by_outcome(self) -> bool:
        return self.by == "status" or bool(self.status)

    @property
    def status(self) -> str:
        """``ok`` or ``error``; empty for both."""
        chosen = set(self.only.get("status", ()))
        return chosen.pop() if len(chosen) == 1 else ""

    # ------------------------------------------------------------ as conditions

    @cached_property
    def dimensions(self) -> Q:
        """All but the period and the outcome; for ``UsageHour`` and ``CallRecord`` alike."""
        where = self.scope.where
        for name in ("model", "key", "member", "app", "endpoint"):
            if values := self.only.get(name):
                where &= self.is_one_of(name, values)
        return where

    def is_one_of(self, dimension: str, values: Iterable[str]) -> Q:
        wanted = set(values)
        match dimension:
            case "model":
                return Q(model_id__in=[model.id for model in self.scope.models.values() if model.slug in wanted])
            case "key":
                return Q(key_id__in=[key.id for key in self.scope.keys.values() if key.key_id in wanted])
            case "member":
                return Q(key_id__in=[key.id for key in self.scope.keys.values() if str(key.owner_id) in wanted])
            case "endpoint":
                return Q(endpoint__in=[ENDPOINTS[value] for value in wanted])
            case "status":  # of a call; the hourly sums only count failures
                return Q(status__gte=FAILED_FROM) if wanted == {"error"} else Q(status__lt=FAILED_FROM)
        return Q(app__in=[value.strip() for value in wanted])

    @property
    def hours(self) -> Q:
        return self.dimensions & Q(hour__gte=self.period.start, hour__lt=self.period.end)

    @property
    def calls(self) -> Q:
        where = self.dimensions & Q(created_at__gte=self.period.start, created_at__lt=self.period.end)
        return where & self.is_one_of("status", [self.status]) if self.status else where

    @property
    def is_narrow(self) -> bool:
        """Whether most of the account's calls may lie outside, so that a walk through them all would be long."""
        return bool(self.only) or not self.scope.is_whole_team

    # ------------------------------------------------------------ as words and addresses

    def choices(self, dimension: str) -> list[Choice]:
        """What a dimension can be narrowed to. Apps are known by their calls only."""
        match dimension:
            case "model":
                return [Choice(model.slug, model.name) for model in self.scope.models.values()]
            case "key":
                return [Choice(key.key_id, key.name) for key in self.scope.keys.values()]
            case "member":
                return [Choice(str(pk), name) for pk, name in self.scope.members.items()]
            case "endpoint":
                return [Choice(name, str(endpoint.label)) for name, endpoint in ENDPOINTS.items()]
            case "status":
                return [Choice(value, str(label)) for value, label in STATUSES.items()]
        return []

    def label(self, dimension: str, value: str) -> str:
        if dimension == "app":
            return value.strip() or gettext("no name given")
        return dict(self.choices(dimension)).get(value, value)

    @property
    def is_zoomed(self) -> bool:
        """The period is named by instants, as the bars of a chart link to it, not by days."""
        return "T" in self.range_query.get("from", "") and not self.problems

    @property
    def chips(self) -> list[Chip]:
        return [
            Chip(name, str(DIMENSIONS[name]), self.label(name, value), self._without(name, value))
            for name, values in self.only.items()
            for value in values
        ]

    def _without(self, dimension: str, value: str) -> str:
        left = tuple(other for other in self.only[dimension] if other != value)
        return replace(self, only={**self.only, dimension: left}).query()

    def query(self, **changed: str) -> str:
        """The address's query with something changed; an empty value takes it out."""
        query = QueryDict(mutable=True)
        query.update({**self.range_query, "metric": self.metric.slug, "by": self.by})
        for name, values in self.only.items():
            query.setlist(name, list(values))
        for name, value in changed.items():
            query.setlist(name.removesuffix("_"), [value] if value else [])
        return query.urlencode()

    def in_period(self, period: Period) -> str:
        """The same filter for another period."""
        return replace(self, range_query=period.query).query()

    def narrowed(self, dimension: str, value: str) -> str:
        values = tuple(dict.fromkeys((*self.only.get(dimension, ()), value)))
        return replace(self, only={**self.only, dimension: values}).query()


def _period(query: QueryDict, zone: tzinfo) -> tuple[Period, dict[str, str]]:
    """The period asked for; where a custom one names no time, the default and what is wrong."""
    name = query.get("range") or ("custom" if query.get("from") else periods.RANGE_DEFAULT)
    if name not in periods.RANGES:
        raise Http404
    now = clock.now()
    if name != "custom":
        return periods.named(name, zone, now), {}
    try:
        return periods.custom(query.get("from", ""), query.get("to", ""), zone), {}
    except BadPeriod as bad:
        return periods.named(periods.RANGE_DEFAULT, zone, now), bad.problems
