"""A promo code becomes credit."""

from allauth.core import ratelimit
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import access
from accounts.powers import Power
from billing import promo_codes
from billing.forms import PromoCodeForm
from billing.promo_codes import CodeRefused
from billing.views import overview
from tokenhub.figures import usd


@require_POST
@access.needs(Power.PAY)
def redeem(request: HttpRequest) -> HttpResponse:
    form = PromoCodeForm(request.POST)
    if form.is_valid():
        if limited := ratelimit.consume_or_429(request, action="promo_code"):  # codes must not be guessed
            return limited
        account, user = access.account_of(request), access.user_of(request)
        try:
            redemption = promo_codes.redeem(account=account, user=user, code=form.cleaned_data["code"])
        except CodeRefused as e:
            form.add_error("code", e.message)
        else:
            given = usd(redemption.promo_code.amount_nanos)
            messages.success(request, _("%(amount)s of credit were added.") % {"amount": given})
            return redirect("billing")
    return overview.page(request, promo_form=form)
