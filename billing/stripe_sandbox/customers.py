"""/v1/customers and their tax ids."""

from typing import Any

from billing.stripe_sandbox import events, lists
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.payment_methods import NO_ADDRESS
from billing.stripe_sandbox.store import new_id

#: parameters that are fields as they are
TEXTS = ("description", "email", "name", "phone", "tax_exempt")
ACCEPTED = (
    *TEXTS, "address", "invoice_settings", "metadata", "payment_method", "preferred_locales", "shipping", "tax",
    "tax_id_data", "individual_name", "business_name", "balance", "source",
)  # fmt: skip


def create(call: Call) -> Json:
    read.only(call.params, *ACCEPTED)
    customer = call.store.add(_blank(call))
    _fill(call, customer)
    for data in call.params.get("tax_id_data") or []:
        _add_tax_id(call, customer["id"], data)
    events.emit(call, "customer.created", customer)
    return customer


def create_guest(call: Call, *, email: str | None, name: str | None) -> Json:
    """The customer that Checkout makes when it was asked to keep the card of somebody new."""
    customer = {**_blank(call), "email": email, "name": name}
    call.store.add(customer)
    events.emit(call, "customer.created", customer)
    return customer


def retrieve(call: Call, id: str) -> Json:
    return call.store.get("customer", id)


def listing(call: Call) -> Json:
    return lists.page(call, "customer", "/v1/customers", {"email": "email"})


def update(call: Call, id: str) -> Json:
    read.only(call.params, *ACCEPTED)
    customer = call.store.get("customer", id)
    before = dict(customer)
    _fill(call, customer)
    changed = {name: value for name, value in before.items() if customer[name] != value}
    events.emit(call, "customer.updated", customer, previous=changed)
    return customer


def set_default_method(call: Call, id: str, method: str) -> None:
    customer = call.store.get("customer", id)
    before = customer["invoice_settings"]
    customer["invoice_settings"] = {**before, "default_payment_method": method}
    call.store.save(customer)
    events.emit(call, "customer.updated", customer, previous={"invoice_settings": before})


def create_tax_id(call: Call, id: str) -> Json:
    call.store.get("customer", id)
    return _add_tax_id(call, id, call.params)


def list_tax_ids(call: Call, id: str) -> Json:
    call.params["customer"] = call.store.get("customer", id)["id"]
    return lists.page(call, "tax_id", f"/v1/customers/{id}/tax_ids", {"customer": "customer"})


def _fill(call: Call, customer: Json) -> None:
    params = call.params
    for name in TEXTS:
        if name in params:
            customer[name] = read.text(params, name)
    if "address" in params:
        address = read.mapping(params, "address")
        customer["address"] = {name: address.get(name) or None for name in NO_ADDRESS} if address else None
    if "preferred_locales" in params:
        customer["preferred_locales"] = read.texts(params, "preferred_locales")
    customer["metadata"] = read.metadata(params, customer["metadata"])
    settings: Any = read.mapping(params, "invoice_settings")
    if "default_payment_method" in settings:
        method = read.text(settings, "default_payment_method")
        if method:
            call.store.get("payment_method", method, param="invoice_settings[default_payment_method]")
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": method}
    call.store.save(customer)


def _add_tax_id(call: Call, customer: str, data: Json) -> Json:
    type, value = str(read.required(data, "type")), str(read.required(data, "value"))
    return call.store.add(
        {
            "id": new_id("txi"),
            "object": "tax_id",
            "country": value[:2] if value[:2].isalpha() else None,
            "created": call.store.now(),
            "customer": customer,
            "customer_account": None,
            "livemode": False,
            "owner": {"customer": customer, "customer_account": None, "type": "customer"},
            "type": type,
            "value": value,
            "verification": {"status": "pending", "verified_address": None, "verified_name": None},
        }
    )


def _blank(call: Call) -> Json:
    return {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.store.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new_id("", 8)[1:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
