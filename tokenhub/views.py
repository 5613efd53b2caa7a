"""The pages that belong to no room."""

import logging
import uuid

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts import access
from accounts.models import User
from tokenhub import palette as palette_entries
from tokenhub import showroom, storefront
from tokenhub.context import EXAMPLE_MODEL
from tokenhub.snippets import snippets

logger = logging.getLogger(__name__)


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    return render(request, "landing.html", {"snippets": snippets(EXAMPLE_MODEL), "front": storefront.read()})


@require_safe
@access.signed_in
def palette(request: HttpRequest) -> HttpResponse:
    return JsonResponse(palette_entries.entries(request))


@require_POST
@access.signed_in
def theme(request: HttpRequest) -> HttpResponse:
    """The switch of every page's head. Where a script sent it there is no page to go back to."""
    user = access.user_of(request)
    if request.POST.get("theme") in User.Theme.values:
        user.theme = request.POST["theme"]
        user.save(update_fields=["theme"])
    if request.POST.get("stays"):
        return HttpResponse(status=204)
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}) else "landing")


@require_safe
@access.signed_in
def style(request: HttpRequest) -> HttpResponse:
    """Every component in one place, for those who build pages."""
    if not (settings.DEV or access.user_of(request).is_staff):
        raise PermissionDenied
    return render(request, "style.html", showroom.samples())


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of last resort: it asks no database, and names the line in the log."""
    error_id = f"err-{uuid.uuid4().hex[:12]}"
    logger.error("page failed: %s %s", error_id, request.path)
    return render(None, "500.html", {"error_id": error_id}, status=500)
