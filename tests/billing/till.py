"""Stripe's stand-in as tests drive it: what customers, banks and Stripe itself do, over real HTTP."""

import json
import time
import uuid
from typing import Any

import httpx
import stripe
from django.test import Client

from accounts.models import Account, User
from billing import stripe_api, topups, webhooks
from billing.models import StripeEvent, TopUp
from tokenhub.money import usd_to_nanos

SECRET = "whsec_of_the_tests_alone"
DECLINED_LATER = "4000000000000341"  # saves, then every charge is declined
WANTS_CONFIRMATION = "4000002760003184"
PLAIN = "4242424242424242"


class Till:
    """Of one stand-in, of which each test looks at its own objects only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"authorization": "Bearer sk_test_x"}, timeout=30)
        self.sdk = stripe.StripeClient("sk_test_x", base_addresses={"api": url}, max_network_retries=0)

    def ask(self, helper: str, **form: Any) -> Any:
        answer = self.http.post(f"/v1/test_helpers/{helper}", data={name: str(value) for name, value in form.items()})
        assert answer.status_code in (200, 402), answer.text  # 402: a card was declined, as ordered
        return answer.json()

    def heal(self) -> None:
        """No more faults."""
        assert self.http.delete("/v1/test_helpers/faults").status_code == 200

    # ------------------------------------------------------------ the customer
    def order(self, account: Account, user: User, usd: str = "10", **more: Any) -> TopUp:
        return topups.start(
            account=account, user=user, credit_nanos=usd_to_nanos(usd), request_key=uuid.uuid4(), **more
        )

    def pay(self, order: TopUp, outcome: str = "success", **form: Any) -> None:
        self.ask(f"checkout/sessions/{order.session_id}/pay", outcome=outcome, **form)

    def paid(self, account: Account, user: User, usd: str = "10", **form: Any) -> TopUp:
        """A top-up that was paid and credited."""
        order = self.order(account, user, usd)
        self.pay(order, **form)
        done = topups.fulfil(order.session_id or "")
        assert done is not None
        assert done.status == TopUp.Status.CREDITED
        return done

    # ------------------------------------------------------------ the bank, and Stripe's dashboard
    def refund(self, order: TopUp, cents: int) -> Any:
        return self.sdk.v1.refunds.create(params={"payment_intent": order.payment_intent_id or "", "amount": cents})

    def dispute(self, order: TopUp, status: str = "needs_response", **form: Any) -> str:
        made = self.ask("disputes", payment_intent=order.payment_intent_id, status=status, **form)
        return str(made["id"])

    def truth_cents(self, order: TopUp) -> int:
        """What Stripe kept of a payment for us: paid, less refunds that did not fail, less what a bank holds."""
        payments = self.http.get("/v1/test_helpers/truth").json()["payments"]
        return sum(int(one["net"]) for one in payments if one["payment_intent"] == order.payment_intent_id)

    # ------------------------------------------------------------ events
    def events(self, *object_ids: str | None) -> list[dict[str, Any]]:
        """Everything that was said about these objects, oldest first, as Stripe would post it."""
        found = [event.to_dict() for event in self.sdk.v1.events.list(params={"limit": 100}).auto_paging_iter()]
        about = [event for event in found if {event["data"]["object"]["id"], *_parents(event)} & set(object_ids)]
        return about[::-1]


def _parents(event: dict[str, Any]) -> set[str]:
    found = event["data"]["object"]
    return {str(found[name]) for name in ("payment_intent", "charge") if found.get(name)}


def signed(body: bytes, secret: str = SECRET, at: int | None = None) -> str:
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=at or int(time.time()))


def post(event: dict[str, Any], header: str | None = None) -> int:
    """The webhook's answer to an event, signed unless a header is given."""
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body) if header is None else header}
    answer = Client().post("/billing/stripe/webhook", body, content_type="application/json", headers=headers)
    return answer.status_code


def hear(*events: dict[str, Any]) -> None:
    """Events arrive, and the worker has worked on them."""
    for event in events:
        assert post(event) == 200
        webhooks.work(event["id"])


def outcome(event: dict[str, Any]) -> str:
    return StripeEvent.objects.get(pk=event["id"]).outcome


def forget_client() -> None:
    stripe_api._client.cache_clear()
