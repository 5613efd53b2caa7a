"""The reviewed files of ``catalogue/``, one a provider group: parsed, and every word checked. Pure: no database.

Money in files is a quoted decimal in the unit that the price names; ``PriceEntry`` has it in whole nano-USD, per
million tokens or per second or image, as ``billing.models.Price`` stores it. The shape is in ``catalogue_shapes``.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import msgspec
import yaml
from django.conf import settings

from gateway.catalogue_shapes import (
    ChatModel,
    ExchangeRate,
    FileShape,
    ImageModel,
    MediaCost,
    MediaPrice,
    RouteShape,
    TokenAmounts,
    TokenCost,
    TokenPrice,
    VideoModel,
)
from tokenhub.money import NANOS_PER_USD, usd_to_nanos

FOLDER = Path(__file__).parent / "catalogue"
#: positions leave room for this many models a group, so that one file can be synced without knowing the others
MODELS_PER_GROUP_MAX = 1000

#: what a file says after "USD per" or "CNY per" → ``unit`` and the name of the amounts in ``Price.rates``
MEASURES = {
    "million tokens": ("tokens", "per_million"),
    "million video tokens": ("video_tokens", "per_million"),
    "second": ("seconds", "per_unit"),
    "image": ("images", "per_unit"),
}

MODEL_SHAPES: dict[str, type[ChatModel | ImageModel | VideoModel]] = {
    "chat": ChatModel,
    "image": ImageModel,
    "video": VideoModel,
}


class CatalogueError(ValueError):
    """A file that may not be loaded. The message names the file, the model, the price and the field."""


# ---------------------------------------------------------------- what a file says, checked
@dataclass(frozen=True)
class PriceEntry:
    effective_at: datetime
    rates: dict[str, Any]  # ``Price.rates``
    cost: dict[str, Any] | None
    source: str

    @property
    def digest(self) -> str:
        canonical = json.dumps({"rates": self.rates, "cost": self.cost}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class ModelEntry:
    slug: str
    columns: dict[str, Any]  # of gateway.Model, without the provider and the price ids
    routes: list[RouteShape]
    prices: list[PriceEntry]  # oldest first


@dataclass(frozen=True)
class Group:
    slug: str
    columns: dict[str, Any]  # of gateway.Provider
    models: list[ModelEntry]


@dataclass(frozen=True)
class Catalogue:
    groups: list[Group]
    is_complete: bool = field(kw_only=True)  # False: one file, and the other groups stay as they are

    @property
    def models(self) -> list[ModelEntry]:
        return [model for group in self.groups for model in group.models]


# ---------------------------------------------------------------- files → catalogue
def load_files(folder: Path = FOLDER) -> Catalogue:
    """Every ``*.yaml`` of a folder, in the order of their groups' positions. Raises CatalogueError."""
    groups = sorted((_group(path) for path in folder.glob("*.yaml")), key=lambda group: group.columns["position"])
    if not groups:
        raise CatalogueError(f"{folder} holds no catalogue files")
    catalogue = Catalogue(groups, is_complete=True)
    _refuse_duplicates("position", [str(group.columns["position"]) for group in groups])
    _refuse_duplicates("model", [model.slug for model in catalogue.models])
    check_successors(catalogue, known={model.slug for model in catalogue.models})
    return catalogue


def load_file(path: Path) -> Catalogue:
    """One file alone. A successor from another file is looked up by ``sync``. Raises CatalogueError."""
    return Catalogue([_group(path)], is_complete=False)


def _group(path: Path) -> Group:
    with _naming(path.name):
        document = msgspec.convert(_read(path), FileShape)
        group = document.group
        if path.stem != group.slug:
            raise CatalogueError(f"group.slug is {group.slug!r}: a file is named after its group")
        if not 0 < len(document.models) < MODELS_PER_GROUP_MAX:
            raise CatalogueError(f"models: a group has 1 to {MODELS_PER_GROUP_MAX - 1}")
        first = group.position * MODELS_PER_GROUP_MAX
        nanos_per_yuan = _nanos_per_yuan(document.exchange_rate)
        models = [_model(model, first + n, nanos_per_yuan) for n, model in enumerate(document.models)]
        _refuse_duplicates("model", [model.slug for model in models])
    columns = {"name": group.name, "description": group.description, "position": group.position}
    return Group(group.slug, columns, models)


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise CatalogueError(str(e)) from e


class _StrictLoader(yaml.SafeLoader):
    """YAML lets a key that is written twice win silently; in a price file that is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _refuse_duplicates("key", [str(key.value) for key, _ in node.value])
        return super().construct_mapping(node, deep)


def _model(document: dict[str, Any], position: int, nanos_per_yuan: Fraction | None) -> ModelEntry:
    with _naming(str(document.get("id", "a model without id"))):
        shape = MODEL_SHAPES.get(str(document.get("kind")))
        if shape is None:
            raise CatalogueError(f"kind is {document.get('kind')!r}: use one of {', '.join(MODEL_SHAPES)}")
        model = msgspec.convert(document, shape)
        _check_model(model)
        columns = {
            "name": model.name,
            "description": model.description,
            "kind": model.kind,
            "context_window": model.context_window if isinstance(model, ChatModel) else None,
            "max_output_tokens": model.max_output_tokens if isinstance(model, ChatModel) else None,
            "input_modalities": list(model.input_modalities),
            "output_modalities": list(model.output_modalities),
            "supports": document["supports"],
            "retires_on": model.retires_on,
            "successor": model.successor,
            "position": position,
            "is_listed": True,
        }
        prices = [_price(price, nanos_per_yuan) for price in model.prices]
        return ModelEntry(model.id, columns, model.routes, prices)


def _check_model(model: ChatModel | ImageModel | VideoModel) -> None:
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", model.id):
        raise CatalogueError("id: use provider/model in lower case")
    if not model.routes:
        raise CatalogueError("routes: a model needs at least one")
    for route in model.routes:
        if route.upstream != "sandbox" and route.upstream not in settings.UPSTREAMS:
            raise CatalogueError(f"routes: there is no upstream {route.upstream!r}")
        if route.weight < 1:
            raise CatalogueError("routes: a weight is at least 1")
    if model.successor and not model.retires_on:
        raise CatalogueError("successor: only a model with retires_on has one")
    if not model.prices:
        raise CatalogueError("prices: a model needs at least one")
    dates = [price.since for price in model.prices]
    if dates != sorted(set(dates)):
        raise CatalogueError("prices: `from` dates must ascend, oldest first, each once")


def _price(price: TokenPrice | MediaPrice, nanos_per_yuan: Fraction | None) -> PriceEntry:
    with _naming(f"prices from {price.since}"):
        currency, _, measure = price.unit.partition(" per ")
        if currency == "CNY" and nanos_per_yuan is None:
            raise CatalogueError("unit: a price in CNY needs the file's exchange_rate")
        unit, amounts = MEASURES[measure]

        def normalised(rates: TokenCost | MediaCost) -> dict[str, Any]:
            in_nanos = _Nanos(nanos_per_yuan if currency == "CNY" else None)
            if isinstance(rates, TokenCost):
                return {"unit": unit, **_token_rates(rates, in_nanos)}
            return {"unit": unit, amounts: _media_rates(rates, in_nanos), **_image_rules(rates)}

        rates = normalised(price)
        if isinstance(price, MediaPrice):
            _check_reasons(rates[amounts], price.not_for_sale)
        with _naming("cost"):
            cost = {"same": rates, "none": None}[price.cost] if isinstance(price.cost, str) else normalised(price.cost)
        return PriceEntry(datetime.combine(price.since, time(), UTC), rates, cost, price.source)


def _token_rates(rates: TokenCost, in_nanos: "_Nanos") -> dict[str, Any]:
    thresholds = [tier.above_input_tokens for tier in rates.tiers]
    if thresholds != sorted(set(thresholds)) or any(threshold <= 0 for threshold in thresholds):
        raise CatalogueError("tiers: above_input_tokens must be positive and ascend")
    tiers = []
    for tier in rates.tiers:
        with _naming(f"tier above {tier.above_input_tokens}"):
            tiers.append({"above_input_tokens": tier.above_input_tokens, "per_million": _token_amounts(tier, in_nanos)})
    return {"per_million": _token_amounts(rates, in_nanos), "tiers": tiers}


def _token_amounts(rates: TokenAmounts, in_nanos: "_Nanos") -> dict[str, int | None]:
    nanos = {
        "input": in_nanos("input", rates.input),
        "cached_input": in_nanos("cached_input", rates.cached_input, least=0),
        "cache_write": in_nanos("cache_write", rates.cache_write, least=0),
        "cache_write_1h": in_nanos("cache_write_1h", rates.cache_write_1h, least=0),
        "output": in_nanos("output", rates.output),
    }
    if (nanos["cached_input"] or 0) > (nanos["input"] or 0):
        raise CatalogueError(f"cached_input: {rates.cached_input} is dearer than the input's {rates.input}")
    return nanos


def _media_rates(rates: MediaCost, in_nanos: "_Nanos") -> dict[str, int | None]:
    """Flat: ``720p``, or ``720p.no_video_input`` where a vendor distinguishes twice."""
    amounts: dict[str, str | None] = {}
    for name, amount in rates.rates.items():
        amounts |= {f"{name}.{key}": v for key, v in amount.items()} if isinstance(amount, dict) else {name: amount}
    if not amounts:
        raise CatalogueError("rates: there is none")
    return {name: in_nanos(name, amount, least=0 if name == "input_image" else 1) for name, amount in amounts.items()}


def _image_rules(rates: MediaCost) -> dict[str, int]:
    rules = {"tier_boundary_pixels": rates.tier_boundary_pixels, "free_input_images": rates.free_input_images}
    return {name: value for name, value in rules.items() if value}


def _check_reasons(rates: Mapping[str, int | None], not_for_sale: Mapping[str, str]) -> None:
    without_price = {name for name, nanos in rates.items() if nanos is None}
    for name in sorted(without_price ^ set(not_for_sale)):
        raise CatalogueError(f"not_for_sale: {name}: a rate is null exactly where a reason is given")


@dataclass(frozen=True)
class _Nanos:
    """An amount as written to nano-USD. Yuan are converted exactly and rounded up to a whole nano, once."""

    nanos_per_yuan: Fraction | None  # None: the amount is in USD

    def __call__(self, name: str, amount: str | None, *, least: int = 1) -> int | None:
        if amount is None:
            return None
        with _naming(name):
            digits = _digits(amount)
            nanos = (
                usd_to_nanos(digits) if self.nanos_per_yuan is None else ceil(Fraction(digits) * self.nanos_per_yuan)
            )
            if nanos < least:
                raise CatalogueError(f"{amount!r} is too little")
            return nanos


def _nanos_per_yuan(rate: ExchangeRate | None) -> Fraction | None:
    if rate is None:
        return None
    with _naming("exchange_rate"):
        return Fraction(_digits(rate.USD)) / Fraction(_digits(rate.CNY)) * NANOS_PER_USD


def _digits(amount: str) -> str:
    """The amount itself: what Decimal reads beyond plain digits (signs, exponents, other alphabets) is a slip here."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", amount):
        raise CatalogueError(f'{amount!r} is not an amount: write digits such as "0.50"')
    return amount


def check_successors(catalogue: Catalogue, known: set[str]) -> None:
    for model in catalogue.models:
        successor = model.columns["successor"]
        if successor and (successor not in known or successor == model.slug):
            raise CatalogueError(f"{model.slug}: successor: there is no other model {successor!r}")


def _refuse_duplicates(what: str, names: list[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise CatalogueError(f"{what} {name} is there twice")


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Says where a mistake is: each level puts its own name in front."""
    try:
        yield
    except (ValueError, ArithmeticError, msgspec.ValidationError) as e:
        raise CatalogueError(f"{place}: {e}") from e
