"""What arrives at the webhook: only what Stripe signed counts, and however often it comes it counts once."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

from billing import ledger, topups, webhooks
from billing.models import StripeEvent, TopUp
from tests.accounts.people import person
from tests.billing.till import SECRET, Till, hear, outcome, post, signed

WEBHOOK = "/billing/stripe/webhook"


def made_up(**fields: Any) -> dict[str, Any]:
    found = {"id": f"cs_test_{uuid.uuid4().hex}", "object": "checkout.session"}
    return {
        "id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": "checkout.session.completed", "livemode": False,
        "api_version": "2026-10-28.endive", "data": {"object": found}, **fields,
    }  # fmt: skip


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=1,v1=00",
        f"t={int(time.time())},v1={'0' * 64}",
        f"t={int(time.time())},v0={'0' * 64}",
    ],
)
def test_what_nobody_signed_is_refused_and_not_stored(till: Till, header: str) -> None:
    event = made_up()
    assert post(event, header) == 400
    assert not StripeEvent.objects.filter(pk=event["id"]).exists()


@pytest.mark.parametrize("secret", ["", "whsec_another", SECRET + " "])
def test_another_secret_signs_nothing(till: Till, secret: str) -> None:
    event = made_up()
    assert post(event, signed(json.dumps(event).encode(), secret)) == 400


def test_a_signature_of_five_minutes_ago_is_too_old(till: Till) -> None:
    event = made_up()
    assert post(event, signed(json.dumps(event).encode(), at=int(time.time()) - 301)) == 400


def test_one_changed_byte_breaks_the_signature(till: Till) -> None:
    event = made_up()
    header = signed(json.dumps(event).encode())
    assert post(event | {"livemode": True}, header) == 400
    spaced = json.dumps(event, indent=1).encode()  # the same meaning in other bytes
    answer = Client().post(WEBHOOK, spaced, content_type="application/json", headers={"Stripe-Signature": header})
    assert answer.status_code == 400


def test_without_a_secret_there_is_no_webhook(till: Till) -> None:
    with override_settings(STRIPE={"api_key": "", "api_base": "", "webhook_secrets": []}):
        assert post(made_up()) == 404


def test_a_rolled_secret_and_its_successor_both_count(till: Till) -> None:
    stripe = {"api_key": "sk_test_x", "api_base": till.url, "webhook_secrets": ["whsec_the_next_one", SECRET]}
    with override_settings(STRIPE=stripe):
        assert post(made_up()) == 200
        event = made_up()
        assert post(event, signed(json.dumps(event).encode(), "whsec_the_next_one")) == 200


def test_get_is_no_event_and_two_megabytes_are_too_many(till: Till) -> None:
    assert Client().get(WEBHOOK).status_code == 405
    body = b" " * (2 * 1024 * 1024)
    headers = {"Stripe-Signature": signed(body)}
    assert Client().post(WEBHOOK, body, content_type="application/json", headers=headers).status_code == 413


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"id": 1}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(till: Till, body: bytes) -> None:
    import hashlib
    import hmac

    at = int(time.time())
    digest = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={at},v1={digest}"}
    assert Client().post(WEBHOOK, body, content_type="application/json", headers=headers).status_code == 400


# ---------------------------------------------------------------- signed, and still nothing to do


def test_an_unknown_type_is_stored_and_ignored(till: Till) -> None:
    event = made_up(type="customer.subscription.created")
    hear(event)
    assert outcome(event) == StripeEvent.Outcome.IGNORED


def test_live_money_is_not_ours_in_test_mode(till: Till) -> None:
    event = made_up(livemode=True)
    hear(event)
    assert outcome(event) == StripeEvent.Outcome.IGNORED


def test_an_object_that_stripe_does_not_know_credits_nothing(till: Till) -> None:
    event = made_up()
    hear(event)
    assert outcome(event) == StripeEvent.Outcome.ORPHAN


def test_another_products_session_credits_nothing(till: Till) -> None:
    session = till.sdk.v1.checkout.sessions.create(
        params={
            "mode": "payment",
            "success_url": "http://localhost/",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "usd", "unit_amount": 10000, "product_data": {"name": "Hat"}},
                }
            ],
        }
    )
    till.ask(f"checkout/sessions/{session.id}/pay", outcome="success")
    [event] = [event for event in till.events(session.id) if event["type"] == "checkout.session.completed"]
    hear(event)
    assert outcome(event) == StripeEvent.Outcome.ORPHAN


def test_a_session_that_names_our_order_but_not_its_price_goes_to_review(till: Till) -> None:
    """One cent paid with a hundred dollars' order as its reference."""
    someone = person()
    order = TopUp.objects.create(
        account=someone.account, user=someone.user, request_key=uuid.uuid4(), is_test=True, credit_nanos=100 * 10**9
    )
    session = till.sdk.v1.checkout.sessions.create(
        params={
            "mode": "payment",
            "success_url": "http://localhost/",
            "client_reference_id": str(order.id),
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 100, "product_data": {"name": "Hat"}}}
            ],
        }
    )
    till.ask(f"checkout/sessions/{session.id}/pay", outcome="success")
    topups.fulfil(session.id)
    order.refresh_from_db()
    assert order.status == TopUp.Status.REVIEW
    assert ledger.wallet(someone.account.pk).posted_nanos == 0


# ---------------------------------------------------------------- once


def test_fifty_deliveries_at_once_are_one_credit(till: Till) -> None:
    someone = person()
    order = till.order(someone.account, someone.user)
    till.pay(order)
    [event] = [event for event in till.events(order.session_id) if event["type"] == "checkout.session.completed"]

    def deliver(_: int) -> int:
        try:
            status = post(event)
            webhooks.work(event["id"])
            return status
        finally:
            connection.close()  # of this thread

    with ThreadPoolExecutor(10) as threads:
        assert set(threads.map(deliver, range(50))) == {200}
    assert ledger.wallet(someone.account.pk).posted_nanos == order.credit_nanos
    assert StripeEvent.objects.filter(pk=event["id"]).count() == 1


def test_webhook_return_page_and_reconciler_at_once_are_one_credit(till: Till) -> None:
    someone = person()
    order = till.order(someone.account, someone.user)
    till.pay(order)

    def fulfil(_: int) -> None:
        try:
            topups.fulfil(order.session_id or "")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fulfil, range(24)))
    assert ledger.wallet(someone.account.pk).posted_nanos == order.credit_nanos


def test_a_fault_of_stripe_keeps_the_event_waiting(till: Till) -> None:
    someone = person()
    order = till.order(someone.account, someone.user)
    till.pay(order)
    [event] = [event for event in till.events(order.session_id) if event["type"] == "checkout.session.completed"]
    assert post(event) == 200
    till.ask("faults", kind=500, count=10, path="/v1/checkout/sessions/")
    webhooks.work(event["id"])
    assert outcome(event) == StripeEvent.Outcome.PENDING
    till.heal()
    webhooks.work(event["id"])
    assert outcome(event) == StripeEvent.Outcome.HANDLED
    assert ledger.wallet(someone.account.pk).posted_nanos == order.credit_nanos
