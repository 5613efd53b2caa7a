"""Which function answers which request."""

import re
from collections.abc import Callable
from typing import Any

from billing.stripe_sandbox import (
    account,
    balance,
    charges,
    checkout,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    portal,
    refunds,
    setup_intents,
    test_helpers,
)
from billing.stripe_sandbox.errors import Json

Handler = Callable[..., Json]

_TABLE: list[tuple[str, str, Handler]] = [
    ("GET", "/account", account.retrieve),
    ("GET", "/balance_transactions/{id}", balance.retrieve),
    ("POST", "/billing_portal/sessions", portal.create),
    ("GET", "/charges", charges.listing),
    ("GET", "/charges/{id}", charges.retrieve),
    ("POST", "/checkout/sessions", checkout.create),
    ("GET", "/checkout/sessions", checkout.listing),
    ("GET", "/checkout/sessions/{id}", checkout.retrieve),
    ("GET", "/checkout/sessions/{id}/line_items", checkout.line_items),
    ("POST", "/checkout/sessions/{id}/expire", checkout.expire_endpoint),
    ("POST", "/customers", customers.create),
    ("GET", "/customers", customers.listing),
    ("GET", "/customers/{id}", customers.retrieve),
    ("POST", "/customers/{id}", customers.update),
    ("POST", "/customers/{id}/tax_ids", customers.create_tax_id),
    ("GET", "/customers/{id}/tax_ids", customers.list_tax_ids),
    ("GET", "/customers/{id}/payment_methods", payment_methods.customer_listing),
    ("GET", "/customers/{id}/payment_methods/{method}", payment_methods.customer_retrieve),
    ("GET", "/disputes", disputes.listing),
    ("GET", "/disputes/{id}", disputes.retrieve),
    ("POST", "/disputes/{id}", disputes.update),
    ("POST", "/disputes/{id}/close", disputes.accept),
    ("GET", "/events", events.listing),
    ("GET", "/events/{id}", events.retrieve),
    ("POST", "/payment_intents", payment_intents.create),
    ("GET", "/payment_intents", payment_intents.listing),
    ("GET", "/payment_intents/{id}", payment_intents.retrieve),
    ("POST", "/payment_intents/{id}", payment_intents.update),
    ("POST", "/payment_intents/{id}/confirm", payment_intents.confirm),
    ("POST", "/payment_intents/{id}/cancel", payment_intents.cancel),
    ("GET", "/payment_methods", payment_methods.listing),
    ("GET", "/payment_methods/{id}", payment_methods.retrieve),
    ("POST", "/payment_methods/{id}/attach", payment_methods.attach_endpoint),
    ("POST", "/payment_methods/{id}/detach", payment_methods.detach),
    ("POST", "/refunds", refunds.create),
    ("GET", "/refunds", refunds.listing),
    ("GET", "/refunds/{id}", refunds.retrieve),
    ("POST", "/refunds/{id}", refunds.update),
    ("POST", "/setup_intents", setup_intents.create),
    ("GET", "/setup_intents", setup_intents.listing),
    ("GET", "/setup_intents/{id}", setup_intents.retrieve),
    ("POST", "/setup_intents/{id}/confirm", setup_intents.confirm),
    ("POST", "/test_helpers/checkout/sessions/{id}/pay", test_helpers.pay_session),
    ("POST", "/test_helpers/checkout/sessions/{id}/settle", test_helpers.settle_session),
    ("POST", "/test_helpers/payment_intents/{id}/authenticate", test_helpers.authenticate_intent),
    ("POST", "/test_helpers/refunds/{id}/fail", refunds.fail),
    ("POST", "/test_helpers/refunds/{id}/succeed", refunds.succeed),
    ("POST", "/test_helpers/disputes", test_helpers.create_dispute),
    ("POST", "/test_helpers/disputes/{id}/withdraw", disputes.withdraw),
    ("POST", "/test_helpers/disputes/{id}/reinstate", disputes.reinstate),
    ("POST", "/test_helpers/disputes/{id}/close", disputes.close),
    ("POST", "/test_helpers/faults", test_helpers.add_fault),
    ("GET", "/test_helpers/faults", test_helpers.list_faults),
    ("DELETE", "/test_helpers/faults", test_helpers.clear_faults),
    ("POST", "/test_helpers/delivery", test_helpers.control_delivery),
    ("GET", "/test_helpers/deliveries", test_helpers.list_deliveries),
    ("POST", "/test_helpers/events/{id}/repeat", test_helpers.repeat_event),
    ("POST", "/test_helpers/clock", test_helpers.advance_clock),
    ("GET", "/test_helpers/truth", test_helpers.truth),
]
_ROUTES = [
    (method, re.compile("/v1" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), handler)
    for method, path, handler in _TABLE
]


def find(method: str, path: str) -> tuple[Handler, dict[str, Any]] | None:
    for allowed, pattern, handler in _ROUTES:
        if allowed == method and (match := pattern.fullmatch(path)):
            return handler, match.groupdict()
    return None
