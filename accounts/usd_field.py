"""The form field for money: dollars as people write them, nanos inside."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tokenhub.money import usd_to_nanos

PLAIN_AMOUNT = re.compile(r"\d{1,10}(\.\d{1,9})?", re.ASCII)


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
            raise forms.ValidationError(_("Use more than $0."))
        return nanos
