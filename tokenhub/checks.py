"""Refuses dangerous mixes of settings. Run by the supervisor and by ``asgi.py`` before anything is served."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from tokenhub import environment


def vendors_with_credentials() -> list[str]:
    return [name for name, it in settings.UPSTREAMS.items() if it["api_key"] or it["base_url"]]


@register(Tags.security)
def dangerous_mixes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    errors: list[CheckMessage] = []

    def refuse(number: int, text: str) -> None:
        errors.append(Error(text, id=f"tokenhub.E{number:03d}"))

    if settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")) and settings.SANDBOX:
        refuse(
            1, "a live Stripe key together with the sandbox: real money would buy test answers; set TOKENHUB_SANDBOX=0"
        )
    if settings.STRIPE_SECRET_KEY and not settings.STRIPE_WEBHOOK_SECRET:
        refuse(2, "STRIPE_SECRET_KEY without STRIPE_WEBHOOK_SECRET: payments could be forged; set both")
    if not environment.is_loopback(settings.HOST) and any(
        it["api_key"] and not environment.is_loopback(it["base_url"]) for it in settings.UPSTREAMS.values()
    ):
        if settings.STARTER_CREDIT_NANOS:
            refuse(3, "starter credit together with a vendor's key on a public HOST: anyone could spend your money; "
                      "set TOKENHUB_STARTER_CREDIT_USD=0")  # fmt: skip
        if settings.SANDBOX and not settings.STRIPE_SECRET_KEY:
            refuse(4, "the test checkout together with a vendor's key on a public HOST: anyone could spend your money; "
                      "set TOKENHUB_SANDBOX=0 or give STRIPE_SECRET_KEY")  # fmt: skip
    if not settings.DEV:
        secrets = settings.STRIPE_WEBHOOK_SECRET.split(",") if settings.STRIPE_WEBHOOK_SECRET else []
        if settings.STRIPE_SECRET_KEY and any(len(secret.strip()) < 16 for secret in secrets):
            refuse(
                7, "STRIPE_WEBHOOK_SECRET is too short to be one of Stripe's: copy it from the webhook's page (whsec_…)"
            )
        key = settings.SECRET_KEY.lower()
        if (
            len(set(key)) < 8
            or len(key) < 32
            or any(word in key for word in ("changeme", "insecure", "default", "development"))
        ):
            refuse(5, "TOKENHUB_SECRET_KEY is short or a well-known default: give at least 32 random characters")
        if not settings.PUBLIC_URL:
            refuse(6, "TOKENHUB_PUBLIC_URL is not set: pages and mails must know their own address")
    return errors
