"""What every page's frame shows. What costs a query is lazy, so that public pages cost none."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import access
from accounts.models import Membership
from accounts.powers import POWERS
from billing import ledger
from billing.models import LedgerAccount
from tokenhub import navigation

#: the model that the first snippets name: the cheapest chat model of the catalogue
EXAMPLE_MODEL = "openai/gpt-6-luna"


def shell(request: HttpRequest) -> dict[str, Any]:
    """``team``, ``membership``, ``powers``, ``teams``, ``wallet`` are of signed-in pages alone.

    ``frame`` is the template that a page for everybody extends: the app's shell where there is somebody, else the
    public frame.
    """
    return {
        "public_url": settings.PUBLIC_URL,
        "support_url": settings.SUPPORT_URL,
        "starter_credit_nanos": settings.STARTER_CREDIT_NANOS,
        # an unknown host is refused before anybody knows who asks
        "frame": "base.html" if getattr(request, "user", None) and request.user.is_authenticated else "public.html",
        "team": SimpleLazyObject(lambda: access.account_of(request)),
        "membership": SimpleLazyObject(lambda: access.membership_of(request)),
        "powers": SimpleLazyObject(lambda: POWERS[access.membership_of(request).role]),
        "teams": SimpleLazyObject(lambda: _teams(request)),
        "wallet": SimpleLazyObject(lambda: _wallet(request)),
        "is_low": SimpleLazyObject(lambda: _is_low(request)),
        "sections": SimpleLazyObject(lambda: navigation.links(request, POWERS[access.membership_of(request).role])),
        "public_sections": SimpleLazyObject(lambda: navigation.public_links(request)),
        "section_url": SimpleLazyObject(lambda: _section_url(request)),
    }


def _teams(request: HttpRequest) -> list[Membership]:
    """Every team of the person, for the switcher."""
    memberships = Membership.objects.filter(user=access.user_of(request)).select_related("account")
    return list(memberships.order_by("account__name", "id"))


def _wallet(request: HttpRequest) -> LedgerAccount:
    known: LedgerAccount | None = getattr(request, "_wallet", None)
    if known is None:
        known = request._wallet = ledger.wallet(access.account_of(request).pk)  # type: ignore[attr-defined]
    return known


def _is_low(request: HttpRequest) -> bool:
    """Below what the team wants to be told at."""
    level = access.account_of(request).low_balance_nanos
    return level is not None and _wallet(request).available_nanos < level


def _section_url(request: HttpRequest) -> str:
    """Where another team's view of the present page begins: its section, because an object of this team is not there."""
    shown = navigation.links(request)
    return next((link.url for link in shown if link.is_current), shown[0].url)
