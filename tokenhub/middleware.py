"""How a page reaches a person: in their time zone, and small."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

from accounts.models import User

#: by their own format
COMPRESSED = {"font/woff2", "image/png", "image/jpeg", "image/webp", "video/mp4"}

type Handler = Callable[[HttpRequest], HttpResponse] | Callable[[HttpRequest], Awaitable[HttpResponse]]


@sync_and_async_middleware
def person_time_zone(get_response: Callable[[HttpRequest], HttpResponse]) -> Handler:
    """Activates ``User.time_zone`` while a page is made, so that Django's own filters give local time.

    A streamed body is written after that: whoever streams passes the zone on.
    """
    if iscoroutinefunction(get_response):

        async def in_zone_async(request: HttpRequest) -> HttpResponse:
            user = await request.auser() if _has_session(request) else None
            with timezone.override(zone_of(user)):
                return await get_response(request)

        return in_zone_async

    def in_zone(request: HttpRequest) -> HttpResponse:
        with timezone.override(zone_of(request.user if _has_session(request) else None)):
            return get_response(request)

    return in_zone


def _has_session(request: HttpRequest) -> bool:
    """Asked first, so that answers to strangers neither cost a query nor vary by cookie."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def zone_of(user: User | AnonymousUser | None) -> ZoneInfo:
    """The person's zone; UTC where none is chosen, or where this machine does not know the chosen one any more."""
    try:
        return ZoneInfo(user.time_zone if isinstance(user, User) and user.time_zone else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


class CompressionMiddleware(GZipMiddleware):
    """Text alone: fonts and pictures are compressed already, and events must not wait for a full block."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.get("content-type", "").partition(";")[0]
        if kind in COMPRESSED or kind == "text/event-stream":
            return response
        return super().process_response(request, response)
