"""Connect a tool: a key made for it, with a limit of its own, and the tool's exact settings."""

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts import access, keys
from accounts.access import account_of, membership_of, user_of
from accounts.models import ApiKey
from accounts.powers import Power
from gateway import first_call, key_lines, key_reveal
from gateway.key_forms import USUAL_LIMIT_NANOS, USUAL_RULES
from gateway.tools import TOOLS, Tool

#: stands where the key goes while there is none to show
PLACEHOLDER = "th-…"


@require_safe
@access.signed_in
def index(request: HttpRequest) -> HttpResponse:
    mine = _keys_for_tools(request).filter(last_used_at__isnull=False)
    connected = set(mine.values_list("tool", flat=True))
    return render(request, "connect/index.html", {"tools": TOOLS.values(), "connected": connected})


@require_http_methods(["GET", "HEAD", "POST"])
@access.signed_in
def tool(request: HttpRequest, slug: str) -> HttpResponse:
    """POST makes the key; the page that follows shows it this once, inside the settings."""
    known = TOOLS.get(slug)
    if known is None:
        raise Http404
    if request.method == "POST":
        return _make_key(request, known)
    key = _keys_for_tools(request).filter(tool=slug).select_related(*key_lines.ROWS).order_by("-id").first()
    secret = key_reveal.revealed(request, key)
    offer = first_call.cheapest_offer(key.allowed_model_ids if key else None)
    context = {
        "tool": known,
        "line": key_lines.line_of(key, membership_of(request)) if key else None,
        "secret": secret,
        "blocks": known.filled(secret or PLACEHOLDER, offer.model.slug if offer else "openai/gpt-4.1"),
        "offer": offer,
        "call": first_call.latest_call(key) if key else None,
        "limit_nanos": USUAL_LIMIT_NANOS,
    }
    return key_reveal.forget(request, render(request, "connect/tool.html", context))


@access.needs(Power.MAKE_KEYS)
def _make_key(request: HttpRequest, known: Tool) -> HttpResponse:
    issued = keys.issue(
        account=account_of(request), created_by=user_of(request), name=known.name, tool=known.slug, **USUAL_RULES
    )
    return key_reveal.redirect_to_reveal(reverse("connect_tool", args=[known.slug]), issued)


def _keys_for_tools(request: HttpRequest) -> QuerySet[ApiKey]:
    """One's own living keys that were made on these pages."""
    seen = keys.seen_by(membership_of(request))
    return seen.filter(created_by=user_of(request), revoked_at=None).exclude(tool="")
