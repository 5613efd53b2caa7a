"""Events: what happened, with the object as it was then."""

from billing.stripe_sandbox import deliveries, lists
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import new_id

API_VERSION = "2026-10-28.endive"


def emit(call: Call, type: str, obj: Json, previous: Json | None = None) -> None:
    """``previous`` holds the former values of the fields that changed."""
    event: Json = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": call.store.now(),
        "data": {"object": obj, **({"previous_attributes": previous} if previous else {})},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
        "type": type,
    }
    call.store.add(event)
    deliveries.queue(call.store, event["id"], type, further_copies=call.duplicate_events)


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("event", id)


def listing(call: Call) -> Json:
    return lists.events_page(call, "/v1/events")
