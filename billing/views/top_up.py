"""Buying credit: choose an amount, pay on the payment page, come back to the order's own page, which is safe to reload."""

import uuid

from allauth.core import ratelimit
from django.contrib import messages
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access
from accounts.powers import Power
from billing import amounts, refunds, topups
from billing.amounts import NANOS_PER_CENT, BadAmount
from billing.forms import RefundForm, TopUpForm
from billing.models import BillingProfile, Refund, TopUp
from billing.refunds import NotRefundable
from billing.stripe_api import PaymentRefused, PaymentsUnavailable
from billing.views.offer import Sum, offer
from billing.views.payment_history import History
from billing.views.payment_page import way_to
from tokenhub.money import usd_string

Status = TopUp.Status


@require_http_methods(["GET", "HEAD", "POST"])
@access.needs(Power.PAY)
def new(request: HttpRequest) -> HttpResponse:
    """GET shows what an amount (``?amount=12.50``) costs. POST pays it, if that very sum stood on the button."""
    if request.method != "POST":
        return _sales_page(request, credit_nanos=_asked_nanos(request))
    form = TopUpForm(request.POST)
    if not form.is_valid():
        return _sales_page(request, form=form, status=400)
    total = Sum.of(form.cleaned_data["credit_nanos"])
    if form.cleaned_data["shown"] != str(total.price_cents):
        return redirect(f"{reverse('top_up')}?amount={usd_string(total.credit_nanos)}")
    return _ordered(request, form)


def _asked_nanos(request: HttpRequest) -> int | None:
    try:
        return amounts.parse_amount(request.GET.get("amount", ""))
    except BadAmount:
        return None


def _ordered(request: HttpRequest, form: TopUpForm) -> HttpResponse:
    if offer(request).must_confirm_email:
        return _sales_page(request, status=403)
    if limited := ratelimit.consume_or_429(request, action="checkout"):
        return limited
    typed = form.cleaned_data
    try:
        order = topups.start(
            account=access.account_of(request),
            user=access.user_of(request),
            credit_nanos=typed["credit_nanos"],
            request_key=typed["request_key"],
            saves_card=typed["saves_card"],
        )
    except (PaymentsUnavailable, PaymentRefused) as e:
        form.add_error(None, e.message)
        return _sales_page(request, form=form, credit_nanos=typed["credit_nanos"], status=503)
    return redirect(way_to(order.checkout_url) if order.status == Status.OPEN else _page_of(order))


def _sales_page(
    request: HttpRequest, *, form: TopUpForm | None = None, credit_nanos: int | None = None, status: int = 200
) -> HttpResponse:
    profile = BillingProfile.objects.filter(account=access.account_of(request)).first()
    context = {"offer": offer(request, form, credit_nanos), "profile": profile}
    return render(request, "billing/top_up.html", context, status=status)


# ---------------------------------------------------------------- one payment


@require_safe
@access.needs(Power.SEE_BILLING)
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """``?part=status`` asks for the state alone (static/js/billing_payment.js). Nothing else of the address counts: what
    was paid is asked of Stripe."""
    order = _order_of(request, slug)
    if order.is_pending:
        order = topups.refresh(order)
    if request.GET.get("part") == "status":
        return JsonResponse({"status": order.status})
    return _payment_page(request, order)


@require_POST
@access.needs(Power.PAY)
def cancel(request: HttpRequest, slug: str) -> HttpResponse:
    order = _order_of(request, slug)
    try:
        topups.cancel(order)
    except PaymentsUnavailable as e:
        messages.error(request, e.message)
    return redirect(_page_of(order))


@require_POST
@access.needs(Power.PAY)
def refund(request: HttpRequest, slug: str) -> HttpResponse:
    order = _order_of(request, slug)
    form = RefundForm(request.POST, most_nanos=refunds.refundable_nanos(order))
    is_valid = form.is_valid()
    if order.refunds.filter(request_key=form.cleaned_data.get("request_key"), request_key__isnull=False).exists():
        return redirect(_page_of(order))  # pressed twice
    if is_valid:
        try:
            refunds.request(
                top_up=order, user=access.user_of(request), origin=Refund.Origin.CUSTOMER, **form.cleaned_data
            )
        except NotRefundable as e:
            form.add_error("credit_nanos", e.message)
        else:
            messages.success(request, _("The refund is asked for. Its credit is taken from the balance."))
            return redirect(_page_of(order))
    return _payment_page(request, order, refund_form=form)


def _order_of(request: HttpRequest, slug: str) -> TopUp:
    """Raises ``Http404``, for another team's order as for none."""
    orders = TopUp.objects.select_related("account", "user")
    return get_object_or_404(orders, account=access.account_of(request), slug=slug)


def _page_of(order: TopUp) -> str:
    return reverse("top_up_page", args=[order.slug])


def _payment_page(request: HttpRequest, order: TopUp, *, refund_form: BaseForm | None = None) -> HttpResponse:
    may_pay = access.may(request, Power.PAY)
    refundable_nanos = refunds.refundable_nanos(order) if may_pay else 0
    initial = {"credit_nanos": usd_string(refundable_nanos), "request_key": uuid.uuid4()}
    context = {
        "order": order,
        "history": History.of(order),
        "tax_nanos": (order.tax_cents or 0) * NANOS_PER_CENT,
        "total_nanos": order.price_nanos if order.total_cents is None else order.total_cents * NANOS_PER_CENT,
        "may_pay": may_pay,
        "checkout_url": way_to(order.checkout_url) if order.status == Status.OPEN else "",
        "refundable_nanos": refundable_nanos,
        "refundable_until": refunds.refundable_until(order),
        "refund_form": refund_form or RefundForm(initial=initial, most_nanos=refundable_nanos),
        "again": usd_string(order.credit_nanos),
    }
    return render(request, "billing/payment.html", context)
