"""Stripe's parameters: forms whose names nest, ``metadata[order]=7&line_items[0][quantity]=1``."""

from typing import Any
from urllib.parse import parse_qsl

from billing.stripe_sandbox.errors import Json, invalid

METADATA_KEYS_MOST = 50


def decode(text: str) -> Json:
    """Nested dicts and lists of strings. Lists come as ``a[]=`` or ``a[0]=``."""
    root: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        _put(root, [head, *rest], value)
    return {name: _with_lists(value) for name, value in root.items()}


def text(params: Json, name: str, default: str | None = None) -> str | None:
    """A string, or the default where it is absent or blank (Stripe reads blank as unset)."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {name}", name)
    return value


def required(params: Json, name: str) -> Any:
    value = params.get(name)
    if value is None or value == "":
        raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
    return value


def integer(params: Json, name: str, default: int | None = None) -> int | None:
    value = params.get(name)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer") from None


def amount_cents(params: Json, name: str, *, least: int = 1) -> int:
    """A required amount in the currency's smallest unit."""
    required(params, name)
    cents = integer(params, name, 0) or 0
    if cents < least:
        raise invalid("This value must be greater than or equal to 1.", name, "parameter_invalid_integer")
    return cents


def flag(params: Json, name: str, default: bool = False) -> bool:
    value = params.get(name)
    if value is None or value == "":
        return default
    if value not in ("true", "false", "1", "0"):
        raise invalid(f"Invalid boolean: {value}", name)
    return value in ("true", "1")


def choice(params: Json, name: str, options: tuple[str, ...], default: str) -> str:
    value = text(params, name, default)
    if value not in options:
        raise invalid(f"Invalid {name}: must be one of {', '.join(options)}", name)
    return value


def mapping(params: Json, name: str) -> Json:
    value = params.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid(f"Invalid hash: {name}", name)
    return value


def texts(params: Json, name: str) -> list[str]:
    value = params.get(name)
    if value is None or value == "":
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"Invalid array: {name}", name)
    return value


def metadata(params: Json, kept: Json | None = None) -> Json:
    """The object's metadata after this request: names merge, a blank value removes."""
    given = params.get("metadata")
    if given == "":
        return {}
    merged = {**(kept or {}), **mapping(params, "metadata")}
    merged = {name: value for name, value in merged.items() if value != ""}
    if len(merged) > METADATA_KEYS_MOST:
        raise invalid(f"You may only specify up to {METADATA_KEYS_MOST} metadata keys.", "metadata")
    return merged


def only(params: Json, *names: str) -> None:
    """Raises the error of an unknown parameter, as Stripe does, so that a misspelt one is noticed."""
    for name in params:
        if name not in names and name != "expand":
            raise invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def _put(node: Json, path: list[str], value: str) -> None:
    head, *rest = path
    if head == "":  # `a[]=`: the next place of the list
        head = str(len(node))
    if not rest:
        node[head] = value
        return
    child = node.setdefault(head, {})
    if not isinstance(child, dict):
        raise invalid(f"Invalid hash: {head}", head)
    _put(child, rest, value)


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    items = {name: _with_lists(item) for name, item in value.items()}
    if items and all(name.isdigit() for name in items):
        return [items[name] for name in sorted(items, key=int)]
    return items
