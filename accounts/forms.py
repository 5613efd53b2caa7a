"""What people type about themselves. Messages say what to do."""

from typing import Any

from allauth.account import forms as allauth
from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.onboarding import open_account


class LoginForm(allauth.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail")
        self.fields["password"].help_text = ""  # the page offers the reset as a link of its own
        self.fields["remember"].label = _("Stay logged in on this device")


class EmailLabel(forms.Form):
    """The address is called the same on every page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail")


class AddEmailForm(EmailLabel, allauth.AddEmailForm):
    pass


class ResetPasswordForm(EmailLabel, allauth.ResetPasswordForm):
    pass


class RequestLoginCodeForm(EmailLabel, allauth.RequestLoginCodeForm):
    pass


class SignupForm(allauth.SignupForm):
    """Two fields, and a third that only robots see. User, e-mail address, account, wallet and starter credit appear together or not at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail")
        self.fields["password1"].help_text = _("At least 12 characters; a sentence works well. Pasting is welcome.")
        # the template hides it; allauth's own way is an inline style, which our policy forbids
        bait = self.fields[settings.ACCOUNT_SIGNUP_FORM_HONEYPOT_FIELD]
        bait.widget = forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"})

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
