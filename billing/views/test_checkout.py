"""The page of the built-in test checkout: no real money, and one may choose how the payment ends.

The stand-in for Stripe (billing/stripe_sandbox) keeps the session and tells of its end by signed events, as Stripe would;
this page shows what the session costs and says which end to take.
"""

import json
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import access
from accounts.powers import Power
from billing import stripe_api
from billing.models import BillingProfile, TopUp
from billing.stripe_api import PaymentRefused, PaymentsUnavailable, Session

TIMEOUT_SECONDS = 10
#: how long a bank takes here; days in the world
DELAY_SECONDS = 5


class Ending(NamedTuple):
    """One way in which the session may end."""

    name: str
    orders: dict[str, str | int]  # the stand-in's words (billing/stripe_sandbox/test_helpers.py)
    label: str | Promise
    hint: str | Promise
    is_for_setup: bool = False  # a card that is saved without paying, too
    stays: bool = False  # nothing is paid, and the page stands


ENDINGS = (
    Ending("success", {"outcome": "success"}, _("Pay"), _("The card is charged at once."), is_for_setup=True),
    Ending("decline", {"outcome": "decline"}, _("Decline the card"), _("The bank says no; one may try again."), is_for_setup=True, stays=True),
    Ending("delayed_success", {"outcome": "delayed_success", "settle_after_seconds": DELAY_SECONDS}, _("Pay by bank debit"), _("The money arrives five seconds later.")),
    Ending("delayed_failure", {"outcome": "delayed_failure", "settle_after_seconds": DELAY_SECONDS}, _("Pay by bank debit that bounces"), _("It is on its way, and then does not arrive.")),
    Ending("duplicate_events", {"outcome": "success", "duplicate_events": 3}, _("Pay, and tell of it several times"), _("Each event comes more than once: credited once.")),
)  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@access.needs(Power.PAY)
def page(request: HttpRequest, session_id: str) -> HttpResponse:
    if not settings.TEST_CHECKOUT:
        raise Http404
    order = TopUp.objects.filter(account=access.account_of(request), session_id=session_id).first()
    try:
        return _played(request, _session_of(request, session_id, order), order)
    except PaymentsUnavailable as e:
        messages.error(request, e.message)
        return redirect("billing")


def _played(request: HttpRequest, session: Session, order: TopUp | None) -> HttpResponse:
    back = _page_after(session, order)
    if session.status != "open":
        return redirect(back)
    away = back if order else reverse("billing")
    context = {"order": order, "away": away, "endings": _endings(session), "is_declined": False}
    if request.method != "POST":
        return render(request, "billing/test_checkout.html", context)
    ending = next((one for one in _endings(session) if one.name == request.POST.get("outcome")), None)
    if ending is None:
        raise Http404
    _end(session.id, ending)
    if ending.stays:
        return render(request, "billing/test_checkout.html", context | {"is_declined": True})
    return redirect(back)


def _session_of(request: HttpRequest, session_id: str, order: TopUp | None) -> Session:
    """Raises ``Http404`` for a session that neither pays an order of this team nor saves a card of its customer's."""
    customers = BillingProfile.objects.filter(account=access.account_of(request)).exclude(stripe_customer_id=None)
    profile = customers.first()
    if profile is None:
        raise Http404
    try:
        session = stripe_api.session(session_id)
    except PaymentRefused:
        raise Http404 from None
    if order is None and (session.mode != "setup" or session.customer_id != profile.stripe_customer_id):
        raise Http404
    return session


def _page_after(session: Session, order: TopUp | None) -> str:
    """The path of the session's success_url."""
    if order is not None:
        return reverse("top_up_page", args=[order.slug])
    return f"{reverse('card_saved')}?{urlencode({'session_id': session.id})}"


def _endings(session: Session) -> list[Ending]:
    return [ending for ending in ENDINGS if ending.is_for_setup or session.mode == "payment"]


def _end(session_id: str, ending: Ending) -> None:
    """Asks the stand-in; Stripe itself has no such address. Raises ``PaymentsUnavailable``."""
    base = urlsplit(str(settings.STRIPE["api_base"]))
    connection = HTTPConnection(base.hostname or "", base.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST",
            f"/v1/test_helpers/checkout/sessions/{session_id}/pay",
            body=urlencode(ending.orders),
            headers={
                "Authorization": f"Bearer {settings.STRIPE['api_key']}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, HTTPException) as e:
        raise PaymentsUnavailable(str(e)) from e
    finally:
        connection.close()
    if answer.status >= 500:
        raise PaymentsUnavailable(str(json.loads(said)))
