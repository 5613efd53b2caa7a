"""The other sites whose accounts may be used to log in: those whose id and secret the environment holds."""

from typing import NamedTuple

from django.conf import settings
from django.urls import reverse

NAMES = {"google": "Google", "github": "GitHub"}


class Provider(NamedTuple):
    name: str
    login_url: str


def offered() -> list[Provider]:
    return [
        Provider(NAMES[name], reverse(f"{name}_login"))
        if name in NAMES
        else Provider(app["name"], reverse("openid_connect_login", args=[app["provider_id"]]))
        for name, app in settings.LOGIN_PROVIDERS.items()
    ]
