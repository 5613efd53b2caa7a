"""The saved card: saved and managed on Stripe's own pages, so that no card number ever comes here."""

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import access
from accounts.powers import Power
from billing import cards
from billing.stripe_api import PaymentRefused, PaymentsUnavailable
from billing.views.offer import must_confirm_email
from billing.views.payment_page import way_to


@require_POST
@access.needs(Power.PAY)
def start(request: HttpRequest) -> HttpResponse:
    user = access.user_of(request)
    if must_confirm_email(user):
        return _refused(request, _("Confirm your e-mail address first."))
    if limited := ratelimit.consume_or_429(request, action="checkout"):
        return limited
    try:
        url = cards.start_saving(account=access.account_of(request), user=user)
    except (PaymentsUnavailable, PaymentRefused) as e:
        return _refused(request, e.message)
    return redirect(way_to(url))


@require_safe
@access.needs(Power.PAY)
def saved(request: HttpRequest) -> HttpResponse:
    """Where Stripe sends the browser back to. It keeps a card only of a session of this account's own customer."""
    session_id = request.GET.get("session_id", "")
    try:
        is_saved = bool(session_id) and cards.finish_saving(access.account_of(request), session_id)
    except PaymentsUnavailable as e:
        return _refused(request, e.message)
    if is_saved:
        messages.success(request, _("The card is saved."))
    return redirect("billing")


@require_POST
@access.needs(Power.PAY)
def portal(request: HttpRequest) -> HttpResponse:
    back = f"{settings.PUBLIC_URL}{reverse('billing')}"
    try:
        url = cards.portal_url(access.account_of(request), back)
    except (PaymentsUnavailable, PaymentRefused) as e:
        return _refused(request, e.message)
    return redirect(url)


@require_POST
@access.needs(Power.PAY)
def forget(request: HttpRequest) -> HttpResponse:
    try:
        cards.forget(access.account_of(request), access.user_of(request))
    except (PaymentsUnavailable, PaymentRefused) as e:
        return _refused(request, e.message)
    messages.success(request, _("The card is removed."))
    return redirect("billing")


def _refused(request: HttpRequest, text: str) -> HttpResponse:
    messages.error(request, text)
    return redirect("billing")
