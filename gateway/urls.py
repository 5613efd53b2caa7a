"""The API's Django routes, the same under /api/v1 and /v1. (Relays never get here: tokenhub/asgi.py sends them to app.py.)"""

from django.urls import include, path, re_path

from gateway import endpoints, health

api = [
    re_path(r"^models/?$", endpoints.models),
    path("models/<path:slug>", endpoints.model),
    re_path(r"^credits/?$", endpoints.credits),
    re_path(r"^generation/?$", endpoints.generation),
    re_path(r"^messages/count_tokens/?$", endpoints.count_tokens),
    re_path(r"^(?:images|videos)/generations/?$", endpoints.media),
    re_path(r"^(?P<path>.*)$", endpoints.unknown_route),
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("v1/", include(api)),
    re_path(r"^healthz/?$", health.healthz),
    re_path(r"^readyz/?$", health.readyz),
]
