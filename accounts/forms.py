"""What people type about themselves and their keys. Messages say what to do."""

import re
from datetime import UTC, datetime, time
from typing import Any

from allauth.account import forms as allauth
from allauth.account.adapter import get_adapter
from django import forms
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, User
from accounts.onboarding import open_account
from tokenhub.clock import now
from tokenhub.money import usd_to_nanos

PLAIN_AMOUNT = re.compile(r"\d{1,10}(\.\d{1,9})?", re.ASCII)


class LoginForm(allauth.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail")
        self.fields["password"].help_text = ""  # the page offers the reset as a link of its own
        self.fields["remember"].label = _("Stay logged in on this device")


class SignupForm(allauth.SignupForm):
    """Two fields. User, e-mail address, account, wallet and starter credit appear together or not at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail")
        self.fields["password1"].help_text = _("At least 12 characters; a sentence works well. Pasting is welcome.")

    def save(self, request: HttpRequest) -> User:
        """Raises ``ValidationError`` if another sign-up took the address since the form was checked."""
        try:
            with transaction.atomic():
                user: User = super().save(request)
                open_account(user=user)
        except IntegrityError:
            if not User.objects.filter(email__iexact=self.cleaned_data["email"]).exists():
                raise
            raise get_adapter().validation_error("email_taken") from None
        return user


class UsdField(forms.CharField):
    """A plain decimal amount in dollars; cleans to nanos, or None where it was left empty."""

    def clean(self, value: Any) -> int | None:
        text = str(super().clean(value)).removeprefix("$").strip()
        if not text:
            return None
        if not PLAIN_AMOUNT.fullmatch(text):
            raise forms.ValidationError(_("Write an amount in dollars such as 5 or 0.25, with at most nine decimals."))
        try:
            nanos = usd_to_nanos(text)
        except ValueError:
            raise forms.ValidationError(_("Use at most $1,000,000,000.")) from None
        if nanos == 0:
            raise forms.ValidationError(_("Use more than $0, or leave it empty for no limit."))
        return nanos


class KeyForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=ApiKey._meta.get_field("name").max_length,
        error_messages={"required": _("Give the key a name.")},
        help_text=_("Where it will be used, so that you know what stops when you revoke it."),
    )
    limit_nanos = UsdField(
        label=_("Spend limit in USD"),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("In total, over the key's life. At the limit its calls get 402. Empty means no limit."),
    )
    expires_at = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("The key works through that day (UTC). Empty means it never expires."),
    )

    def clean_expires_at(self) -> datetime | None:
        day = self.cleaned_data["expires_at"]
        if day is None:
            return None
        end = datetime.combine(day, time.max, tzinfo=UTC)
        if end <= now():
            raise forms.ValidationError(_("That day has passed. Choose today or a later day."))
        return end
