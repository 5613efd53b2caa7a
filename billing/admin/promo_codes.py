"""Promo codes: made, watched, disabled. What a code is worth never changes once it exists."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.usd_field import UsdField
from billing import promo_codes
from billing.admin import acts
from billing.admin.rows import Act, ReadOnly, RowsPage, dollars
from billing.models import PromoCode, PromoRedemption
from tokenhub.ids import random_base62

#: the application's role may update these columns and no others
EDITABLE = ("max_redemptions", "expires_at", "credit_days", "note")
FIXED = ("code", dollars("amount_nanos", _("credit")), "redemption_count", "disabled_at", "created_by", "created_at")


class EditForm(forms.ModelForm):
    class Meta:
        model = PromoCode
        fields = EDITABLE

    def clean_max_redemptions(self) -> int | None:
        most: int | None = self.cleaned_data["max_redemptions"]
        if most is not None and most < self.instance.redemption_count:
            raise forms.ValidationError(_("It has been redeemed more often than that already."))
        return most


class NewForm(EditForm):
    code = forms.CharField(label=_("code"), max_length=40, required=False, help_text=_("Empty: one is made up."))
    amount_nanos = UsdField(label=_("credit in dollars, for each account"))

    class Meta:
        model = PromoCode
        fields = ("code", "amount_nanos", *EDITABLE)

    def clean_code(self) -> str:
        typed = self.cleaned_data["code"]
        code = promo_codes.normalised(typed or random_base62(12))
        if not code:
            raise forms.ValidationError(_("Use the letters A to Z, digits and dashes."))
        if PromoCode.objects.filter(code=code).exists():
            raise forms.ValidationError(_("This code exists."))
        return code

    def clean_amount_nanos(self) -> int:
        nanos: int = self.cleaned_data["amount_nanos"]
        if nanos > acts.MOST_GRANTED_A_DAY_NANOS:
            raise forms.ValidationError(_("A code is worth at most $100."))
        return nanos


class Redemptions(ReadOnly, admin.TabularInline):
    model = PromoRedemption
    extra = 0
    can_delete = False
    fields = readonly_fields = ("account", "user", "created_at")
    ordering = ("-created_at",)


class PromoCodesPage(RowsPage):
    list_display = (
        "code", dollars("amount_nanos", _("credit")), "redemption_count", "max_redemptions", "expires_at", "disabled_at",
    )  # fmt: skip
    search_fields = ("code__exact", "note")
    ordering = ("-id",)
    acts = (
        Act("disable", _("Disable"), acts.disable_code, is_offered=lambda code: code.disabled_at is None),
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = EditForm if obj else NewForm
        return super().get_form(request, obj, change, **{**kwargs, "form": form, "fields": form.Meta.fields})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*self.get_readonly_fields(request, obj), *EDITABLE] if obj else NewForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return FIXED if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return [Redemptions] if obj else []

    def save_model(self, request: HttpRequest, obj: PromoCode, form: Any, change: bool) -> None:
        if not isinstance(request.user, User):
            raise PermissionDenied
        with transaction.atomic():
            if change:
                obj.save(update_fields=EDITABLE)
            else:
                obj.created_by = request.user
                obj.save(force_insert=True)
            acts.note_code("promo_code.changed" if change else "promo_code.made", obj, request.user)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing: ``save_model`` writes the audit."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing: ``save_model`` writes the audit."""
