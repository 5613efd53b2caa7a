"""The only way to a tenant's objects: whoever is not entitled to one sees what a random id would show, a 404."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from accounts import unsent
from accounts.models import Account, Membership, User
from accounts.powers import POWERS, Power

#: the session's key for the team acted for
TEAM = "team"

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


def signed_in[**P](view: View[P]) -> View[P]:
    """For pages of signed-in people: strangers are sent to log in, and no cache keeps what the page shows."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return unsent.keep(request) if request.method == "POST" else redirect_to_login(request.get_full_path())
        if lacks_second_factor(request) and not is_page(request, "settings_security"):
            return redirect("settings_security")
        # a form belongs to the team it was made for: another tab may have switched since
        if request.method == "POST" and request.POST.get("team", account_of(request).slug) != account_of(request).slug:
            return render(request, "409_team.html", status=409)
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["Cookie"])
        return response

    return guarded


def lacks_second_factor(request: HttpRequest) -> bool:
    """Operators without a second factor may only set one up (where the settings ask for it: in production)."""
    user = user_of(request)
    return settings.STAFF_NEEDS_SECOND_FACTOR and user.is_staff and not is_mfa_enabled(user)


def is_page(request: HttpRequest, name: str) -> bool:
    return request.resolver_match is not None and request.resolver_match.url_name == name


def user_of(request: HttpRequest) -> User:
    """Who is signed in. Raises ``PermissionDenied`` for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def membership_of(request: HttpRequest) -> Membership:
    """The signed-in person's place in the team that they act for. Asked once a request.

    ``?team=<slug>`` on any page switches; the session remembers it. Raises ``Http404`` for a team that is not theirs.
    """
    known: Membership | None = getattr(request, "_membership", None)
    if known is not None:
        return known
    memberships = Membership.objects.filter(user=user_of(request)).select_related("account").order_by("id")
    if asked := request.GET.get("team"):
        known = memberships.filter(account__slug=asked).first()
        if known is None:
            raise Http404
        request.session[TEAM] = asked
    elif remembered := request.session.get(TEAM):
        known = memberships.filter(account__slug=remembered).first()
    known = known or memberships.first()
    if known is None:
        raise PermissionDenied("this user belongs to no account")
    request._membership = known  # type: ignore[attr-defined]
    return known


def account_of(request: HttpRequest) -> Account:
    """The team that the signed-in person acts for."""
    return membership_of(request).account


def may(request: HttpRequest, power: Power) -> bool:
    return power in POWERS[membership_of(request).role]


def needs[**P](power: Power) -> Callable[[View[P]], View[P]]:
    """For pages that take a power of the team; whoever lacks it sees a 403 that says whom to ask. Implies ``signed_in``."""

    def decorate(view: View[P]) -> View[P]:
        @signed_in
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not may(request, power):
                raise PermissionDenied(
                    _("Your role in this team does not allow this. Ask an owner or admin of the team.")
                )
            return view(request, *args, **kwargs)

        return guarded

    return decorate
