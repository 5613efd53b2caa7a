"""The first minute: a key, a request that can be pasted, and the answer as it arrives."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import access, keys
from accounts.access import account_of, membership_of, user_of
from accounts.models import ApiKey
from accounts.powers import Power
from gateway import first_call, key_lines
from gateway.first_steps import first_steps
from gateway.key_forms import USUAL_RULES
from tokenhub.snippets import api_base, snippets


@require_safe
@access.signed_in
def welcome(request: HttpRequest) -> HttpResponse:
    """Whoever opens it first for a team that never had a key is given one, shown in full in this answer alone."""
    key, secret = _first_key(request)
    offer = first_call.cheapest_offer(key.allowed_model_ids if key else None)
    context: dict[str, Any] = {
        "line": key_lines.line_of(key, membership_of(request)) if key else None,
        "secret": secret,
        "offer": offer,
        "base_url": api_base(),
        "call": first_call.latest_call(key) if key else None,
        "steps": first_steps(account_of(request)),
    }
    if offer is not None:
        context["snippets"] = snippets(offer.model.slug, secret)
        context["body"] = first_call.request_body(offer.model.slug)
    return render(request, "welcome/welcome.html", context)


def _first_key(request: HttpRequest) -> tuple[ApiKey | None, str]:
    """The key that this page is about, and its secret where it was made just now."""
    seen = keys.seen_by(membership_of(request)).select_related(*key_lines.ROWS)
    key = seen.filter(revoked_at=None).order_by("id").first()
    if key is None and access.may(request, Power.MAKE_KEYS) and request.method == "GET":
        issued = keys.issue_first(
            account=account_of(request), created_by=user_of(request), name=_("First key"), **USUAL_RULES
        )
        if issued is not None:
            return issued.row, issued.secret
    return key, ""
