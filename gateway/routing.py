"""Which model a client means, what it costs now, and where it is reached. A snapshot of the catalogue, read anew on change."""

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from billing.models import Price
from billing.pricing import TokenPrice
from gateway.errors import ModelNotFound, NoUpstreamAvailable
from gateway.models import Model
from gateway.upstreams import registry
from gateway.upstreams.registry import Upstream
from tokenhub import clock


@dataclass(frozen=True, slots=True)
class Target:
    """A model as it is served right now."""

    model_id: int
    slug: str  # as asked for
    served_slug: str  # another one where the model has retired
    price: TokenPrice
    upstream: Upstream
    upstream_model: str
    supports: dict[str, Any]
    input_modalities: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None


@dataclass(frozen=True, slots=True)
class _Entry:
    model: Model
    schedule: tuple[tuple[datetime, TokenPrice], ...]  # oldest first
    upstream: Upstream | None
    upstream_model: str


class Directory:
    """All models by id. ``load`` reads the database (blocking); ``find`` only looks up."""

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

    def find(self, slug: str) -> Target:
        """Raises ModelNotFound (naming near matches) or NoUpstreamAvailable."""
        entry = self._entries.get(slug)
        if entry is None:
            raise ModelNotFound(self._not_found(slug), param="model")
        entry = self._successor_of(entry)
        model = entry.model
        if model.kind != Model.Kind.CHAT:
            raise NoUpstreamAvailable(f"`{slug}` makes {model.kind}s and is not served here yet.", param="model")
        price = current(entry.schedule)
        if entry.upstream is None or price is None:
            raise NoUpstreamAvailable(f"`{slug}` cannot be reached from here right now.", param="model")
        return Target(
            model_id=model.pk,
            slug=slug,
            served_slug=model.slug,
            price=price,
            upstream=entry.upstream,
            upstream_model=entry.upstream_model,
            supports=model.supports,
            input_modalities=tuple(model.input_modalities),
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
        )

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


def serving(model: Model) -> tuple[Upstream | None, str]:
    """The first route that can be reached, and the name it knows the model by."""
    for route in model.routes.all():
        upstream = registry.reach(route.upstream)
        if upstream is not None:
            return upstream, route.upstream_model
    return None, ""


def _entry(model: Model, prices: dict[int, Price]) -> _Entry:
    schedule: list[tuple[datetime, TokenPrice]] = []
    if model.kind == Model.Kind.CHAT:
        rows = sorted((prices[i] for i in model.price_ids), key=lambda row: row.effective_at)
        schedule = [(row.effective_at, TokenPrice.of(row.pk, row.rates)) for row in rows if row.rates]
    upstream, upstream_model = serving(model)
    return _Entry(model, tuple(schedule), upstream, upstream_model)


def _version() -> tuple[str, ...]:
    """A fingerprint of the rows themselves: it cannot be forgotten by whoever changes one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT md5(string_agg(m::text, ',' ORDER BY m.id)) FROM model m),"
            " (SELECT md5(string_agg(r::text, ',' ORDER BY r.id)) FROM route r)"
        )
        return tuple(cursor.fetchone())
