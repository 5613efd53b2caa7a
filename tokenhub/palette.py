"""What the command palette finds: pages, models, the team's keys and actions, as one small JSON object."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import access
from accounts.models import ApiKey
from accounts.powers import POWERS, Power
from gateway.models import Model
from tokenhub import navigation

KEYS_AT_MOST = 200


def entries(request: HttpRequest) -> dict[str, Any]:
    """``items``: label, detail, kind and either url or action, in the order in which they are offered.

    ``request_url`` is what a pasted ``gen-…`` id is put behind; empty where there is no page of requests.
    """
    requests = navigation.url_of("usage_requests")
    return {
        "items": [*_pages(request), *_actions(request), *_keys(request), *_models()],
        "request_url": f"{requests}/" if requests else "",
        "request_label": _("Open request"),
    }


def _pages(request: HttpRequest) -> list[dict[str, str]]:
    powers = POWERS[access.membership_of(request).role]
    pages = [(str(link.section.label), link.url) for link in navigation.links(request, powers)]
    for label, name in (
        (_("Requests"), "usage_requests"),
        (_("Connect a tool"), "connect"),
        (_("Compare models"), "models_compare"),
        (_("Security"), "settings_security"),
        (_("Team"), "settings_team"),
        (_("Notifications"), "settings_notifications"),
        (_("Privacy"), "settings_privacy"),
        (_("Appearance"), "settings_appearance"),
    ):
        if url := navigation.url_of(name):
            pages.append((label, url))
    return [{"label": label, "detail": "", "kind": _("Page"), "url": url} for label, url in pages]


def _actions(request: HttpRequest) -> list[dict[str, str]]:
    actions = [
        {"label": _("Switch theme"), "action": "theme"},
        {"label": _("Keyboard shortcuts"), "action": "shortcuts"},
    ]
    if access.may(request, Power.MAKE_KEYS):
        actions.insert(0, {"label": _("Create key"), "url": reverse("key_new")})
    if access.may(request, Power.PAY):
        actions.insert(0, {"label": _("Add credit"), "url": reverse("billing")})
    return [{"detail": "", "kind": _("Action"), **action} for action in actions]


def _keys(request: HttpRequest) -> list[dict[str, str]]:
    """The living keys that this member may see, by name and by what is left of the secret."""
    keys = ApiKey.objects.filter(account=access.account_of(request), revoked_at=None)
    if not access.may(request, Power.SEE_TEAM_KEYS):
        keys = keys.filter(created_by=access.user_of(request))
    newest = keys.order_by("-id")[:KEYS_AT_MOST]
    return [
        {"label": key.name, "detail": key.masked, "kind": _("Key"), "url": reverse("key", args=[key.key_id])}
        for key in newest
    ]


def _models() -> list[dict[str, str]]:
    if not navigation.url_of("models"):
        return []
    models = Model.objects.filter(is_listed=True).values_list("name", "slug")
    return [
        {"label": name, "detail": slug, "kind": _("Model"), "url": reverse("model_page", args=[slug])}
        for name, slug in models
    ]
