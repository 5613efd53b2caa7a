"""Stripe, through its official SDK: the only module that imports it. No caller may be inside a transaction.

Answers become small facts of our own, so that nobody else depends on the shapes of Stripe's objects. The API version is
pinned here: an SDK update changes it on purpose or not at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import stripe
from django.conf import settings
from django.utils.translation import gettext as _

from tokenhub.errors import TokenHubError

API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = 10
NETWORK_RETRIES = 2  # the SDK repeats with the same idempotency key
SIGNATURE_SECONDS = 300  # older ones are replays; the SDK does not look unless told
EXPANDED_SESSION = ["payment_intent.payment_method", "setup_intent.payment_method"]


class PaymentsUnavailable(TokenHubError):
    """Stripe did not answer, or not with anything that we could use. What was asked may or may not have happened."""

    code = "payments_unavailable"
    status = 503


class PaymentRefused(TokenHubError):
    """Stripe understood, and will not do it: the same request would be refused again."""

    code = "payment_refused"
    status = 402
    type = "invalid_request_error"


class CardDeclined(PaymentRefused):
    """The bank refused, or wants its customer to confirm while nobody is there to do so."""

    code = "card_declined"

    def __init__(self, message: str, payment_intent_id: str):
        super().__init__(message)
        self.payment_intent_id = payment_intent_id


@dataclass(frozen=True, slots=True)
class Card:
    payment_method_id: str
    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A PaymentIntent: amounts in cents."""

    id: str
    status: str
    currency: str
    received_cents: int
    livemode: bool
    order: str  # our order's id, from the metadata; empty: not ours
    card: Card | None
    is_kept: bool  # the card may be charged again without its owner


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout session: amounts in cents."""

    id: str
    mode: str  # payment, setup
    url: str
    status: str  # open, complete, expired
    payment_status: str  # paid, unpaid, no_payment_required
    currency: str
    subtotal_cents: int
    tax_cents: int
    total_cents: int
    livemode: bool
    order: str  # client_reference_id
    customer_id: str
    payment: Payment | None
    card: Card | None  # of a setup
    billed_to: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RefundFact:
    id: str
    status: str  # pending, requires_action, succeeded, failed, canceled
    amount_cents: int
    payment_intent_id: str
    refund: str  # our row's id, from the metadata; empty: made in Stripe's dashboard
    reason: str
    failure: str


@dataclass(frozen=True, slots=True)
class DisputeFact:
    id: str
    status: str
    reason: str
    amount_cents: int
    payment_intent_id: str
    has_withdrawn: bool
    evidence_due_at: int | None  # Unix seconds


def is_configured() -> bool:
    return bool(settings.STRIPE["api_key"])


@cache
def _client() -> stripe.StripeClient:
    base = settings.STRIPE["api_base"]
    return stripe.StripeClient(
        str(settings.STRIPE["api_key"]),
        stripe_version=API_VERSION,
        base_addresses={"api": str(base)} if base else {},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )


@contextmanager
def _asking() -> Iterator[None]:
    """Stripe's errors, sorted by what a caller can do about them."""
    if not is_configured():
        raise PaymentsUnavailable(_("This server takes no payments."))
    try:
        yield
    except stripe.CardError as e:
        intent = e.error.payment_intent if e.error else None
        asked = e.code == "authentication_required"
        message = _("The bank wants its customer to confirm the payment.") if asked else e.user_message
        raise CardDeclined(message or _("The card was declined."), intent.id if intent else "") from e
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as e:
        raise PaymentRefused(e.user_message or str(e), param=e.param if hasattr(e, "param") else None) from e
    except stripe.StripeError as e:
        raise PaymentsUnavailable(_("The payment service does not answer. Nothing was taken; try again soon.")) from e


# ---------------------------------------------------------------- customers and cards


def create_customer(*, email: str, name: str, account: str) -> str:
    with _asking():
        customer = _client().v1.customers.create(
            params={"email": email, "name": name, "metadata": {"account": account}},
            options={"idempotency_key": f"customer-{account}"},
        )
    return customer.id


def portal_url(*, customer_id: str, return_url: str) -> str:
    with _asking():
        session = _client().v1.billing_portal.sessions.create(
            params={"customer": customer_id, "return_url": return_url}
        )
    return session.url


def detach(payment_method_id: str) -> None:
    with _asking():
        _client().v1.payment_methods.detach(payment_method_id)


# ---------------------------------------------------------------- paying


def create_session(
    *,
    order: str,
    customer_id: str,
    lines: list[tuple[str, int]],
    keeps_card: bool,
    expires_at: datetime,
    success_url: str,
    cancel_url: str,
) -> Session:
    """A page of Stripe's to pay ``lines`` (what, cents) on. The order's id is the idempotency key."""
    params: Any = {
        "mode": "payment",
        "customer": customer_id,
        "client_reference_id": order,
        "metadata": {"order": order},
        "payment_intent_data": {"metadata": {"order": order}},
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": "usd", "unit_amount": cents, "product_data": {"name": what}},
            }
            for what, cents in lines
        ],
        # the card's own currency would change what we compare with
        "adaptive_pricing": {"enabled": False},
        "expires_at": int(expires_at.timestamp()),
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if keeps_card:
        params["payment_method_options"] = {"card": {"setup_future_usage": "off_session"}}
    if settings.STRIPE_TAX:
        params |= {
            "automatic_tax": {"enabled": True},
            "tax_id_collection": {"enabled": True},
            "customer_update": {"address": "auto", "name": "auto"},
        }
    with _asking():
        session = _client().v1.checkout.sessions.create(params=params, options={"idempotency_key": order})
    return _session(session.to_dict())


def create_setup_session(*, customer_id: str, success_url: str, cancel_url: str) -> Session:
    """A page of Stripe's to save a card on."""
    params: Any = {
        "mode": "setup",
        "currency": "usd",
        "customer": customer_id,
        "payment_method_types": ["card"],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    with _asking():
        session = _client().v1.checkout.sessions.create(params=params)
    return _session(session.to_dict())


def session(session_id: str) -> Session:
    with _asking():
        found = _client().v1.checkout.sessions.retrieve(session_id, params={"expand": EXPANDED_SESSION})
    return _session(found.to_dict())


def expire_session(session_id: str) -> None:
    with _asking():
        _client().v1.checkout.sessions.expire(session_id)


def payment(payment_intent_id: str) -> Payment:
    with _asking():
        found = _client().v1.payment_intents.retrieve(payment_intent_id, params={"expand": ["payment_method"]})
    return _payment(found.to_dict())


def charge_card(*, order: str, customer_id: str, payment_method_id: str, amount_cents: int) -> Payment:
    """Charges a saved card while nobody is there. Raises ``CardDeclined``."""
    with _asking():
        made = _client().v1.payment_intents.create(
            params={
                "amount": amount_cents,
                "currency": "usd",
                "customer": customer_id,
                "payment_method": payment_method_id,
                "off_session": True,
                "confirm": True,
                "metadata": {"order": order},
                "expand": ["payment_method"],
            },
            options={"idempotency_key": order},
        )
    return _payment(made.to_dict())


def cancel_payment(payment_intent_id: str) -> None:
    with _asking():
        _client().v1.payment_intents.cancel(payment_intent_id)


# ---------------------------------------------------------------- going back


def create_refund(*, refund: str, payment_intent_id: str, amount_cents: int) -> RefundFact:
    """Our row's id is the idempotency key."""
    with _asking():
        made = _client().v1.refunds.create(
            params={"payment_intent": payment_intent_id, "amount": amount_cents, "metadata": {"refund": refund}},
            options={"idempotency_key": f"refund-{refund}"},
        )
    return _refund(made.to_dict())


def refund(refund_id: str) -> RefundFact:
    with _asking():
        return _refund(_client().v1.refunds.retrieve(refund_id).to_dict())


def refunds_of(payment_intent_id: str) -> list[RefundFact]:
    with _asking():
        found = _client().v1.refunds.list(params={"payment_intent": payment_intent_id, "limit": 100})
        return [_refund(one.to_dict()) for one in found.auto_paging_iter()]


def dispute(dispute_id: str) -> DisputeFact:
    with _asking():
        return _dispute(_client().v1.disputes.retrieve(dispute_id).to_dict())


# ---------------------------------------------------------------- everything since a moment, for the reconciler


def sessions_since(moment: datetime) -> Iterator[Session]:
    with _asking():
        found = _client().v1.checkout.sessions.list(
            params={
                "created": {"gte": int(moment.timestamp())},
                "limit": 100,
                "expand": [f"data.{name}" for name in EXPANDED_SESSION],
            }
        )
        for one in found.auto_paging_iter():
            yield _session(one.to_dict())


def payments_since(moment: datetime) -> Iterator[Payment]:
    with _asking():
        found = _client().v1.payment_intents.list(
            params={"created": {"gte": int(moment.timestamp())}, "limit": 100, "expand": ["data.payment_method"]}
        )
        for one in found.auto_paging_iter():
            yield _payment(one.to_dict())


def refunds_since(moment: datetime) -> Iterator[RefundFact]:
    with _asking():
        found = _client().v1.refunds.list(params={"created": {"gte": int(moment.timestamp())}, "limit": 100})
        for one in found.auto_paging_iter():
            yield _refund(one.to_dict())


def disputes_since(moment: datetime) -> Iterator[DisputeFact]:
    with _asking():
        found = _client().v1.disputes.list(params={"created": {"gte": int(moment.timestamp())}, "limit": 100})
        for one in found.auto_paging_iter():
            yield _dispute(one.to_dict())


# ---------------------------------------------------------------- what Stripe tells us


def is_signed(body: bytes, header: str) -> bool:
    """Whether one of our secrets signed these very bytes, within five minutes.

    https://docs.stripe.com/webhooks#verify-manually
    """
    for secret in settings.STRIPE["webhook_secrets"]:
        try:
            stripe.WebhookSignature.verify_header(body, header, str(secret), SIGNATURE_SECONDS)
        except (stripe.SignatureVerificationError, ValueError):
            continue
        return True
    return False


# ---------------------------------------------------------------- Stripe's objects as facts

type Json = dict[str, Any]


def _session(found: Json) -> Session:
    setup = _expanded(found.get("setup_intent"))
    intent = _expanded(found.get("payment_intent"))
    return Session(
        id=found["id"],
        mode=found["mode"],
        url=found.get("url") or "",
        status=found.get("status") or "",
        payment_status=found["payment_status"],
        currency=found.get("currency") or "",
        subtotal_cents=found.get("amount_subtotal") or 0,
        tax_cents=(found.get("total_details") or {}).get("amount_tax") or 0,
        total_cents=found.get("amount_total") or 0,
        livemode=found["livemode"],
        order=found.get("client_reference_id") or "",
        customer_id=_id(found.get("customer")),
        payment=_payment(intent) if intent else None,
        card=_card(setup.get("payment_method")) if setup else None,
        billed_to=_billed_to(found.get("customer_details") or {}),
    )


def _billed_to(details: Json) -> Json:
    address = details.get("address") or {}
    town = " ".join(filter(None, [address.get("postal_code"), address.get("city"), address.get("state")]))
    lines = [address.get("line1"), address.get("line2"), town, address.get("country")]
    return {
        "name": details.get("name") or "",
        "email": details.get("email") or "",
        "address": [line for line in lines if line],
        "tax_ids": [one["value"] for one in details.get("tax_ids") or [] if one.get("value")],
    }


def _payment(found: Json) -> Payment:
    card_options = (found.get("payment_method_options") or {}).get("card") or {}
    return Payment(
        id=found["id"],
        status=found["status"],
        currency=found["currency"],
        received_cents=found.get("amount_received") or 0,
        livemode=found["livemode"],
        order=(found.get("metadata") or {}).get("order", ""),
        card=_card(found.get("payment_method")),
        is_kept="off_session" in (found.get("setup_future_usage"), card_options.get("setup_future_usage")),
    )


def _card(method: Json | str | None) -> Card | None:
    method = _expanded(method)
    if method is None or method["type"] != "card":
        return None
    return Card(method["id"], method["card"].get("brand") or "", method["card"].get("last4") or "")


def _refund(found: Json) -> RefundFact:
    return RefundFact(
        id=found["id"],
        status=found.get("status") or "pending",
        amount_cents=found["amount"],
        payment_intent_id=_id(found.get("payment_intent")),
        refund=(found.get("metadata") or {}).get("refund", ""),
        reason=found.get("reason") or "",
        failure=found.get("failure_reason") or "",
    )


def _dispute(found: Json) -> DisputeFact:
    moves = [one["amount"] for one in found.get("balance_transactions") or []]
    return DisputeFact(
        id=found["id"],
        status=found["status"],
        reason=found.get("reason") or "",
        amount_cents=found["amount"],
        payment_intent_id=_id(found.get("payment_intent")),
        has_withdrawn=_holds_the_money(found["status"], moves),
        evidence_due_at=(found.get("evidence_details") or {}).get("due_by"),
    )


def _holds_the_money(status: str, moved_cents: list[int]) -> bool:
    """Whether the bank has our money now. An inquiry never takes any; a lost dispute never gives it back."""
    if status == "lost":
        return True
    if status.startswith("warning_") or status in ("won", "prevented"):
        return False
    return sum(moved_cents) < 0 if moved_cents else True


def _expanded(reference: Json | str | None) -> Json | None:
    """An object that was asked for whole; None where there is none, or only its id."""
    return reference if isinstance(reference, dict) else None


def _id(reference: Json | str | None) -> str:
    return str(reference["id"]) if isinstance(reference, dict) else reference or ""
