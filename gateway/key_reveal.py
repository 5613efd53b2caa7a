"""How a new key gets from the form that made it to the one page that shows it, once.

A session row would keep the key itself in the database; a signed cookie keeps it in the browser that asked, for two
minutes, on that page alone, out of reach of scripts.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect

from accounts import keys
from accounts.keys import IssuedKey
from accounts.models import ApiKey

REVEAL_COOKIE = "new_key"
REVEAL_SECONDS = 120
REVEAL_SALT = "accounts.new-key"


def redirect_to_reveal(path: str, issued: IssuedKey) -> HttpResponseRedirect:
    response = redirect(path)
    response.set_signed_cookie(
        REVEAL_COOKIE,
        issued.secret,
        salt=REVEAL_SALT,
        max_age=REVEAL_SECONDS,
        path=path,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Strict",
    )
    return response


def revealed(request: HttpRequest, key: ApiKey | None) -> str:
    """The secret that belongs to this very key, or nothing."""
    secret = request.get_signed_cookie(REVEAL_COOKIE, default="", salt=REVEAL_SALT, max_age=REVEAL_SECONDS) or ""
    return secret if key is not None and secret and keys.hash_of(secret.encode()) == bytes(key.hash) else ""


def forget(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """What was shown once is not sent again."""
    if REVEAL_COOKIE in request.COOKIES:
        response.delete_cookie(REVEAL_COOKIE, path=request.path.rstrip("/"), samesite="Strict")
    return response
