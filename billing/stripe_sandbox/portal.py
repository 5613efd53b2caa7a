"""/v1/billing_portal/sessions: a page on which customers see to their saved methods."""

from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import new_id

ACCEPTED = ("customer", "return_url", "configuration", "locale", "flow_data", "on_behalf_of")


def create(call: Call) -> Json:
    read.only(call.params, *ACCEPTED)
    customer = call.store.get("customer", str(read.required(call.params, "customer")), param="customer")
    id = new_id("bps")
    return call.store.add(
        {
            "id": id,
            "object": "billing_portal.session",
            "configuration": read.text(call.params, "configuration") or new_id("bpc"),
            "created": call.store.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": None,
            "livemode": False,
            "locale": read.text(call.params, "locale"),
            "on_behalf_of": None,
            "return_url": read.text(call.params, "return_url"),
            "url": f"{call.page_url}/{id}",
        }
    )
