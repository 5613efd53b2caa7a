"""Who stands on the receipts."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import access
from accounts.powers import Power
from billing import cards
from billing.forms import BillingDetailsForm
from billing.views import overview


@require_POST
@access.needs(Power.PAY)
def save(request: HttpRequest) -> HttpResponse:
    form = BillingDetailsForm(request.POST, instance=cards.profile_of(access.account_of(request)))
    if not form.is_valid():
        return overview.page(request, details_form=form)
    # of this form alone: a card may be saved at the same moment
    form.instance.save(update_fields=list(form.cleaned_data))
    messages.success(request, _("Saved. Receipts of payments from now on show these details."))
    return redirect("billing")
