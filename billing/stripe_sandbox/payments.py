"""How a payment intent is paid: one attempt, and what each outcome writes and tells.

The story of an attempt: authenticate, or be declined, or wait for the bank, or succeed.
"""

from billing.stripe_sandbox import charges, events, payment_methods
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.cards import Card
from billing.stripe_sandbox.errors import Json, StripeError
from billing.stripe_sandbox.store import new_id

DOCUMENTATION = "https://docs.stripe.com/error-codes/"


def new_intent(call: Call, *, amount_cents: int, currency: str, **fields: object) -> Json:
    id = new_id("pi")
    intent = {
        "id": id,
        "object": "payment_intent",
        "amount": amount_cents,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": new_id(f"{id}_secret"),
        "confirmation_method": "automatic",
        "created": call.store.now(),
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **fields,
    }
    call.store.add(intent)
    events.emit(call, "payment_intent.created", intent)
    return intent


def attempt(
    call: Call, intent: Json, method: Json, *, off_session: bool, authenticated: bool = False, return_url: str = ""
) -> Json:
    """The intent after the attempt: succeeded, processing or requires_action. Raises 402 where it is declined."""
    card = payment_methods.card_behind(call.store, method)
    set_up = payment_methods.is_set_up(call.store, method)
    intent.update(payment_method=method["id"], next_action=None)
    if card is None:
        return _process(call, intent, method)
    if not authenticated and card.asks_authentication(is_set_up=set_up and off_session):
        if off_session:
            decline(call, intent, method, card, "authentication_required")
        return _ask_authentication(call, intent, return_url)
    if card.decline:
        decline(call, intent, method, card)
    charge = charges.begin(call, intent, method)
    return succeed(call, intent, charge)


def succeed(call: Call, intent: Json, charge: Json) -> Json:
    charges.succeed(call, charge)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        last_payment_error=None,
        next_action=None,
        processing=None,
    )
    call.store.save(intent)
    _save_method(call, intent)
    events.emit(call, "charge.succeeded", charge)
    events.emit(call, "payment_intent.succeeded", intent)
    card = payment_methods.card_behind(call.store, {"id": charge["payment_method"]})
    if card is not None and card.dispute:
        call.store.add_errand("dispute", charge["id"], after_seconds=0)
    return intent


def decline(call: Call, intent: Json, method: Json, card: Card, reason: str | None = None) -> None:
    """Writes the failed charge and raises the 402 that tells of it."""
    code, decline_code, message = charges.decline_error_fields(card, reason)
    charge = charges.begin(call, intent, method)
    charges.fail(call, charge, code=code, decline=decline_code, message=message)
    intent["latest_charge"] = charge["id"]
    raise _failed(call, intent, method, charge, code=code, decline_code=decline_code, message=message)


def fail_authentication(call: Call, intent: Json) -> StripeError:
    """The payer did not pass: no charge was made."""
    method = call.store.get("payment_method", intent["payment_method"])
    message = (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    )
    return _failed(call, intent, method, None, code="payment_intent_authentication_failure", message=message)


def settle(call: Call, intent: Json, *, succeeds: bool) -> None:
    """The bank's answer to a payment that was processing."""
    charge = call.store.get("charge", intent["latest_charge"])
    if succeeds:
        succeed(call, intent, charge)
        return
    message = "The customer's account has insufficient funds to cover this payment."
    charges.fail(call, charge, code="payment_method_customer_decline", decline="insufficient_funds", message=message)
    method = call.store.get("payment_method", intent["payment_method"])
    intent["processing"] = None
    _failed(call, intent, method, charge, code="payment_intent_payment_attempt_failed", message=message)


def _process(call: Call, intent: Json, method: Json) -> Json:
    charge = charges.begin(call, intent, method)
    intent.update(status="processing", latest_charge=charge["id"], last_payment_error=None)
    call.store.save(intent)
    events.emit(call, "charge.pending", charge)
    events.emit(call, "payment_intent.processing", intent)
    return intent


def _ask_authentication(call: Call, intent: Json, return_url: str) -> Json:
    url = f"{call.page_url}/{intent['id']}"
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "redirect_to_url": {"return_url": return_url or None, "url": url},
        "type": "redirect_to_url",
    }
    call.store.save(intent)
    events.emit(call, "payment_intent.requires_action", intent)
    return intent


def _failed(
    call: Call, intent: Json, method: Json, charge: Json | None, *, code: str, message: str, **fields: str
) -> StripeError:
    error = {
        "advice_code": "try_again_later" if fields else None,
        "charge": charge["id"] if charge else None,
        "code": code,
        **fields,
        "doc_url": DOCUMENTATION + code.replace("_", "-"),
        "message": message,
    }
    error = {name: value for name, value in error.items() if value is not None}
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error={**error, "payment_method": method, "type": "card_error"},
    )
    call.store.save(intent)
    if charge:
        events.emit(call, "charge.failed", charge)
    events.emit(call, "payment_intent.payment_failed", intent)
    del error["message"]
    return StripeError(
        402, message, type="card_error", executed=True, payment_intent=intent, payment_method=method, **error
    )


def _save_method(call: Call, intent: Json) -> None:
    """A payment that asks for later use leaves its method with the customer, authenticated for payments without them."""
    if not (intent["setup_future_usage"] and intent["customer"]):
        return
    method = call.store.get("payment_method", intent["payment_method"])
    payment_methods.attach(call, method, intent["customer"])
    payment_methods.remember_set_up(call, method)
