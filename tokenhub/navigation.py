"""The sections of the site: one table for the side bar, the bottom bar, the public bar, the palette and the shortcuts."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.powers import Power


@dataclass(frozen=True)
class Section:
    """``url_name`` may be of a page that this installation lacks: then the section is left out everywhere."""

    url_name: str
    label: str | Promise
    icon: str
    key: str = ""  # the letter after "g" that leads there
    also_under: tuple[str, ...] = ()  # further paths that belong to it
    power: Power | None = None  # that a member needs to see it
    is_compact: bool = False  # stands in the bottom bar of narrow screens itself, not under "More"
    is_public: bool = False
    for_staff: bool = False


SECTIONS = (
    Section("dashboard", _("Dashboard"), "layout-dashboard", "d", ("/welcome",), is_compact=True),
    Section("playground", _("Playground"), "message-square-text", "p", ("/jobs",), is_public=True),
    Section("models", _("Models"), "boxes", "m", is_compact=True, is_public=True),
    Section("keys", _("Keys"), "key-round", "k", ("/connect",), is_compact=True),
    Section("usage", _("Usage"), "chart-column", "u", is_compact=True),
    Section("billing", _("Billing"), "wallet", "b", power=Power.SEE_BILLING),
    Section("docs", _("Docs"), "book-open", is_public=True),
    Section("settings_profile", _("Settings"), "settings"),
    Section("operator", _("Operator"), "gauge", for_staff=True),
)


@dataclass(frozen=True)
class Link:
    """A section as one request sees it."""

    section: Section
    url: str
    is_current: bool


def links(request: HttpRequest, powers: frozenset[Power] = frozenset(Power)) -> list[Link]:
    """The sections that exist and that this visitor may enter, in the order of the side bar."""
    shown = []
    for section in SECTIONS:
        if (section.power and section.power not in powers) or (section.for_staff and not _is_staff(request)):
            continue
        if url := url_of(section.url_name):
            shown.append(Link(section, url, _is_current(section, url, request.path)))
    return shown


def public_links(request: HttpRequest) -> list[Link]:
    """Those that need no log-in. Asks nothing of whoever is signed in: error pages show them too."""
    return [link for link in links(request) if link.section.is_public]


def url_of(name: str) -> str:
    """The address of a page without arguments; empty where this installation has no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _is_current(section: Section, url: str, path: str) -> bool:
    first = "/" + url.split("/")[1]  # all of /settings/… is "Settings", though that leads to the profile
    return any(path == root or path.startswith(f"{root}/") for root in (first, *section.also_under))


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)  # there is none yet where the host itself is refused
    return isinstance(user, User) and user.is_staff
