"""What every page's frame shows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import access
from billing import ledger

#: the model that the first snippets name: the cheapest chat model of the catalogue
EXAMPLE_MODEL = "openai/gpt-6-luna"


def shell(request: HttpRequest) -> dict[str, Any]:
    return {
        "public_url": settings.PUBLIC_URL,
        "support_url": settings.SUPPORT_URL,
        "starter_credit_nanos": settings.STARTER_CREDIT_NANOS,
        "example_model": EXAMPLE_MODEL,
        # asked for by the shell's balance chip alone, so public pages cost no query
        "wallet": SimpleLazyObject(lambda: ledger.wallet(access.account_of(request).pk)),
    }
