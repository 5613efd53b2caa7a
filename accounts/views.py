"""Sign-up, log-in and keys. Everything of a tenant is fetched through ``access``."""

from typing import NamedTuple

from allauth.account import views as allauth
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import access
from accounts import keys as key_store
from accounts.forms import KeyForm, LoginForm, SignupForm
from accounts.models import Account, ApiKey
from tokenhub.clock import now

KEYS_PER_PAGE = 50
#: carries a new key from the form to the page that shows it: a session row would keep the key itself in the database
REVEAL_COOKIE = "new_key"
REVEAL_SECONDS = 120
REVEAL_SALT = "accounts.new-key"


class SignupView(allauth.SignupView):
    form_class = SignupForm

    def form_valid(self, form: SignupForm) -> HttpResponse:
        try:
            return super().form_valid(form)
        except ValidationError as e:
            form.add_error("email", e)
            return self.form_invalid(form)


class LoginView(allauth.LoginView):
    form_class = LoginForm


signup = SignupView.as_view()
login = LoginView.as_view()


class KeyLine(NamedTuple):
    """A key as a page shows it: ``state`` is a word, ``mark`` the class of its shape and of its bar."""

    key: ApiKey
    state: str
    mark: str  # "", warn, bad, off
    used_percent: int | None  # of the limit, 0..100; None without a limit

    @property
    def is_usable(self) -> bool:
        return self.mark != "off"


def line_of(key: ApiKey) -> KeyLine:
    used = None
    if key.limit_nanos is not None:
        used = min(100, key.spent_nanos * 100 // key.limit_nanos) if key.limit_nanos else 100
    if key.revoked_at is not None:
        return KeyLine(key, _("Revoked"), "off", used)
    if key.expires_at is not None and key.expires_at <= now():
        return KeyLine(key, _("Expired"), "off", used)
    if used == 100:
        return KeyLine(key, _("At its limit"), "bad", used)
    if used is not None and used >= 90:
        return KeyLine(key, _("Near its limit"), "warn", used)
    return KeyLine(key, _("Active"), "", used)


@require_safe
@access.signed_in
def keys(request: HttpRequest) -> HttpResponse:
    """Newest first, ``KEYS_PER_PAGE`` a page; ``?before=key-…`` goes on after that key."""
    account = access.account_of(request)
    rows = account.api_keys.order_by("-id")
    if before := request.GET.get("before"):
        rows = rows.filter(id__lt=access.key_of(account, before).pk)
    page = list(rows[: KEYS_PER_PAGE + 1])
    lines = [line_of(key) for key in page[:KEYS_PER_PAGE]]
    context = {
        "lines": lines,
        "older": page[KEYS_PER_PAGE - 1].key_id if len(page) > KEYS_PER_PAGE else "",
        "is_first_page": not before,
        "usable_count": usable_count(account),
    }
    return render(request, "accounts/keys.html", context)


def usable_count(account: Account) -> int:
    return account.api_keys.filter(revoked_at=None).exclude(expires_at__lte=now()).count()


@require_http_methods(["GET", "HEAD", "POST"])
@access.signed_in
def key_new(request: HttpRequest) -> HttpResponse:
    account = access.account_of(request)
    form = KeyForm(request.POST or None)
    if not form.is_valid():
        return render(request, "accounts/key_new.html", {"form": form})
    issued = key_store.issue(account=account, created_by=access.user_of(request), **form.cleaned_data)
    response = redirect("key", key_id=issued.row.key_id)
    response.set_signed_cookie(
        REVEAL_COOKIE,
        issued.secret,
        salt=REVEAL_SALT,
        max_age=REVEAL_SECONDS,
        path=response.url,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Strict",
    )
    return response


@require_safe
@access.signed_in
def key(request: HttpRequest, key_id: str) -> HttpResponse:
    """One key. Directly after it was made, this one time, with the key itself."""
    row = access.key_of(access.account_of(request), key_id)
    secret = _revealed(request, row)
    response = render(request, "accounts/key.html", {"line": line_of(row), "secret": secret})
    if REVEAL_COOKIE in request.COOKIES:
        response.delete_cookie(REVEAL_COOKIE, path=reverse("key", args=[row.key_id]), samesite="Strict")
    return response


def _revealed(request: HttpRequest, row: ApiKey) -> str:
    """The key that belongs to this very row, or nothing."""
    secret = request.get_signed_cookie(REVEAL_COOKIE, default="", salt=REVEAL_SALT, max_age=REVEAL_SECONDS)
    return secret if secret and key_store.hash_of(secret.encode()) == bytes(row.hash) else ""


@require_http_methods(["GET", "HEAD", "POST"])
@access.signed_in
def key_revoke(request: HttpRequest, key_id: str) -> HttpResponse:
    """GET asks, POST does it; a key that is dead already stays as it is."""
    account = access.account_of(request)
    row = access.key_of(account, key_id)
    if request.method == "POST":
        key_store.revoke(key_id=row.key_id, account=account, actor=access.user_of(request))
        return redirect("keys")
    return render(request, "accounts/key_revoke.html", {"line": line_of(row)})
