"""/v1/payment_intents"""

from billing.stripe_sandbox import events, lists, payment_methods, payments
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, refused

ACCEPTED = (
    "amount", "currency", "automatic_payment_methods", "capture_method", "confirm", "customer", "description",
    "error_on_requires_action", "mandate", "mandate_data", "metadata", "off_session", "payment_method",
    "payment_method_options", "payment_method_types", "receipt_email", "return_url", "setup_future_usage",
    "shipping", "statement_descriptor", "statement_descriptor_suffix", "use_stripe_sdk",
)  # fmt: skip
CONFIRM_ACCEPTED = (
    "payment_method", "off_session", "return_url", "error_on_requires_action", "mandate", "mandate_data",
    "receipt_email", "setup_future_usage", "use_stripe_sdk", "payment_method_options", "payment_method_types",
)  # fmt: skip
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELLATION_REASONS = ("", "abandoned", "duplicate", "fraudulent", "requested_by_customer")
CENTS_LEAST = 50


def create(call: Call) -> Json:
    params = call.params
    read.only(params, *ACCEPTED)
    amount_cents = read.amount_cents(params, "amount")
    currency = str(read.required(params, "currency")).lower()
    if amount_cents < CENTS_LEAST:
        raise invalid("Amount must be at least $0.50 usd", "amount", "amount_too_small")
    customer = read.text(params, "customer")
    if customer:
        call.store.get("customer", customer, param="customer")
    confirms = read.flag(params, "confirm")
    if read.text(params, "off_session") and not confirms:
        raise invalid("`off_session` can only be set when `confirm` is true.", "off_session")
    method = _method(call, customer)
    automatic = read.mapping(params, "automatic_payment_methods")
    intent = payments.new_intent(
        call,
        amount_cents=amount_cents,
        currency=currency,
        automatic_payment_methods={"enabled": True, **({"allow_redirects": r} if (r := automatic.get("allow_redirects")) else {})} if automatic else None,
        customer=customer,
        description=read.text(params, "description"),
        metadata=read.metadata(params),
        payment_method=method["id"] if method else None,
        payment_method_types=read.texts(params, "payment_method_types") or ["card"],
        receipt_email=read.text(params, "receipt_email"),
        setup_future_usage=read.text(params, "setup_future_usage"),
        statement_descriptor=read.text(params, "statement_descriptor"),
        statement_descriptor_suffix=read.text(params, "statement_descriptor_suffix"),
        status="requires_confirmation" if method else "requires_payment_method",
    )  # fmt: skip
    return _confirm(call, intent, method) if confirms else intent


def confirm(call: Call, id: str) -> Json:
    read.only(call.params, *CONFIRM_ACCEPTED)
    intent = call.store.get("payment_intent", id)
    if intent["status"] not in CONFIRMABLE:
        raise _unexpected(intent, "confirm")
    named = _method(call, intent["customer"])
    kept = intent["payment_method"]
    return _confirm(call, intent, named or (call.store.get("payment_method", kept) if kept else None))


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("payment_intent", id)


def update(call: Call, id: str) -> Json:
    read.only(call.params, "metadata", "description", "receipt_email")
    intent = call.store.get("payment_intent", id)
    intent["metadata"] = read.metadata(call.params, intent["metadata"])
    intent["description"] = read.text(call.params, "description", intent["description"])
    intent["receipt_email"] = read.text(call.params, "receipt_email", intent["receipt_email"])
    return call.store.save(intent)


def listing(call: Call) -> Json:
    return lists.page(call, "payment_intent", "/v1/payment_intents", {"customer": "customer"})


def cancel(call: Call, id: str) -> Json:
    intent = call.store.get("payment_intent", id)
    if intent["status"] in ("succeeded", "canceled", "processing"):
        raise _unexpected(intent, "cancel")
    reason = read.choice(call.params, "cancellation_reason", CANCELLATION_REASONS, "")
    intent.update(status="canceled", canceled_at=call.store.now(), cancellation_reason=reason or None, next_action=None)
    call.store.save(intent)
    events.emit(call, "payment_intent.canceled", intent)
    return intent


def _confirm(call: Call, intent: Json, method: Json | None) -> Json:
    if method is None:
        raise refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. "
            "To confirm the PaymentIntent, specify a payment method attached to this customer along with the customer.",
            "payment_intent_unexpected_state",
            payment_intent=intent,
        )
    alone = read.text(call.params, "off_session", "false") not in ("false", "0")  # also `one_off`, `recurring`
    off_session = alone or read.flag(call.params, "error_on_requires_action")
    return_url = read.text(call.params, "return_url", "") or ""
    return payments.attempt(call, intent, method, off_session=off_session, return_url=return_url)


def _method(call: Call, customer: str | None) -> Json | None:
    """The method the request names. One that belongs to a customer pays for that customer alone."""
    id = read.text(call.params, "payment_method")
    if id is None:
        return None
    method = payment_methods.given(call, id)
    if method["customer"] and method["customer"] != customer:
        raise invalid(
            "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a Customer "
            "first, and name that Customer.",
            "payment_method",
        )
    if call.store.backstage(id).get("detached"):
        raise invalid(
            "The provided PaymentMethod was previously detached from a Customer and may not be used again.",
            "payment_method",
        )
    return method


def _unexpected(intent: Json, verb: str) -> Exception:
    return refused(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        "payment_intent_unexpected_state",
        payment_intent=intent,
    )
