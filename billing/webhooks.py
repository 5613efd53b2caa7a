"""What Stripe tells us: verified on its raw bytes, stored once, answered at once, worked on later by Celery.

An event is a hint. Its object is read again from Stripe, so that events may come late, twice, or in any order.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDictKeyError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import cards, disputes, refunds, stripe_api, tasks, topups
from billing.models import StripeEvent
from billing.stripe_api import PaymentRefused, PaymentsUnavailable

log = logging.getLogger(__name__)

Outcome = StripeEvent.Outcome
#: Stripe's events are some kilobytes
MOST_BYTES = 1024 * 1024
#: after so many tries an event is left to the reconciler, which looks at objects, not events
MOST_ATTEMPTS = 20


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """400 for anything that Stripe did not sign, and then nothing is stored. 503 makes Stripe try again."""
    if not settings.STRIPE["webhook_secrets"]:
        raise Http404
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        return HttpResponse(status=413)
    body = request.body
    if not stripe_api.is_signed(body, request.headers.get("Stripe-Signature", "")):
        return HttpResponse("signature", status=400, content_type="text/plain")
    try:
        event = _event(json.loads(body))
    except (ValueError, KeyError, TypeError, MultiValueDictKeyError):
        return HttpResponse("event", status=400, content_type="text/plain")
    try:
        _store(event)
    except DatabaseError:
        log.exception("event %s could not be stored", event.id)
        return HttpResponse(status=503)
    return HttpResponse(status=200)


def _event(payload: dict[str, Any]) -> StripeEvent:
    found = payload["data"]["object"]
    return StripeEvent(
        id=str(payload["id"]),
        type=str(payload["type"]),
        object_id=str(found.get("id", "")),
        api_version=str(payload.get("api_version") or ""),
        livemode=bool(payload["livemode"]),
        payload=payload,
    )


def _store(event: StripeEvent) -> None:
    with transaction.atomic():
        StripeEvent.objects.bulk_create([event], ignore_conflicts=True)
        transaction.on_commit(lambda: tasks.hint(tasks.work_event, event.id))


# ---------------------------------------------------------------- the work


def work(event_id: str) -> None:
    """Acts on one event that nobody has acted on yet. Two workers at once do no harm: every step asks Stripe, and is done
    once by the database."""
    event = StripeEvent.objects.filter(pk=event_id, outcome=Outcome.PENDING).first()
    if event is None:
        return
    StripeEvent.objects.filter(pk=event_id).update(attempts=F("attempts") + 1)
    try:
        outcome = _act_on(event)
    except PaymentsUnavailable as e:
        _postpone(event, e.message)
    except PaymentRefused as e:  # Stripe does not know the object: it is another account's, or made up
        _note(event, Outcome.ORPHAN, e.message)
    except Exception as e:  # a fault of ours must not keep other events waiting
        log.exception("event %s %s", event.type, event.id)
        _postpone(event, repr(e))
    else:
        _note(event, outcome)


def _postpone(event: StripeEvent, error: str) -> None:
    _note(event, Outcome.FAILED if event.attempts + 1 >= MOST_ATTEMPTS else Outcome.PENDING, error)


def _note(event: StripeEvent, outcome: StripeEvent.Outcome, error: str = "") -> None:
    done = Now() if outcome != Outcome.PENDING else None
    StripeEvent.objects.filter(pk=event.pk).update(outcome=outcome, error=error[:500], handled_at=done)


def _act_on(event: StripeEvent) -> StripeEvent.Outcome:
    act = ACTIONS.get(event.type)
    if act is None or event.livemode != settings.STRIPE_LIVEMODE:
        return Outcome.IGNORED
    return Outcome.HANDLED if act(event) else Outcome.ORPHAN


def _session(event: StripeEvent) -> bool:
    return topups.fulfil(event.object_id) is not None or cards.saved_in(event.object_id)


def _payment(event: StripeEvent) -> bool:
    return topups.follow_payment(event.object_id) is not None


def _refund(event: StripeEvent) -> bool:
    return refunds.follow(event.object_id) is not None


def _refunds_of_charge(event: StripeEvent) -> bool:
    payment = event.payload["data"]["object"].get("payment_intent")
    followed = [refunds.follow(fact.id) for fact in stripe_api.refunds_of(str(payment))] if payment else []
    return any(followed)


def _dispute(event: StripeEvent) -> bool:
    return disputes.follow(event.object_id) is not None


def _card_gone(event: StripeEvent) -> bool:
    return cards.forget_method(event.object_id)


#: https://docs.stripe.com/api/events/types; every other type is stored and ignored
ACTIONS: dict[str, Callable[[StripeEvent], bool]] = {
    "checkout.session.completed": _session,
    "checkout.session.expired": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session,
    "payment_intent.succeeded": _payment,
    "payment_intent.payment_failed": _payment,
    "payment_intent.canceled": _payment,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refunded": _refunds_of_charge,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.closed": _dispute,
    "payment_method.detached": _card_gone,
}
