"""Where django-allauth asks us: safe redirects, addresses in mails, texts, and a mail server that is away."""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.mail.exceptions import InvalidMailer
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

log = logging.getLogger(__name__)

#: what allauth's letters call us; the request's host would be a loopback address behind a proxy
THIS_SITE = {"name": "TokenHub", "domain": settings.PUBLIC_URL}


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

    def format_email_subject(self, subject: str) -> str:
        return f"TokenHub: {subject}"

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        # mails name the public address, whatever host the request was made to
        return settings.PUBLIC_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def get_reset_password_from_key_url(self, key: str) -> str:
        uidb36, _dash, token = key.partition("-")
        return settings.PUBLIC_URL + reverse("account_reset_password_from_key", args=[uidb36, token])

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away or not configured must not lose a sign-up: the person can ask for the mail again."""
        try:
            super().send_mail(template_prefix, email, context | {"current_site": THIS_SITE})
        except (OSError, InvalidMailer) as e:
            log.warning("mail not sent: template=%s reason=%s", template_prefix, e)
