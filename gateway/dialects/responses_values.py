"""The plain values of a Responses request, checked. Every function takes the place that a fault is to name (``where``)."""

from collections.abc import Callable
from typing import Any

from gateway.dialects.faults import Invalid, Unknown

type Json = dict[str, Any]


def object_of(value: Any, where: str, allowed: set[str] | None = None) -> Json:
    """The object without its nulls. With ``allowed``, other keys are refused."""
    if not isinstance(value, dict):
        raise Invalid(f"`{where}` must be an object.", where)
    checked = {key: inner for key, inner in value.items() if inner is not None}
    for key in checked:
        if allowed is not None and key not in allowed:
            raise Unknown(f"Unknown parameter: `{where}.{key}`.", f"{where}.{key}")
    return checked


def list_of(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid(f"`{where}` must be a list.", where)
    return value


def text_of(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"`{where}` must be a string.", where)
    return value


def name_of(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise Invalid(f"`{where}` is required, at most 64 characters.", where)
    return value


def flag_of(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise Invalid(f"`{where}` must be true or false.", where)
    return value


def whole_of(value: Any, where: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"`{where}` must be a whole number from {least} to {most}.", where)
    return value


def word_of(value: Any, where: str, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Invalid(f"`{where}` must be one of {', '.join(words)}.", where)
    return value


def check_optional(value: Json, where: str, **checks: Callable[[Any, str], object]) -> None:
    for key, check in checks.items():
        if key in value:
            check(value[key], f"{where}.{key}")
