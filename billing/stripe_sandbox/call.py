"""One request as the endpoints see it."""

from dataclasses import dataclass, field

from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import Store


@dataclass
class Call:
    """``request_id`` is None for what happens by itself: an expiry, a settlement."""

    store: Store
    params: Json = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None
    #: a page's address is this, a slash and the id of a session or a payment
    page_url: str = ""
    #: further deliveries of every event of this call
    duplicate_events: int = 0
