"""What people type about keys. Messages say what to do."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.keys import Rules
from accounts.models import ApiKey
from accounts.usd_field import UsdField
from gateway.endpoints import serving
from gateway.models import Model
from tokenhub import clock
from tokenhub.money import NANOS_PER_USD, usd_string

#: what a new key may spend unless its maker says otherwise
USUAL_LIMIT_NANOS = 5 * NANOS_PER_USD
USUAL_RULES: Rules = {"limit_nanos": USUAL_LIMIT_NANOS, "limit_window": ApiKey.Window.MONTH}
RPM_MOST = 1_000_000
IP_RANGES_MOST = 50
NAME_LENGTH = ApiKey._meta.get_field("name").max_length

#: how long a replaced key goes on working beside its successor
OVERLAPS: dict[str, tuple[Any, timedelta]] = {
    "now": (_("Not at all: it stops now"), timedelta()),
    "1h": (_("1 hour"), timedelta(hours=1)),
    "24h": (_("24 hours"), timedelta(hours=24)),
    "7d": (_("7 days"), timedelta(days=7)),
}


def served_models(also: Collection[int] = ()) -> list[Model]:
    """The chat models that can be called now, and those that a key names already, whatever became of them."""
    models = Model.objects.filter(kind=Model.Kind.CHAT).prefetch_related("routes")
    return [model for model in models if model.pk in also or (model.is_listed and serving(model)[1])]


class IpRangesField(forms.CharField):
    """Addresses and networks, as many as wanted; cleans to sorted CIDR texts without repetition, or None where empty."""

    widget = forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"})

    def clean(self, value: Any) -> list[str] | None:
        words = re.split(r"[\s,;]+", str(super().clean(value)).strip())
        networks = {_network(word) for word in words if word}
        if len(networks) > IP_RANGES_MOST:
            raise forms.ValidationError(_("Use at most 50 networks."))
        ordered = sorted(networks, key=lambda net: (net.version, int(net.network_address), net.prefixlen))
        return [str(network) for network in ordered] or None


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        if "%" in word:  # a zone means something on one machine alone
            raise ValueError
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        text = gettext(
            "“%(word)s” is neither an address nor a network. Write for example 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32."
        )
        raise forms.ValidationError(text % {"word": word[:60]}) from None


class KeyForm(forms.Form):
    """Makes and edits a key. What it was opened with is ``initial``; ``rules`` is what the key may do from now on."""

    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        error_messages={"required": _("Give the key a name.")},
        help_text=_("Where it will be used, so that you know what stops when you disable it."),
    )
    limit_nanos = UsdField(
        label=_("Spend limit in USD"),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    limit_window = forms.ChoiceField(
        label=_("Counted"),
        widget=forms.Select(attrs={"class": "select"}),
        choices=[
            (w.value, w.label)
            for w in (ApiKey.Window.DAY, ApiKey.Window.WEEK, ApiKey.Window.MONTH, ApiKey.Window.TOTAL)
        ],
    )
    is_unlimited = forms.BooleanField(label=_("No limit"), required=False)
    expires_at = forms.DateField(
        label=_("Last day"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    rpm_limit = forms.IntegerField(
        label=_("Requests per minute"),
        required=False,
        min_value=1,
        max_value=RPM_MOST,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text=_("More than that get 429."),
    )
    models = forms.MultipleChoiceField(label=_("Allowed models"), required=False, widget=forms.CheckboxSelectMultiple)
    ip_ranges = IpRangesField(
        label=_("Allowed networks"),
        required=False,
        help_text=_("Addresses or networks in CIDR notation, such as 203.0.113.0/24. Calls from elsewhere get 403."),
    )

    #: those behind "More"
    FURTHER = ("expires_at", "rpm_limit", "models", "ip_ranges")

    def __init__(self, data: Any = None, *, key: ApiKey | None = None) -> None:
        self.key = key
        self.offered = served_models(key.allowed_model_ids or () if key else ())
        super().__init__(data, initial=_rules_as_typed(key, self.offered) if key else _usual())
        self.fields["models"].choices = [(model.slug, model.name) for model in self.offered]  # type: ignore[attr-defined]
        zone = timezone.get_current_timezone_name()
        self.fields["expires_at"].help_text = gettext("The key works through that day (%(zone)s).") % {"zone": zone}

    @property
    def is_more_open(self) -> bool:
        return any(self.errors.get(name) or self[name].value() for name in self.FURTHER)

    def clean_expires_at(self) -> datetime | None:
        day = self.cleaned_data["expires_at"]
        if day is None:
            return None
        if self.key is not None and self.key.expires_at is not None and day == self.initial["expires_at"]:
            return self.key.expires_at  # untouched: it may end at another time than midnight
        end = datetime.combine(day, time.max, tzinfo=timezone.get_current_timezone())
        if end <= clock.now():
            raise forms.ValidationError(_("That day has passed. Choose today or a later day."))
        return end

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("is_unlimited"):
            self.errors.pop("limit_nanos", None)
            cleaned["limit_nanos"] = None
        elif "limit_nanos" in cleaned and cleaned["limit_nanos"] is None:
            self.add_error("limit_nanos", _("Write an amount, or choose “No limit”."))
        return cleaned

    def rules(self) -> Rules:
        cleaned = self.cleaned_data
        chosen = set(cleaned["models"])
        return {
            "limit_nanos": cleaned["limit_nanos"],
            "limit_window": cleaned["limit_window"],
            "expires_at": cleaned["expires_at"],
            "rpm_limit": cleaned["rpm_limit"],
            "allowed_model_ids": sorted(model.pk for model in self.offered if model.slug in chosen) or None,
            "ip_ranges": cleaned["ip_ranges"],
        }


def usual_name(what: str) -> str:
    """``Key, Nov 2026``: when it was made is what one asks of an old key."""
    return gettext("%(what)s, %(month)s") % {"what": what, "month": date_format(timezone.localtime(), "M Y")}


def _usual() -> dict[str, Any]:
    return {
        "name": usual_name(gettext("Key")),
        "limit_nanos": usd_string(USUAL_LIMIT_NANOS),
        "limit_window": ApiKey.Window.MONTH,
    }


def _rules_as_typed(key: ApiKey, offered: Sequence[Model]) -> dict[str, Any]:
    allowed = set(key.allowed_model_ids or ())
    return {
        "name": key.name,
        "limit_nanos": "" if key.limit_nanos is None else usd_string(key.limit_nanos),
        "limit_window": key.limit_window,
        "is_unlimited": key.limit_nanos is None,
        "expires_at": timezone.localdate(key.expires_at) if key.expires_at else None,
        "rpm_limit": key.rpm_limit,
        "models": [model.slug for model in offered if model.pk in allowed],
        "ip_ranges": "\n".join(key.ip_ranges or ()),
    }


class RotationForm(forms.Form):
    overlap = forms.ChoiceField(
        label=_("How long the old key goes on working"),
        choices=[(value, word) for value, (word, _length) in OVERLAPS.items()],
        widget=forms.RadioSelect,
        initial="24h",
    )

    def length(self) -> timedelta:
        return OVERLAPS[self.cleaned_data["overlap"]][1]
