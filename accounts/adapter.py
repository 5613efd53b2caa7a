"""Where django-allauth asks us: safe redirects, addresses in mails, texts, secrets at rest, and a mail server that is away."""

import base64
import hashlib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from accounts import letters
from accounts.models import User
from accounts.onboarding import open_account
from tokenhub.client_address import client_address

#: what allauth's letters call us; the request's host would be a loopback address behind a proxy
THIS_SITE = {"name": "TokenHub", "domain": settings.PUBLIC_URL}
#: for a peer without an address, such as a proxy on a Unix socket
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing listens on it


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_taken": _("This address already has an account. Log in instead, or use another address."),
        "email_password_mismatch": _("The e-mail address or the password is wrong. Check both, or reset the password."),
        "too_many_login_attempts": _("Too many attempts to log in. Wait five minutes, or reset the password."),
    }

    def is_safe_url(self, url: str) -> bool:
        """``next=`` may lead to this very host only; allauth would also accept every allowed host."""
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={self.request.get_host()}, require_https=self.request.is_secure()
        )

    def get_client_ip(self, request: HttpRequest) -> str:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        return client_address(request.META.get("REMOTE_ADDR", ""), forwarded, settings.TRUSTED_PROXIES) or NO_ADDRESS

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("settings_security")

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        # mails name the public address, whatever host the request was made to
        return settings.PUBLIC_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def get_reset_password_from_key_url(self, key: str) -> str:
        uidb36, _dash, token = key.partition("-")
        return settings.PUBLIC_URL + reverse("account_reset_password_from_key", args=[uidb36, token])

    def render_mail(
        self, template_prefix: str, email: str, context: dict[str, Any], headers: dict[str, str] | None = None
    ) -> EmailMultiAlternatives:
        # allauth made these from the request's host; the link of a reset itself is ours already
        public = {"signup_url": settings.PUBLIC_URL + reverse("account_signup")}
        if not template_prefix.endswith("password_reset_key"):
            public["password_reset_url"] = settings.PUBLIC_URL + reverse("account_reset_password")
        return letters.compose(template_prefix, email, context | public)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away or not configured must not lose a sign-up: the person can ask for the mail again."""
        message = self.render_mail(template_prefix, email, {"email": email, "current_site": THIS_SITE} | context)
        letters.post(message)


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted in the database with keys made from ``SECRET_KEY`` (and its fallbacks)."""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "TokenHub"}

    def encrypt(self, text: str) -> str:
        return _vault().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _vault().decrypt(encrypted_text.encode()).decode()


def _vault() -> MultiFernet:
    secrets = [str(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    digests = [hashlib.sha256(b"accounts.second-factor:" + secret.encode()).digest() for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        given = data.get("name") or " ".join(filter(None, [data.get("first_name"), data.get("last_name")]))
        user.name = given[: User._meta.get_field("name").max_length]
        return user

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """User and account appear together or not at all, as with any sign-up."""
        with transaction.atomic():
            user: User = super().save_user(request, sociallogin, form)
            open_account(user=user)
        return user
