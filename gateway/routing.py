"""Which model a client means, what it costs now, and the routes that reach it, best first. A snapshot of the catalogue, read anew
on change.
"""

import difflib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from billing.models import Price
from billing.pricing import TokenPrice
from gateway.errors import ModelNotFound, NoUpstreamAvailable
from gateway.models import Model
from gateway.preferences import Preferences
from gateway.route_health import Health, RouteHealth
from gateway.upstreams import registry
from gateway.upstreams.registry import Upstream
from tokenhub import clock


@dataclass(frozen=True, slots=True)
class Target:
    """A model as one route serves it right now."""

    model_id: int
    slug: str  # as asked for
    served_slug: str  # another one where the model has retired
    price: TokenPrice
    upstream: Upstream
    upstream_model: str
    route: str  # the upstream's name in the catalogue, where the sandbox stands in for it too
    priority: int
    weight: int
    supports: dict[str, Any]
    input_modalities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None


@dataclass(frozen=True, slots=True)
class Reach:
    """A route that can be used here."""

    upstream: Upstream
    upstream_model: str
    route: str
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True)
class _Entry:
    model: Model
    schedule: tuple[tuple[datetime, TokenPrice], ...]  # oldest first
    routes: tuple[Reach, ...]


class Directory:
    """All models by id. ``load`` reads the database (blocking); ``routes_to`` only looks up."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._version: tuple[str, ...] | None = None

    def load(self) -> None:
        """Reads the catalogue if it changed since the last time."""
        version = _version()
        if version == self._version:
            return
        prices = {price.pk: price for price in Price.objects.all()}
        models = Model.objects.filter(is_listed=True).select_related("provider").prefetch_related("routes")
        self._entries = {model.slug: _entry(model, prices) for model in models}
        self._version = version

    def routes_to(self, slug: str) -> list[Target]:
        """All ways to a model, at least one. Raises ModelNotFound (naming near matches) or NoUpstreamAvailable."""
        entry = self._entries.get(slug)
        if entry is None:
            raise ModelNotFound(self._not_found(slug), param="model")
        entry = self._successor_of(entry)
        model = entry.model
        if model.kind != Model.Kind.CHAT:
            raise NoUpstreamAvailable(f"`{slug}` makes {model.kind}s and is not served here yet.", param="model")
        price = current(entry.schedule)
        if not entry.routes or price is None:
            raise NoUpstreamAvailable(f"`{slug}` cannot be reached from here right now.", param="model")
        return [
            Target(
                model_id=model.pk,
                slug=slug,
                served_slug=model.slug,
                price=price,
                upstream=reach.upstream,
                upstream_model=reach.upstream_model,
                route=reach.route,
                priority=reach.priority,
                weight=reach.weight,
                supports=model.supports,
                input_modalities=tuple(model.input_modalities),
                context_window=model.context_window,
                max_output_tokens=model.max_output_tokens,
            )
            for reach in entry.routes
        ]

    def _successor_of(self, entry: _Entry) -> _Entry:
        """A retired model is answered by its named successor, at the successor's price."""
        while has_retired(entry.model) and entry.model.successor in self._entries:
            entry = self._entries[entry.model.successor]
        return entry

    def _not_found(self, slug: str) -> str:
        same_name = [known for known in self._entries if known.partition("/")[2] == slug.rpartition("/")[2].lower()]
        near = same_name or difflib.get_close_matches(slug.lower(), list(self._entries), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(f'`{known}`' for known in near)}?" if near else ""
        return f"There is no model `{slug[:100]}`.{hint} GET /api/v1/models lists them all."


def has_retired(model: Model) -> bool:
    return model.retires_on is not None and model.retires_on <= clock.now().date()


def current(schedule: tuple[tuple[datetime, TokenPrice], ...]) -> TokenPrice | None:
    """The price in force: the latest that is not in the future."""
    now = clock.now()
    return next((price for effective_at, price in reversed(schedule) if effective_at <= now), None)


def reaches(model: Model) -> tuple[Reach, ...]:
    """The routes that can be used here, by priority. The sandbox stands in for a model's vendors, but never beside one: a call
    that a real vendor failed must not be answered, and charged, by a stand-in.
    """
    found = [
        Reach(upstream, route.upstream_model, route.upstream, route.priority, route.weight)
        for route in model.routes.all()
        if (upstream := registry.reach(route.upstream)) is not None
    ]
    real = tuple(reach for reach in found if not reach.upstream.is_sandbox)
    return real or tuple(found[:1])


def _entry(model: Model, prices: dict[int, Price]) -> _Entry:
    schedule: list[tuple[datetime, TokenPrice]] = []
    if model.kind == Model.Kind.CHAT:
        rows = sorted((prices[i] for i in model.price_ids), key=lambda row: row.effective_at)
        schedule = [(row.effective_at, TokenPrice.of(row.pk, row.rates)) for row in rows if row.rates]
    return _Entry(model, tuple(schedule), reaches(model))


# ---------------------------------------------------------------- the choice


def in_order(targets: Sequence[Target], preferences: Preferences, health: Health) -> list[Target]:
    """The routes that the caller's wishes leave, best first; those that have been failing come last. May be empty."""
    wished = [target for target in targets if _is_wished(target, preferences)]
    if preferences.sort:
        wished.sort(key=lambda target: _rank(target, preferences.sort, health))
    else:
        wished = _balanced(wished)
    if len(wished) > 1:
        now = time.monotonic()
        fit = {id(target): health_of(health, target).is_fit(now) for target in wished}
        wished.sort(key=lambda target: not fit[id(target)])
    if not preferences.order:
        return wished if preferences.allow_fallbacks else wished[:1]
    # an order that was given stands, however those routes have been doing
    named = [target for name in preferences.order for target in wished if name in _names(target)]
    return named + [target for target in wished if target not in named and preferences.allow_fallbacks]


def health_of(health: Health, target: Target) -> RouteHealth:
    return health.of(target.upstream.name, target.upstream_model)


def _names(target: Target) -> tuple[str, str]:
    return target.route, target.upstream.name


def _is_wished(target: Target, preferences: Preferences) -> bool:
    names, rates = _names(target), target.price.tiers[0]
    if preferences.only and not set(names) & set(preferences.only):
        return False
    if set(names) & set(preferences.ignore):
        return False
    too_dear = (
        preferences.max_input_nanos is not None and rates.input > preferences.max_input_nanos,
        preferences.max_output_nanos is not None and rates.output > preferences.max_output_nanos,
    )
    return not any(too_dear)


def _rank(target: Target, sort: str, health: Health) -> tuple[bool, float]:
    """What is not known yet comes after what is."""
    route = health_of(health, target)
    known = {
        "price": target.price.tiers[0].input + target.price.tiers[0].output,
        "latency": route.first_byte_seconds,
        "throughput": route.tokens_per_second and -route.tokens_per_second,
    }[sort]
    return known is None, known or 0


def _balanced(targets: list[Target]) -> list[Target]:
    """By priority; among equals by chance, in the share of their weights."""
    if len(targets) < 2:
        return targets
    # Efraimidis and Spirakis (2006): the largest u^(1/w) is drawn with a chance of w in the sum of weights
    return sorted(targets, key=lambda target: (target.priority, -(random.random() ** (1 / target.weight))))  # noqa: S311


def _version() -> tuple[str, ...]:
    """A fingerprint of the rows themselves: it cannot be forgotten by whoever changes one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT md5(string_agg(m::text, ',' ORDER BY m.id)) FROM model m),"
            " (SELECT md5(string_agg(r::text, ',' ORDER BY r.id)) FROM route r)"
        )
        return tuple(cursor.fetchone())
