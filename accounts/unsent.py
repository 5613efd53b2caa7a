"""A form that was sent after its session had ended: what was typed is kept, and offered again after log-in.

It lies in the stranger's session, which log-in carries over. Nothing is sent by itself: the person looks and presses.
"""

from typing import NamedTuple

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

_SESSION_KEY = "unsent_form"
MOST_FIELDS, MOST_CHARACTERS = 100, 20_000


class UnsentForm(NamedTuple):
    action: str  # the path that it was sent to
    page: str  # the path of the page that it was typed on
    fields: list[tuple[str, str]]


def keep(request: HttpRequest) -> HttpResponse:
    """The way to log in, and from there back to what was typed: to the form's page at least."""
    form = UnsentForm(request.get_full_path(), _page_of(request), _typed(request))
    characters = sum(len(name) + len(value) for name, value in form.fields)
    if not form.fields or len(form.fields) > MOST_FIELDS or characters > MOST_CHARACTERS:
        return redirect_to_login(form.page)
    request.session[_SESSION_KEY] = form
    return redirect_to_login(reverse("unsent"))


def kept(request: HttpRequest) -> UnsentForm | None:
    stored = request.session.get(_SESSION_KEY)
    if not stored:
        return None
    action, page, fields = stored
    return UnsentForm(action, page, [(name, value) for name, value in fields])


def _page_of(request: HttpRequest) -> str:
    """Where the form was: the referring page, if it is ours."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, allowed_hosts={request.get_host()}):
        return request.get_full_path()
    # an absolute address of this host, as browsers send it
    path = referrer.partition(request.get_host())[2]
    return path if path.startswith("/") and not path.startswith("//") else request.get_full_path()


def _typed(request: HttpRequest) -> list[tuple[str, str]]:
    """Passwords are never kept; files cannot be."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        if name != "csrfmiddlewaretoken" and "password" not in name
        for value in values
        if isinstance(value, str)
    ]
