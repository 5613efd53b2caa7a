"""Auto top-up: its bounds, on and off."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import access
from accounts.powers import Power
from billing import auto_top_up
from billing.auto_top_up import CardMissing
from billing.forms import AutoTopUpForm
from billing.views import overview


@require_POST
@access.needs(Power.PAY)
def save(request: HttpRequest) -> HttpResponse:
    """Switches it on within the bounds that were typed."""
    form = AutoTopUpForm(request.POST)
    if form.is_valid():
        account, user = access.account_of(request), access.user_of(request)
        try:
            auto_top_up.save(account=account, user=user, is_on=True, **form.cleaned_data)
        except CardMissing as e:
            form.add_error(None, e.message)
        else:
            messages.success(request, _("Auto top-up is on."))
            return redirect("billing")
    return overview.page(request, auto_form=form)


@require_POST
@access.needs(Power.PAY)
def off(request: HttpRequest) -> HttpResponse:
    auto_top_up.turn_off(access.account_of(request), access.user_of(request))
    messages.success(request, _("Auto top-up is off. Nothing more is charged by itself."))
    return redirect("billing")
