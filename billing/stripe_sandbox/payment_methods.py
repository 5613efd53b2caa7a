"""Payment methods: a test card, or a bank account whose payments settle later."""

import hashlib

from billing.stripe_sandbox import cards, events, lists
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.cards import Card
from billing.stripe_sandbox.errors import Json, invalid, refused
from billing.stripe_sandbox.store import Store, new_id

TYPES = ("card", "us_bank_account")
NO_ADDRESS: Json = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def create_card(call: Call, card: Card, billing: Json | None = None) -> Json:
    return call.store.add(_method(call, "card", _card_face(card), billing), number=card.number, is_set_up=False)


def create_bank_account(call: Call, billing: Json | None = None) -> Json:
    return call.store.add(_method(call, "us_bank_account", _bank_face(), billing))


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("payment_method", id)


def listing(call: Call) -> Json:
    return lists.page(call, "payment_method", "/v1/payment_methods", {"customer": "customer", "type": "type"})


def customer_listing(call: Call, id: str) -> Json:
    call.store.get("customer", id)
    call.params["customer"] = id
    return lists.page(
        call, "payment_method", f"/v1/customers/{id}/payment_methods", {"customer": "customer", "type": "type"}
    )


def customer_retrieve(call: Call, id: str, method: str) -> Json:
    found = call.store.get("payment_method", method)
    if found["customer"] != id:
        raise invalid("The payment method does not belong to this customer.", "payment_method")
    return found


def attach_endpoint(call: Call, id: str) -> Json:
    customer = call.store.get("customer", read.required(call.params, "customer"), param="customer")
    method = given(call, id)
    card = card_behind(call.store, method)
    if card is not None and card.decline and card.declines_setup:
        raise refused(
            cards.decline_message(card.decline),
            card.error_code,
            decline_code=card.decline,
        )
    return attach(call, method, customer["id"])


def attach(call: Call, method: Json, customer: str) -> Json:
    """Does nothing where it is the customer's already."""
    if method["customer"] == customer:
        return method
    if method["customer"] is not None or call.store.backstage(method["id"]).get("detached"):
        raise refused("The payment method you provided has already been attached to a customer.")
    method["customer"] = customer
    call.store.save(method)
    events.emit(call, "payment_method.attached", method)
    return method


def detach(call: Call, id: str) -> Json:
    method = call.store.get("payment_method", id)
    customer = method["customer"]
    if customer is None:
        raise refused("The payment method you provided is not attached to a customer so detachment is impossible.")
    method["customer"] = None
    call.store.save(method, detached=True)
    _forget_default(call, customer, id)
    events.emit(call, "payment_method.detached", method, previous={"customer": customer})
    return method


def given(call: Call, id: str) -> Json:
    """The method a request names: one of the store's, or a new one behind a ready id of test mode."""
    if id in cards.ALIASES:
        return create_card(call, cards.CARDS[cards.ALIASES[id]])
    return call.store.get("payment_method", id, param="payment_method")


def card_behind(store: Store, method: Json) -> Card | None:
    """None is a bank account."""
    number = store.backstage(method["id"]).get("number")
    return cards.CARDS[number] if number else None


def is_set_up(store: Store, method: Json) -> bool:
    """Whether its owner has authenticated it for later payments."""
    return bool(store.backstage(method["id"]).get("is_set_up"))


def remember_set_up(call: Call, method: Json) -> None:
    call.store.save(method, is_set_up=True)


def _forget_default(call: Call, customer: str, method: str) -> None:
    owner = call.store.get("customer", customer)
    if owner["invoice_settings"]["default_payment_method"] == method:
        owner["invoice_settings"]["default_payment_method"] = None
        call.store.save(owner)


def _method(call: Call, type: str, face: Json, billing: Json | None) -> Json:
    billing = billing or {}
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": {**NO_ADDRESS, "country": billing.get("country")},
            "email": billing.get("email"),
            "name": billing.get("name"),
            "phone": None,
            "tax_id": None,
        },
        type: face,
        "created": call.store.now(),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": type,
    }


def _card_face(card: Card) -> Json:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2040,
        "fingerprint": fingerprint(card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_face() -> Json:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint("bank"),
        "last4": "6789",
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def fingerprint(number: str) -> str:
    """The same card has the same fingerprint, whoever saves it."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]
