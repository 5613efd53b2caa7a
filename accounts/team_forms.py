"""What is typed on the team's page."""

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Membership
from accounts.usd_field import UsdField
from tokenhub.money import usd_string


class TeamNameForm(forms.ModelForm):
    class Meta:
        model = Account
        fields = ["name"]
        labels = {"name": _("Team name")}
        error_messages = {"name": {"required": _("Give the team a name.")}}


class RoleField(forms.ChoiceField):
    """Owners may be made by owners alone, so others are not offered it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Membership.Role.choices, widget=forms.Select(attrs={"class": "select"}), **kwargs)

    def without_owner(self) -> None:
        self.choices = [choice for choice in Membership.Role.choices if choice[0] != Membership.Role.OWNER]


class InviteForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"),
        required=False,
        max_length=254,
        help_text=_("Only this address may use the invitation. Empty: a link for whoever you give it to."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = RoleField(label=_("Role"), initial=Membership.Role.DEVELOPER)

    def __init__(self, *args: Any, makes_owners: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not makes_owners:
            role = self.fields["role"]
            assert isinstance(role, RoleField)  # noqa: S101 - declared above
            role.without_owner()

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class BudgetForm(forms.Form):
    """Of one member; the ids of its fields are the member's, because a page holds several."""

    budget_nanos = UsdField(
        label=_("Monthly budget"),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )

    def __init__(self, data: QueryDict | None = None, *, member: Membership) -> None:
        budget = member.monthly_limit_nanos
        initial = {"budget_nanos": "" if budget is None else usd_string(budget)}
        super().__init__(data, initial=initial, auto_id=f"id_%s_{member.pk}")
