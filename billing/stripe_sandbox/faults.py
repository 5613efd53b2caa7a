"""Faults on demand: the next requests that fit go wrong, each in the way that was ordered."""

from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.errors import Json, StripeError
from billing.stripe_sandbox.store import Store

#: `timeout` and `reset` do not execute the request; `lost_answer` does, and its answer never arrives
KINDS = ("429", "500", "timeout", "reset", "lost_answer")


def add(store: Store, params: Json) -> list[Json]:
    fault = {
        "count": read.integer(params, "count", 1) or 0,
        "kind": read.choice(params, "kind", KINDS, "500"),
        "path": read.text(params, "path", "/v1/"),
        "method": read.text(params, "method"),
    }
    faults = [*planned(store), fault]
    store.set_setting("faults", faults)
    return faults


def planned(store: Store) -> list[Json]:
    return list(store.setting("faults", []))


def clear(store: Store) -> None:
    store.set_setting("faults", [])


def take(store: Store, method: str, path: str) -> str | None:
    """The kind of fault this request suffers; it is counted."""
    faults = planned(store)
    for fault in faults:
        if path.startswith(fault["path"]) and fault["method"] in (None, method):
            fault["count"] -= 1
            store.set_setting("faults", [fault for fault in faults if fault["count"] > 0])
            return str(fault["kind"])
    return None


def as_error(kind: str) -> StripeError:
    if kind == "429":
        return StripeError(429, "Too many requests. Please try again later.", code="rate_limit")
    return StripeError(500, "An unknown error occurred.", type="api_error")
