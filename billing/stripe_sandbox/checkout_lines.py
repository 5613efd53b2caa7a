"""The lines of a session: prices made on the spot (``price_data``), as the API has no catalogue here."""

from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, missing
from billing.stripe_sandbox.store import new_id


def read_lines(call: Call) -> list[Json]:
    """Raises where there is none, where their currencies differ or where the total is too small to charge."""
    given = call.params.get("line_items")
    if not isinstance(given, list) or not given:
        raise invalid("Missing required param: line_items.", "line_items", "parameter_missing")
    lines = [_line(call, line, f"line_items[{place}]") for place, line in enumerate(given)]
    if len({line["currency"] for line in lines}) > 1:
        raise invalid("All prices on a Checkout Session must use the same currency.", "line_items")
    if sum(line["amount_total"] for line in lines) < 50:
        raise invalid("The Checkout Session's total amount must be at least $0.50 usd.", code="amount_too_small")
    return lines


def _line(call: Call, given: Json, place: str) -> Json:
    if not isinstance(given, dict):
        raise invalid(f"Invalid hash: {place}", place)
    if (price_id := read.text(given, "price")) is not None:
        raise missing("price", price_id, status=400, param=f"{place}[price]")
    price_data = read.mapping(given, "price_data")
    if not price_data:
        raise invalid(f"Missing required param: {place}[price_data].", f"{place}[price_data]", "parameter_missing")
    product = read.mapping(price_data, "product_data")
    name = str(read.required(product, "name"))
    quantity = read.amount_cents(given, "quantity")
    unit_cents = read.amount_cents(price_data, "unit_amount", least=0)
    amount_cents = unit_cents * quantity
    currency = str(read.required(price_data, "currency")).lower()
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount_cents,
        "amount_tax": 0,
        "amount_total": amount_cents,
        "currency": currency,
        "description": name,
        "metadata": read.metadata(given),
        "price": _price(call, currency, unit_cents, read.text(price_data, "tax_behavior", "unspecified")),
        "quantity": quantity,
    }


def _price(call: Call, currency: str, unit_cents: int, tax_behavior: str | None) -> Json:
    return {
        "id": new_id("price"),
        "object": "price",
        "active": False,
        "billing_scheme": "per_unit",
        "created": call.store.now(),
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": new_id("prod", 14),
        "recurring": None,
        "tax_behavior": tax_behavior,
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit_cents,
        "unit_amount_decimal": str(unit_cents),
    }
