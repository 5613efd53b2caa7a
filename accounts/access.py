"""The only way to a tenant's objects: whoever is not entitled to one sees what a random id would show, a 404."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from accounts.models import Account, ApiKey, User

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponse]


def signed_in[**P](view: View[P]) -> View[P]:
    """For pages of signed-in people: strangers are sent to log in, and no cache keeps what the page shows."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["Cookie"])
        return response

    return guarded


def user_of(request: HttpRequest) -> User:
    """Who is signed in. Raises ``PermissionDenied`` for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def account_of(request: HttpRequest) -> Account:
    """The account that the signed-in user acts for. Asked once a request."""
    known: Account | None = getattr(request, "_account", None)
    if known is None:
        known = Account.objects.filter(memberships__user=user_of(request)).order_by("memberships__id").first()
        if known is None:
            raise PermissionDenied("this user belongs to no account")
        request._account = known  # type: ignore[attr-defined]
    return known


def key_of(account: Account, key_id: str) -> ApiKey:
    """The account's key named ``key-…``, whatever its state. Raises ``Http404``."""
    key = ApiKey.objects.filter(account=account, public_id=key_id.removeprefix("key-")).first()
    if key is None:
        raise Http404
    return key
