"""The settings of a person, and those of the team that are not about its members."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access, personal_data, providers, sessions, teams
from accounts.models import Account
from accounts.powers import Power
from accounts.settings_forms import (
    AppearanceForm,
    DeleteForm,
    HistoryForm,
    LowBalanceForm,
    MailForm,
    ProfileForm,
    time_zones,
)
from tokenhub.money import usd_string

page = require_http_methods(["GET", "HEAD", "POST"])


@page
@access.signed_in
def profile(request: HttpRequest) -> HttpResponse:
    user = access.user_of(request)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        return _saved(request, "settings_profile")
    addresses = EmailAddress.objects.filter(user=user).order_by("-primary", "email")
    return render(request, "settings/profile.html", {"form": form, "addresses": addresses, "zones": time_zones()})


@page
@access.signed_in
def appearance(request: HttpRequest) -> HttpResponse:
    form = AppearanceForm(request.POST or None, instance=access.user_of(request))
    if request.method == "POST" and form.is_valid():
        form.save()
        return _saved(request, "settings_appearance")
    return render(request, "settings/appearance.html", {"form": form})


# ---------------------------------------------------------------- security
@require_safe
@access.signed_in
def security(request: HttpRequest) -> HttpResponse:
    user = access.user_of(request)
    sessions.remember_this(request)
    factors: dict[str, Any] = {"totp": None, "recovery_codes": None, "webauthn": []}
    for authenticator in Authenticator.objects.filter(user=user).order_by("created_at"):
        if authenticator.type == Authenticator.Type.WEBAUTHN:
            factors["webauthn"].append(authenticator)
        else:
            factors[authenticator.type] = authenticator.wrap()
    context: dict[str, Any] = {
        "factors": factors,
        "sessions": sessions.shown(user),
        "this_session": request.session.session_key,
        "must_add_factor": access.lacks_second_factor(request),
    }
    if settings.LOGIN_PROVIDERS:
        context |= {"providers": providers.offered(), "linked": list(SocialAccount.objects.filter(user=user))}
    return render(request, "settings/security.html", context)


@require_POST
@access.signed_in
def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    if not sessions.end(sessions.live_of(access.user_of(request)).filter(pk=session_id)):
        raise Http404
    messages.success(request, _("That session is logged out."))
    return redirect("settings_security")


@require_POST
@access.signed_in
def sessions_end_others(request: HttpRequest) -> HttpResponse:
    others = sessions.live_of(access.user_of(request)).exclude(session_key=request.session.session_key)
    sessions.end(others)
    messages.success(request, _("All other sessions are logged out."))
    return redirect("settings_security")


# ---------------------------------------------------------------- notifications
@page
@access.signed_in
def notifications(request: HttpRequest) -> HttpResponse:
    """Two forms: one's own mails, and the team's threshold."""
    membership, account = access.membership_of(request), access.account_of(request)
    is_threshold = request.method == "POST" and "threshold" in request.POST
    if is_threshold and not access.may(request, Power.MANAGE_ACCOUNT):
        raise PermissionDenied(_("Your role in this team does not allow this. Ask an owner or admin of the team."))
    mine = MailForm(request.POST if request.method == "POST" and not is_threshold else None, instance=membership)
    threshold = LowBalanceForm(request.POST if is_threshold else None, initial=_threshold_of(account))
    if mine.is_valid():
        mine.save()
        return _saved(request, "settings_notifications")
    if threshold.is_valid():
        _set_threshold(request, account, threshold)
        return _saved(request, "settings_notifications")
    context = {"mine": mine, "threshold": threshold, "may_manage": access.may(request, Power.MANAGE_ACCOUNT)}
    return render(request, "settings/notifications.html", context)


def _threshold_of(account: Account) -> dict[str, str]:
    nanos = account.low_balance_nanos
    return {"low_balance_nanos": "" if nanos is None else usd_string(nanos)}


def _set_threshold(request: HttpRequest, account: Account, form: BaseForm) -> None:
    """A new threshold is told about anew."""
    nanos = form.cleaned_data["low_balance_nanos"]
    Account.objects.filter(pk=account.pk).update(low_balance_nanos=nanos, low_balance_told_at=None)
    teams.record(account, access.user_of(request), "threshold.changed", detail={"low_balance_nanos": nanos})


# ---------------------------------------------------------------- privacy
@require_safe
@access.signed_in
def privacy(request: HttpRequest) -> HttpResponse:
    context = {
        "form": HistoryForm(instance=access.account_of(request)),
        "may_manage": access.may(request, Power.MANAGE_ACCOUNT),
    }
    return render(request, "settings/privacy.html", context)


@require_POST
@access.needs(Power.MANAGE_ACCOUNT)
def history(request: HttpRequest) -> HttpResponse:
    account = access.account_of(request)
    form = HistoryForm(request.POST, instance=account)
    if form.is_valid():  # one checkbox: it always is
        form.save()
        kept = form.cleaned_data["keeps_history"]
        teams.record(account, access.user_of(request), "history.changed", detail={"keeps_history": kept})
    return _saved(request, "settings_privacy")


@require_safe
@access.signed_in
def export(request: HttpRequest) -> HttpResponse:
    response = JsonResponse(personal_data.export(access.user_of(request)), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = 'attachment; filename="tokenhub-my-data.json"'
    return response


@page
@access.signed_in
def delete_me(request: HttpRequest) -> HttpResponse:
    user = access.user_of(request)
    form = DeleteForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        try:
            personal_data.erase(user)
        except personal_data.StillOwnerError as e:
            form.add_error(None, str(e))
        else:
            logout(request)
            return redirect("landing")
    return render(request, "settings/delete.html", {"form": form})


def _saved(request: HttpRequest, name: str) -> HttpResponse:
    messages.success(request, _("Saved."))
    return redirect(name)
