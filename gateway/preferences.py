"""Where a caller wants a call to go: the ``models`` list and the ``provider`` object, in OpenRouter's words.

``provider`` names upstreams as GET /models and the receipt do (``openai``, ``dashscope`` …), whatever their case.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.errors import InvalidRequest, UnknownParameter, UnsupportedParameter
from tokenhub.money import usd_to_nanos

MODELS_MAX = 8
NAMES_MAX = 32
SORTS = ("price", "throughput", "latency")

#: part of the object elsewhere; promises about vendors that nobody here can make
UNKEPT = (
    "data_collection",
    "enforce_distillable_text",
    "preferred_max_latency",
    "preferred_min_throughput",
    "quantizations",
    "zdr",
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """Upstreams by name, lower case. Prices in nano-USD per million tokens."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: str = ""
    max_input_nanos: int | None = None
    max_output_nanos: int | None = None
    allow_fallbacks: bool = True
    require_parameters: bool = False


ANY = Preferences()


def models_of(value: Any) -> tuple[str, ...]:
    """The fallback list. Raises InvalidRequest."""
    fine = isinstance(value, list) and 0 < len(value) <= MODELS_MAX
    if not fine or not all(isinstance(slug, str) and 0 < len(slug) <= 200 for slug in value):
        raise InvalidRequest(f"`models` must be a list of at most {MODELS_MAX} model ids.", param="models")
    return tuple(value)


def preferences_of(value: Any) -> Preferences:
    """The ``provider`` object. Raises InvalidRequest and its kin, naming the member."""
    if not isinstance(value, dict):
        raise InvalidRequest("`provider` must be an object.", param="provider")
    members: dict[str, Any] = {}
    for name, wish in value.items():
        if name in UNKEPT:
            raise UnsupportedParameter(
                f"`provider.{name}` is a promise that this gateway cannot make.", param=f"provider.{name}"
            )
        if name not in _MEMBERS:
            raise UnknownParameter(f"Unknown parameter: `provider.{name}`.", param=f"provider.{name}")
        if wish is not None:
            members |= _MEMBERS[name](name, wish)
    return Preferences(**members)


def _names(name: str, wish: Any) -> dict[str, Any]:
    fine = isinstance(wish, list) and len(wish) <= NAMES_MAX and all(isinstance(one, str) for one in wish)
    if not fine:
        raise InvalidRequest(f"`provider.{name}` must be a list of provider names.", param=f"provider.{name}")
    return {name: tuple(one.lower() for one in wish)}


def _flag(name: str, wish: Any) -> dict[str, Any]:
    if type(wish) is not bool:
        raise InvalidRequest(f"`provider.{name}` must be true or false.", param=f"provider.{name}")
    return {name: wish}


def _sort(name: str, wish: Any) -> dict[str, Any]:
    if wish not in SORTS:
        raise InvalidRequest(f"`provider.sort` must be one of {', '.join(SORTS)}.", param="provider.sort")
    return {"sort": wish}


def _max_price(name: str, wish: Any) -> dict[str, Any]:
    """USD per million tokens, as numbers or strings."""
    if not isinstance(wish, dict):
        raise InvalidRequest("`provider.max_price` must be an object.", param="provider.max_price")
    members = {"prompt": "max_input_nanos", "completion": "max_output_nanos"}
    limits: dict[str, Any] = {}
    for part, amount in wish.items():
        where = f"provider.max_price.{part}"
        if part not in members:
            raise UnknownParameter(f"Unknown parameter: `{where}`: name prompt and completion.", param=where)
        limits[members[part]] = _nanos(amount, where)
    return limits


def _nanos(amount: Any, where: str) -> int:
    try:
        if type(amount) not in (int, float, str):
            raise ValueError
        exact = Decimal(str(amount))  # a JSON number's shortest spelling is what the caller wrote
        return usd_to_nanos(f"{exact:f}")
    except (ValueError, InvalidOperation):
        raise InvalidRequest(f"`{where}` must be dollars per million tokens.", param=where) from None


_MEMBERS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "order": _names,
    "only": _names,
    "ignore": _names,
    "sort": _sort,
    "max_price": _max_price,
    "allow_fallbacks": _flag,
    "require_parameters": _flag,
}
