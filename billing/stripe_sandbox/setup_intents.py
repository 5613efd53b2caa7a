"""/v1/setup_intents: a method saved without a payment."""

from billing.stripe_sandbox import cards, events, lists, payment_methods
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, StripeError, refused
from billing.stripe_sandbox.store import new_id

ACCEPTED = (
    "automatic_payment_methods", "confirm", "customer", "description", "metadata", "payment_method",
    "payment_method_types", "payment_method_options", "return_url", "usage",
)  # fmt: skip


def create(call: Call) -> Json:
    params = call.params
    read.only(params, *ACCEPTED)
    customer = read.text(params, "customer")
    if customer:
        call.store.get("customer", customer, param="customer")
    id = read.text(params, "payment_method")
    method = payment_methods.given(call, id) if id else None
    intent = new_intent(
        call,
        customer=customer,
        description=read.text(params, "description"),
        metadata=read.metadata(params),
        payment_method=method["id"] if method else None,
        payment_method_types=read.texts(params, "payment_method_types") or ["card"],
        usage=read.choice(params, "usage", ("off_session", "on_session"), "off_session"),
    )
    return confirm(call, intent["id"]) if read.flag(params, "confirm") else intent


def confirm(call: Call, id: str) -> Json:
    intent = call.store.get("setup_intent", id)
    named = read.text(call.params, "payment_method") or intent["payment_method"]
    if intent["status"] in ("succeeded", "canceled") or not named:
        raise refused("This SetupIntent cannot be confirmed.", "setup_intent_unexpected_state", setup_intent=intent)
    return attempt(call, intent, payment_methods.given(call, named))


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("setup_intent", id)


def listing(call: Call) -> Json:
    return lists.page(call, "setup_intent", "/v1/setup_intents", {"customer": "customer"})


def attempt(call: Call, intent: Json, method: Json, *, authenticated: bool = False) -> Json:
    """The intent after the attempt: succeeded, or requires_action. Raises 402 where the card is declined."""
    card = payment_methods.card_behind(call.store, method)
    intent.update(payment_method=method["id"], next_action=None)
    if card is not None and card.decline and card.declines_setup:
        raise _decline(call, intent, method, card)
    if card is not None and card.authentication != "never" and not authenticated:
        intent["status"] = "requires_action"
        url = f"{call.page_url}/{intent['id']}"
        intent["next_action"] = {"redirect_to_url": {"return_url": None, "url": url}, "type": "redirect_to_url"}
        call.store.save(intent)
        events.emit(call, "setup_intent.requires_action", intent)
        return intent
    if intent["customer"]:
        payment_methods.attach(call, method, intent["customer"])
    payment_methods.remember_set_up(call, method)
    intent.update(status="succeeded", last_setup_error=None)
    call.store.save(intent)
    events.emit(call, "setup_intent.succeeded", intent)
    return intent


def new_intent(call: Call, **fields: object) -> Json:
    id = new_id("seti")
    intent = {
        "id": id,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": new_id(f"{id}_secret"),
        "created": call.store.now(),
        "customer": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
        **fields,
    }
    if intent["payment_method"]:
        intent["status"] = "requires_confirmation"
    call.store.add(intent)
    events.emit(call, "setup_intent.created", intent)
    return intent


def fail_authentication(call: Call, intent: Json) -> StripeError:
    method = call.store.get("payment_method", intent["payment_method"])
    message = (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    )
    return _failed(call, intent, method, message, code="setup_intent_authentication_failure")


def _decline(call: Call, intent: Json, method: Json, card: cards.Card) -> StripeError:
    decline = card.decline or "generic_decline"
    code = card.error_code or "card_declined"
    return _failed(call, intent, method, cards.decline_message(decline), code=code, decline_code=decline)


def _failed(call: Call, intent: Json, method: Json, message: str, **error: str) -> StripeError:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error={**error, "message": message, "payment_method": method, "type": "card_error"},
    )
    call.store.save(intent)
    events.emit(call, "setup_intent.setup_failed", intent)
    return StripeError(
        402, message, type="card_error", executed=True, setup_intent=intent, payment_method=method, **error
    )
