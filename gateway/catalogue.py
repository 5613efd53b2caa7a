"""The catalogue in the database: who offers what, reached how, at which price.

The reviewed files under ``catalogue/`` are the source (``catalogue_files`` reads them); ``sync`` writes what differs
and ``current_price`` reads.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from billing.models import Price
from gateway.catalogue_files import (
    Catalogue,
    CatalogueError,
    ModelEntry,
    PriceEntry,
    check_successors,
    load_file,
    load_files,
)
from gateway.catalogue_shapes import RouteShape
from gateway.models import Model, Provider, Route
from tokenhub.money import usd_string

__all__ = ["Catalogue", "CatalogueError", "current_price", "load_file", "load_files", "sync"]

#: any number of its own: two processes that start together must not both insert the same price
SYNC_LOCK = 7_301_512_764


def sync(catalogue: Catalogue) -> list[str]:
    """Brings the database to what the files say, in one transaction. Returns a line for each change.

    A price row is never edited: a change, even a correction of the same date, is a new row, and calls keep theirs.
    """
    changes: list[str] = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SYNC_LOCK])
        if not catalogue.is_complete:
            in_database = set(Model.objects.filter(is_listed=True).values_list("slug", flat=True))
            check_successors(catalogue, known=in_database | {model.slug for model in catalogue.models})
        for group in catalogue.groups:
            provider, provider_changes = _write(Provider, group.slug, group.columns)
            changes += provider_changes
            for entry in group.models:
                changes += _sync_model(provider, entry)
        changes += _unlist_missing(catalogue)
    return changes


def _sync_model(provider: Provider, entry: ModelEntry) -> list[str]:
    price_ids, price_changes = _sync_prices(entry)
    model, changes = _write(Model, entry.slug, {**entry.columns, "provider_id": provider.pk, "price_ids": price_ids})
    return changes + price_changes + _sync_routes(model, entry.routes)


def _sync_prices(entry: ModelEntry) -> tuple[list[int], list[str]]:
    """Ids of the schedule, oldest first, and what was inserted for it."""
    ids, changes = [], []
    for price in entry.prices:
        latest = Price.objects.filter(sku=entry.slug, effective_at=price.effective_at).order_by("-id").first()
        if latest is None or latest.digest != price.digest:
            changes.append(f"{entry.slug}: price from {price.effective_at:%Y-%m-%d}: {_price_change(latest, price)}")
            latest = Price.objects.create(
                sku=entry.slug,
                effective_at=price.effective_at,
                rates=price.rates,
                cost=price.cost,
                source=price.source,
                digest=price.digest,
            )
        ids.append(latest.id)
    return ids, changes


def _price_change(old: Price | None, new: PriceEntry) -> str:
    if old is None:
        return "new"
    before, after = _amounts(old.rates), _amounts(new.rates)
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name, '–')} → {after.get(name, '–')}" for name in changed) or "cost"


def _amounts(rates: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A price's amounts by name, in USD, for people to read."""
    nanos = rates.get("per_million") or rates["per_unit"]
    amounts = {prefix + name: "none" if value is None else usd_string(value) for name, value in nanos.items()}
    for tier in rates.get("tiers", ()):
        amounts |= _amounts(tier, f"above {tier['above_input_tokens']} ")
    return amounts


def _sync_routes(model: Model, wanted: list[RouteShape]) -> list[str]:
    new = [
        (route.upstream, route.upstream_model, place if route.priority is None else route.priority, route.weight)
        for place, route in enumerate(wanted)
    ]
    old = [(route.upstream, route.upstream_model, route.priority, route.weight) for route in model.routes.all()]
    new.sort(key=lambda route: route[2])
    if old == new:
        return []
    model.routes.all().delete()
    Route.objects.bulk_create(
        Route(model=model, upstream=upstream, upstream_model=upstream_model, priority=priority, weight=weight)
        for upstream, upstream_model, priority, weight in new
    )
    return [f"{model.slug}: routes {', '.join(f'{upstream} {name}' for upstream, name, _, _ in new)}"]


def _unlist_missing(catalogue: Catalogue) -> list[str]:
    """Models that left the files stay in the database, because calls refer to them, but are no longer offered."""
    missing = Model.objects.filter(is_listed=True).exclude(slug__in=[model.slug for model in catalogue.models])
    if not catalogue.is_complete:
        missing = missing.filter(provider__slug__in=[group.slug for group in catalogue.groups])
    changes = [f"{slug}: no longer listed" for slug in missing.values_list("slug", flat=True)]
    missing.update(is_listed=False)
    return changes


def _write[Row: models.Model](kind: type[Row], slug: str, columns: dict[str, Any]) -> tuple[Row, list[str]]:
    row = kind._default_manager.filter(slug=slug).first()
    if row is None:
        return kind._default_manager.create(slug=slug, **columns), [f"{slug}: new {kind._meta.verbose_name}"]
    changed = [name for name, value in columns.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, columns[name])
    if changed:
        row.save(update_fields=changed)
    return row, [f"{slug}: {', '.join(changed)} changed"] if changed else []


# ---------------------------------------------------------------- reading
def current_price(model: Model, at: datetime) -> Price | None:
    """The price in force at a moment: of the model's schedule, the latest that has begun. None before the first."""
    begun = Price.objects.filter(id__in=model.price_ids, effective_at__lte=at)
    return begun.order_by("-effective_at").first()
