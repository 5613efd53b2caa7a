"""The test checkout speaks Stripe's API: the official SDK drives a process of its own over real HTTP."""

import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from tests.servers import Server, start_stripe

SECRET = "whsec_test_checkout"
FIELDS: dict[str, Any] = json.loads((Path(__file__).parent / "stripe_fields.json").read_text())
#: fields of older API versions, and one that comes only where it is asked for
NOT_SENT = {("charge", "source"), ("charge", "refunds"), ("payment_intent", "source")}
SDK_CLASSES: dict[str, Any] = {
    "account": stripe.Account,
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "tax_id": stripe.TaxId,
}
WAIT_SECONDS = 10


class Receiver:
    """A merchant's webhook address: keeps what comes, and refuses as many as it was told to."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self.refusals = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                refused = receiver.refusals > 0
                receiver.refusals -= refused
                receiver.received.put((body, self.headers["stripe-signature"]))
                self.send_response(503 if refused else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self) -> tuple[bytes, str]:
        return self.received.get(timeout=WAIT_SECONDS)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Shop:
    """A merchant with the SDK, and a test's own orders to the stand-in."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.stripe = stripe.StripeClient("sk_test_x", base_addresses={"api": server.url}, max_network_retries=0)
        self._http = httpx.Client(base_url=f"{server.url}/v1/", headers={"authorization": "Bearer sk_test_x"})

    def get(self, path: str, /, **query: Any) -> Any:
        return self._http.get(path, params=query).json()

    def order(self, path: str, /, **params: Any) -> httpx.Response:
        return self._http.post(f"test_helpers/{path}", data=params)

    def did(self, path: str, /, **params: Any) -> Any:
        answer = self.order(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def session(self, **params: Any) -> stripe.checkout.Session:
        return self.stripe.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {"currency": "usd", "unit_amount": 2000, "product_data": {"name": "Credit"}},
                    }
                ],
                "success_url": "https://shop.test/done?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "https://shop.test/back",
                **params,
            }  # type: ignore[arg-type]
        )

    def paid(self, card: str = "", **params: Any) -> Any:
        """A session that was paid, as JSON."""
        return self.did(f"checkout/sessions/{self.session(**params).id}/pay", **({"card": card} if card else {}))

    def saved_card(self, card: str) -> tuple[str, str]:
        """A customer and the method that a setup session left with them."""
        customer = self.stripe.v1.customers.create({"email": "ada@shop.test"})
        session = self.stripe.v1.checkout.sessions.create(
            {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": "https://shop.test/done"}
        )
        # the card that asks for authentication passes it here: outcome=authenticate answers the bank's question
        self.did(f"checkout/sessions/{session.id}/pay", outcome="authenticate", card=card)
        (method,) = self.stripe.v1.payment_methods.list({"customer": customer.id}).data
        return customer.id, method.id

    def charge_saved(self, customer: str, method: str, **options: Any) -> stripe.PaymentIntent:
        return self.stripe.v1.payment_intents.create(
            {
                "amount": 1500,
                "currency": "usd",
                "customer": customer,
                "payment_method": method,
                "off_session": True,
                "confirm": True,
            },
            options,  # type: ignore[arg-type]
        )

    def types(self, **filters: Any) -> list[str]:
        """Types of events, oldest first."""
        return [event["type"] for event in self.get("events", limit=100, **filters)["data"][::-1]]

    def truth(self, intent: str) -> dict[str, int]:
        (line,) = [p for p in self.get("test_helpers/truth")["payments"] if p["payment_intent"] == intent]
        return {name: line[name] for name in ("paid", "refunded", "disputed", "net")}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = start_stripe(TOKENHUB_STRIPE_SANDBOX_SECRET=SECRET)
    Shop(server).did("delivery", mode="drop")  # nobody listens but in the tests with a receiver
    yield server
    server.stop()


@pytest.fixture
def shop(server: Server) -> Iterator[Shop]:
    shop = Shop(server)
    yield shop
    httpx.delete(f"{server.url}/v1/test_helpers/faults", headers={"authorization": "Bearer sk_test_x"})


@pytest.fixture
def receiver(shop: Shop) -> Iterator[Receiver]:
    receiver = Receiver()
    shop.did("delivery", mode="now", url=receiver.url)
    yield receiver
    shop.did("delivery", mode="drop", url="", duplicates=0, shuffle=0)
    receiver.stop()


# shapes


def check_names(obj: dict[str, Any], known: Any, sdk: Any, path: str) -> None:
    """Every name we send is in the fixture or in the SDK's classes, at every depth they describe."""
    annotated = set(getattr(sdk, "__annotations__", {})) if sdk is not None else set()
    inner = getattr(sdk, "_inner_class_types", {}) if sdk is not None else {}
    known = known if isinstance(known, dict) else {}
    for name, value in obj.items():
        assert name in known or name in annotated or name == "object", f"{path}.{name} is none of Stripe's"
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, dict) and name not in ("metadata", "last_payment_error") and item:
                if name != "data" and str(item.get("object")) in SDK_CLASSES:
                    check_object(item)
                elif isinstance(known.get(name), dict) or name in inner:
                    check_names(item, known.get(name), inner.get(name), f"{path}.{name}")


def check_object(obj: dict[str, Any]) -> None:
    kind = obj["object"]
    check_names(obj, FIELDS[kind], SDK_CLASSES[kind], kind)
    of_type = {"card"} if kind == "payment_method" and obj["type"] != "card" else set()
    missing = {name for name in FIELDS[kind] if (kind, name) not in NOT_SENT} - set(obj) - of_type
    assert not missing, f"{kind} lacks {missing}"


def test_every_object_has_stripes_fields_and_no_others(shop: Shop) -> None:
    customer, method = shop.saved_card("4242424242424242")
    paid = shop.paid("4000000000000259")
    shop.did(
        f"checkout/sessions/{shop.session(payment_method_types=['us_bank_account']).id}/pay", outcome="delayed_success"
    )
    shop.stripe.v1.refunds.create({"payment_intent": shop.charge_saved(customer, method).id})
    tax_id = shop.stripe.v1.customers.tax_ids.create(customer, {"type": "eu_vat", "value": "DE123456789"})
    portal = shop.stripe.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://shop.test"})
    lists = ("charges", "customers", "payment_intents", "payment_methods", "setup_intents", "refunds", "disputes",
             "checkout/sessions", "events")  # fmt: skip
    seen = {"tax_id", "billing_portal.session", "account", "balance_transaction", "item", "price"}
    for name in lists:
        listed = shop.get(name, limit=100)["data"]
        assert listed
        for obj in listed:
            check_object(obj)
            seen.add(obj["object"])
    check_object(tax_id.to_dict())
    check_object(portal.to_dict())
    check_object(shop.get("account"))
    charge = shop.get("charges", payment_intent=paid["payment_intent"])["data"][0]
    check_object(shop.get(f"balance_transactions/{charge['balance_transaction']}"))
    check_object(shop.get(f"checkout/sessions/{paid['id']}/line_items")["data"][0])
    assert seen == set(FIELDS)


# who may ask, and how


@pytest.mark.parametrize("key", ["sk_live_x", "pk_test_x"])
def test_other_keys_are_refused(shop: Shop, key: str) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": shop.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        client.v1.customers.list()


def test_unknown_things_and_parameters_are_refused_in_stripes_words(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        shop.stripe.v1.payment_intents.retrieve("pi_nobody")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        shop.session(colour="red")
    assert (unknown.value.code, unknown.value.param) == ("parameter_unknown", "colour")
    with pytest.raises(stripe.InvalidRequestError) as early:
        shop.session(expires_at=int(time.time()) + 60)
    assert early.value.param == "expires_at"


def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(shop: Shop) -> None:
    key = uuid.uuid4().hex
    create = shop.stripe.v1.customers.create
    first = create({"name": "Ada"}, {"idempotency_key": key})
    again = create({"name": "Ada"}, {"idempotency_key": key})
    assert again.id == first.id
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.last_response.headers
    with pytest.raises(stripe.IdempotencyError):
        create({"name": "Bob"}, {"idempotency_key": key})


def test_a_decline_is_kept_for_its_key_and_charges_once(shop: Shop) -> None:
    customer, method = shop.saved_card("4000000000000341")
    key = uuid.uuid4().hex
    declined = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as error:
            shop.charge_saved(customer, method, idempotency_key=key)
        declined.append(error.value.json_body["error"]["payment_intent"]["id"])
    assert declined[0] == declined[1]
    assert len(shop.get("payment_intents", customer=customer)["data"]) == 1


def test_lists_page_and_filter_by_time(shop: Shop) -> None:
    customers = [shop.stripe.v1.customers.create({"email": "many@shop.test"}).id for _ in range(5)]
    page = shop.stripe.v1.customers.list({"email": "many@shop.test", "limit": 2})
    assert page.has_more
    assert [customer.id for customer in page.auto_paging_iter()] == customers[::-1]
    later = int(time.time()) + 10**8
    assert shop.get("customers", **{"created[gte]": later})["data"] == []
    assert len(shop.get("customers", email="many@shop.test", **{"created[lt]": later})["data"]) == 5


# paying


def test_a_paid_session_tells_its_payment_and_its_charge(shop: Shop) -> None:
    session = shop.session(
        client_reference_id="order-7",
        metadata={"order": "7"},
        payment_intent_data={"metadata": {"order": "7"}, "description": "Credit"},
    )
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 2000)
    shop.did(f"checkout/sessions/{session.id}/pay")
    paid = shop.stripe.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["line_items", "payment_intent.latest_charge", "payment_intent.payment_method"]}
    )
    assert (paid.status, paid.payment_status, paid.client_reference_id) == ("complete", "paid", "order-7")
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent) and intent.metadata["order"] == "7"
    assert isinstance(intent.latest_charge, stripe.Charge) and intent.latest_charge.paid
    assert isinstance(intent.payment_method, stripe.PaymentMethod) and intent.payment_method.card.last4 == "4242"  # type: ignore[union-attr]
    assert paid.line_items.data[0].amount_total == 2000  # type: ignore[union-attr]
    by_intent = shop.stripe.v1.checkout.sessions.list({"payment_intent": intent.id})
    assert [found.id for found in by_intent.data] == [session.id]
    assert shop.truth(intent.id) == {"paid": 2000, "refunded": 0, "disputed": 0, "net": 2000}


def test_a_declined_session_stays_open_for_another_card(shop: Shop) -> None:
    session = shop.session()
    declined = shop.order(f"checkout/sessions/{session.id}/pay", outcome="decline")
    assert declined.status_code == 402
    assert declined.json()["error"]["decline_code"] == "generic_decline"
    assert shop.did(f"checkout/sessions/{session.id}/pay")["payment_status"] == "paid"
    intents = {charge["payment_intent"] for charge in shop.get("charges", limit=2)["data"]}
    assert len(intents) == 1, "both attempts belong to one payment"


def test_a_card_is_saved_with_a_payment_and_pays_later_alone(shop: Shop) -> None:
    customer = shop.stripe.v1.customers.create().id
    paid = shop.paid(customer=customer, payment_intent_data={"setup_future_usage": "off_session"})
    method = shop.stripe.v1.payment_intents.retrieve(paid["payment_intent"]).payment_method
    owner = shop.stripe.v1.customers.update(
        customer, {"invoice_settings": {"default_payment_method": str(method)}, "metadata": {"team": "a"}}
    )
    assert owner.invoice_settings.default_payment_method == method  # type: ignore[union-attr]
    assert shop.charge_saved(customer, str(method)).status == "succeeded"
    assert shop.stripe.v1.payment_methods.detach(str(method)).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        shop.charge_saved(customer, str(method))


def test_a_bank_that_wants_its_customer_declines_a_payment_without_them(shop: Shop) -> None:
    customer, method = shop.saved_card("4000002760003184")
    with pytest.raises(stripe.CardError) as error:
        shop.charge_saved(customer, method)
    refused = error.value.json_body["error"]
    assert (error.value.http_status, error.value.code) == (402, "authentication_required")
    assert refused["payment_intent"]["status"] == "requires_payment_method"
    assert refused["payment_method"]["id"] == method
    assert shop.truth(refused["payment_intent"]["id"])["paid"] == 0


def test_authentication_at_checkout_is_passed_or_failed(shop: Shop) -> None:
    session = shop.session()
    path = f"checkout/sessions/{session.id}/pay"
    assert shop.did(path, card="4000002500003155")["status"] == "open"
    assert shop.order(path, outcome="fail_authentication").status_code == 402
    shop.did(path, card="4000002500003155")
    assert shop.did(path, outcome="authenticate")["payment_status"] == "paid"


@pytest.mark.parametrize(("outcome", "status", "net"), [("succeeded", "paid", 2000), ("failed", "unpaid", 0)])
def test_a_bank_account_pays_later(shop: Shop, outcome: str, status: str, net: int) -> None:
    session = shop.session(payment_method_types=["us_bank_account"])
    foreseen = "delayed_success" if outcome == "succeeded" else "delayed_failure"
    done = shop.did(f"checkout/sessions/{session.id}/pay", outcome=foreseen, settle_after_seconds=3600)
    assert (done["status"], done["payment_status"]) == ("complete", "unpaid")
    shop.did("clock", advance_seconds=3600)
    assert shop.stripe.v1.checkout.sessions.retrieve(session.id).payment_status == status
    assert f"checkout.session.async_payment_{outcome}" in shop.types()
    assert shop.truth(done["payment_intent"])["net"] == net


def test_a_session_expires_by_order_and_by_time(shop: Shop) -> None:
    ordered, overdue = shop.session(), shop.session(expires_at=int(time.time()) + 31 * 60)
    assert shop.stripe.v1.checkout.sessions.expire(ordered.id).status == "expired"
    shop.did("clock", advance_seconds=32 * 60)
    assert shop.stripe.v1.checkout.sessions.retrieve(overdue.id).status == "expired"
    assert shop.order(f"checkout/sessions/{overdue.id}/pay").status_code == 400


# money back


def test_refunds_never_exceed_the_charge(shop: Shop) -> None:
    intent = shop.paid()["payment_intent"]
    refund = shop.stripe.v1.refunds.create
    part = refund({"payment_intent": intent, "amount": 500, "metadata": {"by": "dashboard"}})
    assert (part.status, part.metadata["by"]) == ("succeeded", "dashboard")  # type: ignore[index]
    with pytest.raises(stripe.InvalidRequestError):
        refund({"payment_intent": intent, "amount": 1501})
    refund({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as spent:
        refund({"payment_intent": intent})
    assert spent.value.code == "charge_already_refunded"
    assert shop.truth(intent) == {"paid": 2000, "refunded": 2000, "disputed": 0, "net": 0}
    assert shop.did(f"refunds/{part.id}/fail")["status"] == "failed"
    assert shop.truth(intent)["net"] == 500
    assert [kind for kind in shop.types() if kind.startswith("refund.")][-2:] == ["refund.updated", "refund.failed"]


def test_a_disputed_card_takes_its_payment_back(shop: Shop) -> None:
    intent = shop.paid("4000000000000259")["payment_intent"]
    (dispute,) = shop.stripe.v1.disputes.list({"payment_intent": intent}).data
    assert (dispute.reason, dispute.status) == ("fraudulent", "needs_response")
    assert shop.truth(intent)["net"] == 0
    with pytest.raises(stripe.InvalidRequestError) as error:
        shop.stripe.v1.refunds.create({"payment_intent": intent})
    assert error.value.code == "charge_disputed"
    assert shop.did(f"disputes/{dispute.id}/close", outcome="won")["status"] == "won"
    assert shop.truth(intent)["net"] == 2000
    assert shop.types()[-3:] == [
        "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", "charge.dispute.closed",
    ]  # fmt: skip


def test_an_inquiry_moves_money_only_when_it_becomes_a_dispute(shop: Shop) -> None:
    intent = shop.paid()["payment_intent"]
    inquiry = shop.did("disputes", payment_intent=intent, status="warning_needs_response")
    assert shop.truth(intent)["net"] == 2000
    shop.did(f"disputes/{inquiry['id']}/withdraw")
    assert shop.truth(intent) == {"paid": 2000, "refunded": 0, "disputed": 2000, "net": 0}
    assert shop.stripe.v1.disputes.close(inquiry["id"]).status == "lost"


# faults


@pytest.mark.parametrize(("kind", "error"), [("429", stripe.RateLimitError), ("500", stripe.APIError)])
def test_ordered_failures_come_as_often_as_ordered(shop: Shop, kind: str, error: type[Exception]) -> None:
    shop.did("faults", kind=kind, count=2, path="/v1/customers", method="POST")
    for _ in range(2):
        with pytest.raises(error):
            shop.stripe.v1.customers.create()
    assert shop.stripe.v1.customers.create().id


def test_a_lost_answer_was_executed_and_its_key_brings_it_back(shop: Shop) -> None:
    key, email = uuid.uuid4().hex, "lost@shop.test"
    shop.did("faults", kind="lost_answer", path="/v1/customers")
    with pytest.raises(stripe.APIConnectionError):
        shop.stripe.v1.customers.create({"email": email}, {"idempotency_key": key})
    (kept,) = shop.stripe.v1.customers.list({"email": email}).data
    assert shop.stripe.v1.customers.create({"email": email}, {"idempotency_key": key}).id == kept.id


def test_a_reset_request_was_not_executed(shop: Shop) -> None:
    shop.did("faults", kind="reset", path="/v1/customers")
    with pytest.raises(stripe.APIConnectionError):
        shop.stripe.v1.customers.create({"email": "reset@shop.test"})
    assert shop.stripe.v1.customers.list({"email": "reset@shop.test"}).data == []


# events


def test_events_are_signed_and_repeated_until_they_are_taken(shop: Shop, receiver: Receiver) -> None:
    receiver.refusals = 1
    session = shop.paid()
    bodies = [receiver.next() for _ in range(5)]
    events = [stripe.Webhook.construct_event(body, header, SECRET) for body, header in bodies]
    refused = next(event for event in events if [e.id for e in events].count(event.id) == 2)
    assert refused.type == "payment_intent.created"
    completed = next(event for event in events if event.type == "checkout.session.completed")
    assert completed.data.object["id"] == session["id"]
    assert completed.api_version == "2026-10-28.endive"
    body, header = bodies[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, SECRET)


def test_held_events_come_in_the_order_a_test_wants(shop: Shop, receiver: Receiver) -> None:
    shop.did("delivery", mode="hold", duplicates=1)
    shop.paid()
    assert receiver.received.empty()
    sent = shop.did("deliver", order="reverse")["deliveries"]
    assert [line["type"] for line in sent] == [
        "checkout.session.completed", "checkout.session.completed",
        "payment_intent.succeeded", "payment_intent.succeeded",
        "charge.succeeded", "charge.succeeded",
        "payment_intent.created", "payment_intent.created",
    ]  # fmt: skip
    assert {line["status"] for line in sent} == {200}
    assert receiver.received.qsize() == len(sent)


def test_a_dropped_event_is_in_the_list_all_the_same(shop: Shop, receiver: Receiver) -> None:
    shop.did("delivery", mode="drop")
    session = shop.paid()
    assert shop.did("deliver")["deliveries"] == []
    (event, *_) = shop.stripe.v1.events.list({"type": "checkout.session.completed"}).data
    assert event.data.object["id"] == session["id"]


# pages, restart


def test_the_page_takes_a_payment_by_a_form_and_leads_back(shop: Shop) -> None:
    session = shop.session(customer_email="<ada>@shop.test")
    assert session.url is not None
    page = httpx.get(session.url)
    assert "20.00 USD" in page.text and "test checkout" in page.text and "<ada>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert httpx.post(session.url, data={"card": "4000000000000002"}).status_code == 402
    paid = httpx.post(session.url, data={"card": "4242424242424242", "outcome": "success"})
    assert (paid.status_code, paid.headers["location"]) == (303, f"https://shop.test/done?session={session.id}")


def test_the_portal_removes_a_saved_card(shop: Shop) -> None:
    customer, method = shop.saved_card("4242424242424242")
    portal = shop.stripe.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://shop.test"})
    assert "4242" in httpx.get(portal.url).text
    httpx.post(portal.url, data={"method": method, "action": "default"})
    assert shop.get(f"customers/{customer}")["invoice_settings"]["default_payment_method"] == method
    httpx.post(portal.url, data={"method": method, "action": "remove"})
    assert shop.stripe.v1.payment_methods.list({"customer": customer}).data == []


def test_a_killed_process_forgets_nothing(tmp_path: Path) -> None:
    file = str(tmp_path / "stripe.sqlite3")
    server = start_stripe(TOKENHUB_STRIPE_SANDBOX_FILE=file)
    paid = Shop(server).paid()
    server.kill()
    server = start_stripe(TOKENHUB_STRIPE_SANDBOX_FILE=file)
    try:
        assert Shop(server).stripe.v1.checkout.sessions.retrieve(paid["id"]).payment_status == "paid"
    finally:
        server.stop()
