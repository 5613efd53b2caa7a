"""What would it cost: the calculator of a model's page. A plain GET form; the sums are the biller's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import pricing
from billing.meters import Usage
from billing.models import Price
from gateway.models import Model
from gateway.offers import Offer
from gateway.price_list import PriceList, standard_rate, token_price

DAYS = 30
TOKENS_MAX = 10_000_000
CALLS_MAX = 100_000_000


def _count(label: Any, least: int, most: int) -> forms.IntegerField:
    field = forms.IntegerField(label=label, min_value=least, max_value=most)
    field.widget.attrs["inputmode"] = "numeric"
    return field


class TokenForm(forms.Form):
    """A day of chat calls."""

    input_tokens = _count(_("Tokens in"), 0, TOKENS_MAX)
    cached_percent = _count(_("From cache, %"), 0, 100)
    output_tokens = _count(_("Tokens out"), 0, TOKENS_MAX)
    calls = _count(_("Calls a day"), 0, CALLS_MAX)

    USUAL: Mapping[str, Any] = {"input_tokens": 1_000, "cached_percent": 0, "output_tokens": 500, "calls": 1_000}

    def __init__(self, data: QueryDict | Mapping[str, Any], offer: Offer):
        super().__init__(data)
        self.model = offer.model

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        window = self.model.context_window
        tokens = (values.get("input_tokens") or 0) + (values.get("output_tokens") or 0)
        if window is not None and tokens > window:
            text = gettext("Input and output together exceed the model's context of %(tokens)s tokens.")
            self.add_error("input_tokens", text % {"tokens": f"{window:,}"})
        return values

    def call_nanos(self, price: Price) -> int | None:
        """Of one call; None where this price does not sell it. The form must be valid."""
        rates = token_price(price)
        return None if rates is None else pricing.cost(rates, self.usage)

    @property
    def usage(self) -> Usage:
        values = self.cleaned_data
        cached = values["input_tokens"] * values["cached_percent"] // 100
        return Usage(
            input_tokens=values["input_tokens"], cached_input_tokens=cached, output_tokens=values["output_tokens"]
        )


class MediaForm(forms.Form):
    """A day of images or clips."""

    rate = forms.ChoiceField(label=_("Quality"))
    quantity = _count("", 1, 1_000)
    calls = _count(_("Calls a day"), 0, CALLS_MAX)

    def __init__(self, data: QueryDict | Mapping[str, Any], offer: Offer):
        super().__init__(data)
        rates = [rate for rate in offer.prices.rates if rate.nanos is not None and not rate.is_extra]
        self.fields["rate"] = forms.ChoiceField(label=_("Quality"), choices=[(rate.name, rate.words) for rate in rates])
        is_video = offer.model.kind == Model.Kind.VIDEO
        self.fields["quantity"].label = _("Seconds a clip") if is_video else _("Images a call")
        if offer.prices.unit == "video_tokens":
            self.fields["quantity"].help_text = _("Seconds of input video count too.")

    @staticmethod
    def usual(offer: Offer) -> dict[str, Any]:
        standard = standard_rate(offer.prices.rates)
        quantity = 5 if offer.model.kind == Model.Kind.VIDEO else 1
        return {"rate": standard.name if standard else "", "quantity": quantity, "calls": 10}

    def call_nanos(self, price: Price) -> int | None:
        for rate in PriceList((price,), price.effective_at).rates:
            if rate.name == self.cleaned_data["rate"] and rate.nanos is not None:
                return rate.charge_nanos(self.cleaned_data["quantity"])
        return None


type Form = TokenForm | MediaForm


@dataclass(frozen=True, slots=True)
class Sums:
    """Nano-USD, at the prices from ``since`` on."""

    since: datetime
    call_nanos: int
    day_nanos: int
    month_nanos: int


@dataclass(frozen=True, slots=True)
class Estimate:
    form: Form
    now: Sums | None  # None: a field is wrong, or nothing is for sale
    announced: list[Sums]
    is_long_context: bool


def estimate(offer: Offer, query: QueryDict) -> Estimate:
    """From the page's query; a page opened without one shows an ordinary day."""
    form = _form(offer, query)
    current = offer.prices.current
    if current is None or not form.is_valid():
        return Estimate(form, None, [], False)
    announced = [sums for price in offer.prices.announced if (sums := _sums(form, price)) is not None]
    return Estimate(form, _sums(form, current), announced, _is_long_context(form, offer))


def _form(offer: Offer, query: QueryDict) -> Form:
    if offer.model.kind == Model.Kind.CHAT:
        usual = dict(TokenForm.USUAL)
        return TokenForm(query if query.keys() & usual.keys() else usual, offer)
    usual = MediaForm.usual(offer)
    return MediaForm(query if query.keys() & usual.keys() else usual, offer)


def _sums(form: Form, price: Price) -> Sums | None:
    call = form.call_nanos(price)
    if call is None:
        return None
    day = call * form.cleaned_data["calls"]
    return Sums(price.effective_at, call, day, day * DAYS)


def _is_long_context(form: Form, offer: Offer) -> bool:
    tokens = offer.prices.tokens
    if tokens is None or not isinstance(form, TokenForm):
        return False
    return tokens.tier_for(form.usage.input_tokens).above_input_tokens > 0
