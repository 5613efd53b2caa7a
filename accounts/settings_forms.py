"""What people set about themselves and, where their role allows it, about the team."""

import functools
import zoneinfo
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Membership, User
from accounts.usd_field import UsdField

#: kept by the zone database for old files; nobody lives there
FOREIGN_ZONES = ("Etc/", "SystemV/", "posix/", "right/")


@functools.cache
def time_zones() -> list[str]:
    return sorted(
        name
        for name in zoneinfo.available_timezones()
        if ("/" in name and not name.startswith(FOREIGN_ZONES)) or name == "UTC"
    )


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["name", "time_zone"]
        labels = {"name": _("Name"), "time_zone": _("Time zone")}
        help_texts = {
            "name": _("Shown to the other members of your teams."),
            "time_zone": _("Type a city, such as Berlin. Days and times on every page follow it; empty means UTC."),
        }
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "time_zone": forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
        }

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone not in zoneinfo.available_timezones():
            raise forms.ValidationError(_("There is no such zone. Choose one of the list, such as Europe/Berlin."))
        return zone


class AppearanceForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["theme", "uses_shortcuts"]
        labels = {"theme": _("Theme"), "uses_shortcuts": _("Single-key shortcuts, such as g then k for Keys")}
        widgets = {"theme": forms.RadioSelect}


class MailForm(forms.ModelForm):
    """Which mails one gets from a team."""

    class Meta:
        model = Membership
        fields = ["notifies_balance", "notifies_keys"]
        labels = {
            "notifies_balance": _("The balance falls below the team’s threshold"),
            "notifies_keys": _("A key is made, rotated or revoked"),
        }


class LowBalanceForm(forms.Form):
    low_balance_nanos = UsdField(
        label=_("Threshold in USD"),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_(
            "Mailed once when what is available falls below it, and again only after it was above. Empty: never."
        ),
    )


class HistoryForm(forms.ModelForm):
    class Meta:
        model = Account
        fields = ["keeps_history"]
        labels = {"keeps_history": _("Keep playground conversations")}


class DeleteForm(forms.Form):
    """A password; for who has none (they log in with another site's account), the address."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        if user.has_usable_password():
            self.fields["password"] = forms.CharField(
                label=_("Your password"),
                strip=False,
                widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
            )
        else:
            self.fields["email"] = forms.EmailField(label=_("Your e-mail address, to confirm"))

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(_("This is not your password."))
        return password

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email.lower() != self.user.email:
            raise forms.ValidationError(_("This is not the address of your account."))
        return email
