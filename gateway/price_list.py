"""What a model costs, in the units that people compare: its schedule, its rates in words, and one typical call.

Tokens are charged by ``billing.pricing``; images and seconds are whole units at their rate. Amounts are nano-USD.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import pricing
from billing.meters import Usage
from billing.models import Price
from billing.pricing import TokenPrice, TokenRates
from tokenhub.money import usd_string

#: the call by which models are compared: a short question with a page of context, answered in a few paragraphs
TYPICAL_CALL = Usage(input_tokens=1_000, output_tokens=500)
TYPICAL_CLIP_SECONDS = 5
SIZES = ("480p", "720p", "1080p", "4k", "1K", "1.5K", "2K", "3K", "4K", "std", "pro")
#: of what a vendor offers, what a typical image or clip is: the first that a model has
STANDARD_SIZES = ("2K", "720p", "std", "pro", "480p")
#: a token of video is 1,024 pixels at 24 frames a second; wide frames (16:9) as Volcengine's price list measures them
VIDEO_TOKENS_PER_SECOND = {
    "480p": 864 * 496 * 24 // 1024,
    "720p": 1280 * 720 * 24 // 1024,
    "1080p": 1920 * 1080 * 24 // 1024,
    "4k": 3840 * 2160 * 24 // 1024,
}
#: charged beside the image that it belongs to, never alone
EXTRAS = {"input_image"}

#: a tenth of a cent
SHORT_NANOS = 1_000_000

UNITS = {
    "tokens": _("USD per million tokens"),
    "video_tokens": _("USD per million video tokens"),
    "seconds": _("USD per second"),
    "images": _("USD per image"),
}
#: what is bought, in the singular: ``$0.035 / image``
MEASURES = {"seconds": _("s"), "video_tokens": _("s"), "images": _("image")}
RATE_WORDS: dict[str, str | Promise] = {
    "no_video_input": _("without video input"),
    "with_video_input": _("with video input"),
    "no_audio": _("silent"),
    "audio": _("with sound"),
    "input_image": _("each reference image"),
    "std": _("standard quality"),
    "pro": _("pro quality"),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """One way to buy an image or a second. ``nanos`` is per ``UNITS`` of its price; None: not for sale."""

    name: str  # in ``Price.rates``
    nanos: int | None
    per_second_nanos: int | None  # of video that is billed by tokens: a second in a wide frame

    @property
    def words(self) -> str:
        return ", ".join(str(RATE_WORDS.get(part, part)) for part in self.name.split("."))

    @property
    def is_extra(self) -> bool:
        return self.name in EXTRAS

    def charge_nanos(self, quantity: int) -> int:
        """For so many images or seconds. Raises ValueError for what is not for sale."""
        if self.nanos is None:
            raise ValueError(f"{self.name} is not for sale")
        tokens_per_second = VIDEO_TOKENS_PER_SECOND.get(self.name.partition(".")[0])
        if self.per_second_nanos is not None and tokens_per_second is not None:
            return -(-quantity * tokens_per_second * self.nanos // pricing.PER_MILLION)
        return quantity * self.nanos


def media_rates(rates: Mapping[str, Any]) -> list[Rate]:
    """Of ``Price.rates`` of an image or video model: by size, plain before extras. (JSON in the database keeps no order.)"""
    if rates["unit"] != "video_tokens":
        found = [Rate(name, nanos, None) for name, nanos in rates["per_unit"].items()]
    else:
        found = [Rate(name, nanos, _per_second(name, nanos)) for name, nanos in rates["per_million"].items()]
    return sorted(found, key=_by_size)


def _by_size(rate: Rate) -> tuple[bool, int, str, bool, str]:
    size, _, variant = rate.name.partition(".")
    place = SIZES.index(size) if size in SIZES else len(SIZES)
    return rate.is_extra, place, size, not variant.startswith("no_"), variant


def _per_second(name: str, nanos_per_million: int | None) -> int | None:
    tokens = VIDEO_TOKENS_PER_SECOND.get(name.partition(".")[0])
    if tokens is None or nanos_per_million is None:
        return None
    return -(-tokens * nanos_per_million // pricing.PER_MILLION)


def standard_rate(rates: Iterable[Rate]) -> Rate | None:
    """The one that a typical image or clip is sold at: the standard size, without extras such as sound."""
    for_sale = [rate for rate in rates if rate.nanos is not None and not rate.is_extra]
    for size in STANDARD_SIZES:
        for rate in for_sale:
            if rate.name.partition(".")[0] == size:
                return rate
    return for_sale[0] if for_sale else None


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One row of a chat model's price table: nano-USD per million tokens, by prompt length."""

    words: str
    nanos: list[int]
    has_own_price: bool  # False: billed as plain input


@dataclass(frozen=True)
class PriceList:
    """One model's price rows, oldest first, seen at a moment."""

    schedule: tuple[Price, ...]
    at: datetime

    @cached_property
    def current(self) -> Price | None:
        """The same row as ``catalogue.current_price`` finds."""
        begun = [price for price in self.schedule if price.effective_at <= self.at]
        return begun[-1] if begun else None

    @property
    def announced(self) -> list[Price]:
        return [price for price in self.schedule if price.effective_at > self.at]

    @property
    def newest_first(self) -> list["PriceList"]:
        """Each entry of the schedule as the list that it makes, announced ones included."""
        return [PriceList((price,), price.effective_at) for price in reversed(self.schedule)]

    @property
    def since(self) -> datetime | None:
        return self.current.effective_at if self.current else None

    @property
    def unit(self) -> str:
        return self.current.rates["unit"] if self.current else ""

    @property
    def unit_words(self) -> str:
        return str(UNITS.get(self.unit, ""))

    @property
    def measure(self) -> str:
        return str(MEASURES.get(self.unit, ""))

    @property
    def is_by_token(self) -> bool:
        return self.unit == "tokens"

    @cached_property
    def tokens(self) -> TokenPrice | None:
        return token_price(self.current)

    @property
    def base(self) -> TokenRates | None:
        """Of a chat model: the rates of prompts below any long-context threshold."""
        return self.tokens.tiers[0] if self.tokens else None

    @property
    def thresholds(self) -> list[int]:
        """Prompt lengths above which dearer rates hold for the whole call."""
        return [tier.above_input_tokens for tier in self.tokens.tiers[1:]] if self.tokens else []

    @property
    def token_lines(self) -> list[TokenLine]:
        if self.tokens is None or self.current is None:
            return []
        own = self.current.rates["per_million"]
        names = {
            "input": gettext("Input"),
            "cached_input": gettext("Input read from cache"),
            "cache_write": gettext("Input written to cache, kept 5 minutes"),
            "cache_write_1h": gettext("Input written to cache, kept 1 hour"),
            "output": gettext("Output, reasoning included"),
        }
        return [
            TokenLine(words, [getattr(tier, name) for tier in self.tokens.tiers], own.get(name) is not None)
            for name, words in names.items()
        ]

    @property
    def rates(self) -> list[Rate]:
        """Of an image or video model."""
        return [] if self.current is None or self.is_by_token else media_rates(self.current.rates)

    @property
    def standard(self) -> Rate | None:
        return standard_rate(self.rates)

    @property
    def standard_unit_nanos(self) -> int | None:
        """A second or an image of the standard kind."""
        return self.standard.charge_nanos(1) if self.standard else None

    @property
    def unit_price(self) -> str:
        """Of an image or a second, to compare by eye. Video billed by tokens has no exact one: it is rounded up, and says so."""
        nanos = self.standard_unit_nanos
        if nanos is None:
            return ""
        if self.unit != "video_tokens":
            return f"${usd_string(nanos)}"
        return f"≈ ${usd_string(-(-nanos // SHORT_NANOS) * SHORT_NANOS)}"

    @property
    def typical_nanos(self) -> int | None:
        """1,000 tokens in and 500 out; one image; a silent clip of five seconds. None: nothing is for sale."""
        if self.tokens is not None:
            return pricing.cost(self.tokens, TYPICAL_CALL)
        if self.standard is None:
            return None
        return self.standard.charge_nanos(1 if self.unit == "images" else TYPICAL_CLIP_SECONDS)


def token_price(price: Price | None) -> TokenPrice | None:
    """None for what is not billed by the token."""
    if price is None or price.rates.get("unit") != "tokens":
        return None
    return TokenPrice.of(price.pk, price.rates)
