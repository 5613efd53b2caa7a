"""/v1/checkout/sessions: what the merchant asks for. How a session is paid is in ``checkout_payment.py``."""

import time

from billing.stripe_sandbox import checkout_lines, events, lists, payment_methods, setup_intents
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, refused
from billing.stripe_sandbox.store import new_id

ACCEPTED = (
    "mode", "line_items", "customer", "customer_email", "customer_creation", "customer_update",
    "client_reference_id", "metadata", "payment_intent_data", "setup_intent_data", "expires_at", "success_url",
    "cancel_url", "automatic_tax", "tax_id_collection", "payment_method_types", "payment_method_options",
    "payment_method_collection", "adaptive_pricing", "invoice_creation", "allow_promotion_codes",
    "billing_address_collection", "consent_collection", "currency", "custom_text", "locale",
    "phone_number_collection", "saved_payment_method_options", "submit_type", "ui_mode", "name_collection",
    "excluded_payment_method_types", "payment_method_data", "integration_identifier", "origin_context",
)  # fmt: skip
MODES = ("payment", "setup")
ID_LENGTH = 58
LIFE_SECONDS = 24 * 3600
LIFE_SECONDS_LEAST = 30 * 60
#: the merchant reckoned `expires_at` a moment before it came here
LATENESS_SECONDS = 5


def create(call: Call) -> Json:
    params = call.params
    read.only(params, *ACCEPTED)
    mode = read.choice(params, "mode", MODES, "payment")
    lines = checkout_lines.read_lines(call) if mode == "payment" else []
    currency = lines[0]["currency"] if lines else str(read.required(params, "currency")).lower()
    customer = read.text(params, "customer")
    if customer:
        call.store.get("customer", customer, param="customer")
    session = _session(call, mode, currency, sum(line["amount_total"] for line in lines))
    session["customer"] = customer
    if mode == "setup":
        data = read.mapping(params, "setup_intent_data")
        intent = setup_intents.new_intent(
            call,
            customer=customer,
            description=read.text(data, "description"),
            metadata=read.metadata(data),
            payment_method_types=session["payment_method_types"],
        )
        session["setup_intent"] = intent["id"]
    call.store.add(
        session,
        line_items=lines,
        payment_intent_data=read.mapping(params, "payment_intent_data"),
        currency=currency,
    )
    call.store.add_errand("expire", session["id"], after_seconds=session["expires_at"] - call.store.now())
    return session


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("checkout.session", id)


def listing(call: Call) -> Json:
    filters = {name: name for name in ("payment_intent", "customer", "status")}
    return lists.page(call, "checkout.session", "/v1/checkout/sessions", filters)


def line_items(call: Call, id: str) -> Json:
    session = call.store.get("checkout.session", id)
    return expand_line_items(call, session)


def expand_line_items(call: Call, session: Json) -> Json:
    lines = call.store.backstage(session["id"])["line_items"]
    return lists.whole(lines, f"/v1/checkout/sessions/{session['id']}/line_items")


def expire_endpoint(call: Call, id: str) -> Json:
    session = call.store.get("checkout.session", id)
    if session["status"] != "open":
        raise refused(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of `{session['status']}`."
        )
    return expire(call, session)


def expire_overdue(call: Call, id: str) -> None:
    session = call.store.get("checkout.session", id)
    if session["status"] == "open":
        expire(call, session)


def expire(call: Call, session: Json) -> Json:
    session.update(status="expired", url=None)
    call.store.save(session)
    events.emit(call, "checkout.session.expired", session)
    return session


def _expires_at(call: Call) -> int:
    """Judged by the wall clock: the merchant does not know that this clock was advanced."""
    wall = int(time.time())
    wanted = read.integer(call.params, "expires_at")
    if wanted is None:
        return call.store.now() + LIFE_SECONDS
    if wanted < wall + LIFE_SECONDS_LEAST - LATENESS_SECONDS:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", "expires_at"
        )
    if wanted > max(wall, call.store.now()) + LIFE_SECONDS:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", "expires_at"
        )
    return wanted + call.store.now() - wall


def _types(call: Call, currency: str) -> list[str]:
    """Those asked for; else what the account offers in this currency."""
    named = read.texts(call.params, "payment_method_types")
    for type in named:
        if type not in (*payment_methods.TYPES, "link"):
            raise invalid(f"The payment method type provided: {type} is invalid.", "payment_method_types")
    return named or (["card", "us_bank_account"] if currency == "usd" else ["card"])


def _session(call: Call, mode: str, currency: str, total_cents: int) -> Json:
    params = call.params
    id = new_id("cs_test", ID_LENGTH)
    pays = mode == "payment"
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": read.flag(read.mapping(params, "adaptive_pricing"), "enabled", True)} if pays else None,
        "after_expiration": None,
        "allow_promotion_codes": read.flag(params, "allow_promotion_codes") or None,
        "amount_subtotal": total_cents if pays else None,
        "amount_total": total_cents if pays else None,
        "automatic_tax": _automatic_tax(params),
        "billing_address_collection": read.text(params, "billing_address_collection"),
        "cancel_url": read.text(params, "cancel_url"),
        "client_reference_id": read.text(params, "client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": call.store.now(),
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer": None,
        "customer_account": None,
        "customer_creation": read.text(params, "customer_creation", "if_required") if pays and not read.text(params, "customer") else None,
        "customer_details": None,
        "customer_email": read.text(params, "customer_email"),
        "discounts": [] if pays else None,
        "expires_at": _expires_at(call),
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": _invoice_creation(params) if pays else None,
        "livemode": False,
        "locale": read.text(params, "locale"),
        "managed_payments": None,
        "metadata": read.metadata(params),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always" if not pays else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": _types(call, currency),
        "payment_status": "unpaid" if pays else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": read.text(params, "submit_type"),
        "subscription": None,
        "success_url": str(read.required(params, "success_url")),
        "tax_id_collection": {"enabled": read.flag(read.mapping(params, "tax_id_collection"), "enabled"), "required": "never"},
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0} if pays else None,
        "ui_mode": "hosted_page",
        "url": f"{call.page_url}/{id}",
        "wallet_options": None,
    }  # fmt: skip


def _automatic_tax(params: Json) -> Json:
    enabled = read.flag(read.mapping(params, "automatic_tax"), "enabled")
    return {
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": "requires_location_inputs" if enabled else None,
    }


def _invoice_creation(params: Json) -> Json:
    given = read.mapping(params, "invoice_creation")
    data = read.mapping(given, "invoice_data")
    return {
        "enabled": read.flag(given, "enabled"),
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": read.text(data, "description"),
            "footer": read.text(data, "footer"),
            "issuer": None,
            "metadata": read.metadata(data),
            "rendering_options": None,
        },
    }
