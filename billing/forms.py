"""What people type about money. Messages say what to do."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from accounts.usd_field import UsdField
from billing import amounts
from billing.amounts import NANOS_PER_CENT, SUGGESTED, BadAmount
from billing.models import BillingProfile
from tokenhub.figures import usd

#: the tile behind which one types the amount
OTHER = "other"
_MONEY = {"inputmode": "decimal", "autocomplete": "off"}


class AmountField(forms.CharField):
    """An amount that a card can pay; cleans to nanos, or None where it was left empty."""

    widget = forms.TextInput(attrs=_MONEY)

    def clean(self, value: Any) -> int | None:
        text = str(super().clean(value))
        if not text:
            return None
        try:
            return amounts.parse_amount(text.removeprefix("$"))
        except BadAmount:
            message = _now("Write an amount from %(least)s to %(most)s, such as 25 or 12.50.")
            bounds = {"least": usd(amounts.LEAST_NANOS), "most": usd(amounts.MOST_NANOS)}
            raise forms.ValidationError(message % bounds) from None


class CentsField(UsdField):
    """Any amount in whole cents, in nanos."""

    widget = forms.TextInput(attrs=_MONEY)

    def clean(self, value: Any) -> int | None:
        nanos = super().clean(value)
        if nanos is not None and nanos % NANOS_PER_CENT:
            raise forms.ValidationError(_now("Use at most two decimals."))
        return nanos


class TopUpForm(forms.Form):
    """An amount from a tile, or typed behind the tile "Other". Nothing else of an order comes from the browser."""

    amount = forms.ChoiceField(
        label=_("Amount"),
        choices=[*((str(dollars), f"${dollars}") for dollars in SUGGESTED), (OTHER, _("Other"))],
        error_messages={"invalid_choice": _("Choose one of the amounts, or “Other”."), "required": _("Choose an amount.")},
    )  # fmt: skip
    other = AmountField(label=_("Other amount"), required=False)
    saves_card = forms.BooleanField(label=_("Save this card, for auto top-up"), required=False)
    #: pressing twice is one order
    request_key = forms.UUIDField(widget=forms.HiddenInput)
    #: the sum, in cents, that stood on the button: whoever was shown another one, or none, is shown the sum first
    shown = forms.CharField(required=False, widget=forms.HiddenInput)
    currency = forms.ChoiceField(choices=[("usd", "USD")], required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("amount") == OTHER:
            cleaned["credit_nanos"] = cleaned.get("other")
            if cleaned["credit_nanos"] is None and "other" not in self.errors:
                self.add_error("other", _now("Write how much credit you want."))
        elif "amount" in cleaned:
            self.errors.pop("other", None)  # typed, then another tile was chosen
            cleaned["credit_nanos"] = amounts.parse_amount(cleaned["amount"])
        return cleaned


class AutoTopUpForm(forms.Form):
    threshold_nanos = CentsField(
        label=_("Below"), error_messages={"required": _("Say below which balance credit is added.")}
    )
    amount_nanos = AmountField(label=_("Add"), error_messages={"required": _("Say how much credit is added.")})
    monthly_cap_nanos = CentsField(
        label=_("At most a month"),
        error_messages={"required": _("A monthly cap is required before this can be switched on.")},
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        amount, cap = cleaned.get("amount_nanos"), cleaned.get("monthly_cap_nanos")
        if amount and cap and cap < amount:
            self.add_error("monthly_cap_nanos", _now("The monthly cap must allow for one top-up at least."))
        return cleaned


class PromoCodeForm(forms.Form):
    code = forms.CharField(
        label=_("Promo code"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
        error_messages={"required": _("Write the code.")},
    )


class RefundForm(forms.Form):
    """``most_nanos``: what can be had back now."""

    request_key = forms.UUIDField(widget=forms.HiddenInput)
    credit_nanos = CentsField(label=_("Amount"), error_messages={"required": _("Write how much you want back.")})
    reason = forms.CharField(label=_("Reason"), required=False, max_length=500)

    def __init__(self, *args: Any, most_nanos: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.most_nanos = most_nanos

    def clean_credit_nanos(self) -> int:
        nanos: int = self.cleaned_data["credit_nanos"]
        if nanos > self.most_nanos:
            raise forms.ValidationError(_now("At most %(most)s can be refunded now.") % {"most": usd(self.most_nanos)})
        return nanos


class BillingDetailsForm(forms.ModelForm):
    """What stands on receipts from now on."""

    class Meta:
        model = BillingProfile
        fields = ["company_name", "address", "tax_id"]
        labels = {"company_name": _("Company"), "address": _("Address"), "tax_id": _("Tax ID")}
        widgets = {
            "company_name": forms.TextInput(attrs={"autocomplete": "organization"}),
            "address": forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
            "tax_id": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        }
