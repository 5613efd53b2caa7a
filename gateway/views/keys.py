"""Keys: the list, one form for making and editing, and what can be done with one."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access, keys
from accounts.access import account_of, membership_of, user_of
from accounts.models import ApiKey
from accounts.powers import Power
from gateway import first_call, key_lines, key_reveal
from gateway.key_forms import KeyForm, RotationForm
from gateway.key_lines import KeyLine
from tokenhub.snippets import api_base, snippets

KEYS_PER_PAGE = 50
form_page = require_http_methods(["GET", "HEAD", "POST"])


# ---------------------------------------------------------------- the list


@require_safe
@access.signed_in
def index(request: HttpRequest) -> HttpResponse:
    """Newest first, ``KEYS_PER_PAGE`` a page; ``?before=key-…`` goes on after that key, ``?q=`` searches names."""
    if not (access.may(request, Power.SEE_TEAM_KEYS) or access.may(request, Power.MAKE_KEYS)):
        return render(request, "keys/none_for_you.html")
    seen = keys.seen_by(membership_of(request))
    asked, before = request.GET.get("q", "").strip(), request.GET.get("before")
    rows = _matching(seen, asked).order_by("-id").select_related(*key_lines.ROWS)
    if before:
        rows = rows.filter(id__lt=_key(request, before).pk)
    page = list(rows[: KEYS_PER_PAGE + 1])
    lines = key_lines.lines_of(page[:KEYS_PER_PAGE], membership_of(request))
    context = {
        "lines": lines,
        "at_limit": [line for line in lines if line.is_at_limit and line.can_edit],
        "asked": asked,
        "older": page[KEYS_PER_PAGE - 1].key_id if len(page) > KEYS_PER_PAGE else "",
        "is_first_page": not before,
        "usable_count": keys.usable(seen).count(),
        "just_disabled": _just_disabled(request),
    }
    return render(request, "keys/index.html", context)


def _matching(rows: QuerySet[ApiKey], asked: str) -> QuerySet[ApiKey]:
    """By a part of the name, or by the beginning of the key."""
    if not asked:
        return rows
    return rows.filter(Q(name__icontains=asked) | Q(public_id__startswith=asked.removeprefix("th-").partition("…")[0]))


def _just_disabled(request: HttpRequest) -> KeyLine | None:
    """The key that a moment ago was disabled on this very page: Undo is offered for as long as the page is open."""
    key_id = request.GET.get("disabled", "")
    key = _seen(request).filter(public_id=key_id.removeprefix("key-")).first() if key_id else None
    line = key_lines.line_of(key, membership_of(request)) if key is not None else None
    return line if line is not None and line.can_enable else None


# ---------------------------------------------------------------- making and editing


@form_page
@access.needs(Power.MAKE_KEYS)
def new(request: HttpRequest) -> HttpResponse:
    form = KeyForm(request.POST or None)
    if not form.is_valid():
        return render(request, "keys/form.html", {"form": form})
    issued = keys.issue(
        account=account_of(request), created_by=user_of(request), name=form.cleaned_data["name"], **form.rules()
    )
    return key_reveal.redirect_to_reveal(reverse("key", args=[issued.row.key_id]), issued)


@form_page
@access.signed_in
def edit(request: HttpRequest, key_id: str) -> HttpResponse:
    line = _line_to_change(request, key_id)
    if not line.can_edit:
        return _refused(request, line, _("This key is revoked; it cannot be changed any more."))
    form = KeyForm(request.POST or None, key=line.key)
    if not form.is_valid():
        return render(request, "keys/form.html", {"form": form, "line": line})
    name = form.cleaned_data["name"]
    if not keys.change(key=line.key, actor=user_of(request), name=name, **form.rules()):
        return _refused(request, line, _("This key was revoked meanwhile; nothing was changed."))
    messages.success(request, _("“%(name)s” is changed; its next call follows the new rules.") % {"name": name})
    return redirect("key", key_id=key_id)


# ---------------------------------------------------------------- one key


@require_safe
@access.signed_in
def show(request: HttpRequest, key_id: str) -> HttpResponse:
    """One key. Directly after it was made, this one time, with the key itself."""
    line = key_lines.line_of(_key(request, key_id), membership_of(request))
    secret = key_reveal.revealed(request, line.key)
    context: dict[str, Any] = {"line": line}
    if secret:
        offer = first_call.cheapest_offer(line.key.allowed_model_ids)
        context |= {"secret": secret, "offer": offer, "base_url": api_base()}
        if offer is not None:
            context |= {
                "snippets": snippets(offer.model.slug, secret),
                "body": first_call.request_body(offer.model.slug),
            }
    return key_reveal.forget(request, render(request, "keys/key.html", context))


@require_safe
@access.signed_in
def latest(request: HttpRequest, key_id: str) -> HttpResponse:
    """What pages that wait for a call ask again and again: the key's latest call as a part of a page, empty before it."""
    call = first_call.latest_call(_key(request, key_id))
    if call is None:
        return JsonResponse({"id": "", "html": ""})
    if call.id == request.GET.get("after"):
        return JsonResponse({"id": call.id, "html": None})
    html = render_to_string("keys/_call.html", {"call": call}, request)
    return JsonResponse({"id": call.id, "html": html, "is_ok": call.is_ok})


# ---------------------------------------------------------------- verbs


@form_page
@access.signed_in
def rotate(request: HttpRequest, key_id: str) -> HttpResponse:
    line = _line_to_change(request, key_id)
    if not line.can_rotate:
        return _refused(request, line, _("This key cannot be rotated: it no longer works, or has a successor already."))
    form = RotationForm(request.POST or None)
    if not form.is_valid():
        return render(request, "keys/rotate.html", {"form": form, "line": line})
    issued = keys.rotate(key=line.key, actor=user_of(request), overlap=form.length())
    if issued is None:
        return _refused(request, line, _("This key was rotated or revoked meanwhile; nothing was changed."))
    return key_reveal.redirect_to_reveal(reverse("key", args=[issued.row.key_id]), issued)


@require_POST
@access.signed_in
def disable(request: HttpRequest, key_id: str) -> HttpResponse:
    """At once and without a question, because it can be undone at once."""
    line = _line_to_change(request, key_id)
    keys.disable(key=line.key, actor=user_of(request))
    return redirect(f"{reverse('keys')}?disabled={key_id}")


@require_POST
@access.signed_in
def enable(request: HttpRequest, key_id: str) -> HttpResponse:
    line = _line_to_change(request, key_id)
    if keys.enable(key=line.key, actor=user_of(request)):
        messages.success(request, _("“%(name)s” is enabled again.") % {"name": line.key.name})
    return redirect("keys")


@form_page
@access.signed_in
def delete(request: HttpRequest, key_id: str) -> HttpResponse:
    """GET asks and says when the key was used last, POST does it. Only for keys that no longer work."""
    line = _line_to_change(request, key_id)
    if request.method != "POST":
        return render(request, "keys/delete.html", {"line": line})
    if not keys.delete(key=line.key, actor=user_of(request)):
        return _refused(request, line, _("Nothing was changed: only a key that is disabled or expired can be deleted."))
    messages.success(request, _("“%(name)s” is deleted for good.") % {"name": line.key.name})
    return redirect("keys")


# ---------------------------------------------------------------- steps


def _seen(request: HttpRequest) -> QuerySet[ApiKey]:
    return keys.seen_by(membership_of(request)).select_related(*key_lines.ROWS)


def _key(request: HttpRequest, key_id: str) -> ApiKey:
    """A key that this member may look at. Raises ``Http404`` for every other, whether it exists or not."""
    key = _seen(request).filter(public_id=key_id.removeprefix("key-")).first()
    if key is None:
        raise Http404
    return key


def _line_to_change(request: HttpRequest, key_id: str) -> KeyLine:
    """Raises ``Http404`` for a key that this member does not see, ``PermissionDenied`` for one that they only see."""
    line = key_lines.line_of(_key(request, key_id), membership_of(request))
    if not line.may_change:
        raise PermissionDenied(_("This key is not yours to change. Ask its owner, or an owner or admin of the team."))
    return line


def _refused(request: HttpRequest, line: KeyLine, why: str) -> HttpResponse:
    messages.error(request, why)
    return redirect("key", key_id=line.key.key_id)
