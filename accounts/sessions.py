"""Where a person is logged in."""

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from tokenhub.clock import now

#: the first word found in a User-Agent wins: every browser names those before it, too
_BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"), ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def browser_of(user_agent: str) -> str:
    """In words, as people know it: ``Firefox on Windows``. What is not known is shown as it calls itself."""
    browser = next((name for word, name in _BROWSERS if word in user_agent), None)
    system = next((name for word, name in _SYSTEMS if word in user_agent), None)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or user_agent[:60] or _("Unknown browser")


def live_of(user: User) -> QuerySet[UserSession]:
    """Newest first; those whose session has run out are not among them."""
    alive = Session.objects.filter(expire_date__gt=now()).values("session_key")
    return UserSession.objects.filter(user=user, session_key__in=alive).order_by("-created_at")


def shown(user: User) -> list[UserSession]:
    """For a page: each with its ``browser`` in words."""
    found = list(live_of(user))
    for session in found:
        session.browser = browser_of(session.user_agent)
    return found


def remember_this(request: HttpRequest) -> None:
    """Sessions older than this list of them are taken in when they are next seen."""
    if not UserSession.objects.filter(session_key=request.session.session_key).exists():
        UserSession.objects.create_from_request(request)


@transaction.atomic
def end(sessions: QuerySet[UserSession]) -> int:
    """Logged out at once, wherever they are: the sessions themselves are deleted. How many there were."""
    Session.objects.filter(session_key__in=sessions.values("session_key")).delete()
    return sessions.delete()[0]
