"""One call, explained: what it cost and why, where its time went, how it ended. Reads the price row that was frozen at admission."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import pricing
from billing.meters import Usage
from billing.models import Price
from billing.pricing import PER_MILLION, TokenPrice, TokenRates
from gateway.models import CallRecord, Endpoint, Outcome
from gateway.usage_filters import FAILED_FROM
from tokenhub.ids import generation_id
from tokenhub.money import NANOS_PER_USD, usd_string
from tokenhub.snippets import snippets

#: HTTP statuses that only we give: the client had gone, the process was lost
CLIENT_GONE, PROCESS_GONE = 499, 598

SENTENCES: dict[int, str | Promise] = {
    Outcome.COMPLETED: _("The model ended its answer."),
    Outcome.CLIENT_CLOSED: _("The client hung up before the end; the provider was told to stop."),
    Outcome.UPSTREAM_LOST: _("The provider broke off before the end."),
    Outcome.UPSTREAM_REFUSED: _("The provider did not answer the call."),
    Outcome.UPSTREAM_TIMEOUT: _("The provider was silent for too long."),
    Outcome.PROCESS_LOST: _("The gateway's process ended while the call was running."),
    Outcome.CANCELLED: _("The call was cancelled before it began."),
}
WORDS: dict[int, str | Promise] = {
    Outcome.CLIENT_CLOSED: _("Stopped"),
    Outcome.UPSTREAM_LOST: _("Broken off"),
    Outcome.UPSTREAM_REFUSED: _("Refused"),
    Outcome.UPSTREAM_TIMEOUT: _("Timed out"),
    Outcome.PROCESS_LOST: _("Lost"),
    Outcome.CANCELLED: _("Cancelled"),
}
PARTS: dict[str, str | Promise] = {
    "input": _("Input, not cached"),
    "cached_input": _("Input, read from cache"),
    "cache_write": _("Input, written to cache"),
    "cache_write_1h": _("Input, written to cache for an hour"),
    "output": _("Output"),
}
PATHS = {
    Endpoint.CHAT: "/chat/completions",
    Endpoint.MESSAGES: "/messages",
    Endpoint.RESPONSES: "/responses",
    Endpoint.IMAGES: "/images/generations",
    Endpoint.VIDEOS: "/videos/generations",
}


class State(NamedTuple):
    """A word and the mark beside it (components/state.html)."""

    word: str
    mark: str  # "" ok, warn, bad, off


def state_of(record: CallRecord) -> State:
    if record.outcome == Outcome.COMPLETED:
        return State(str(record.status), "" if record.status < FAILED_FROM else "bad")
    word = str(WORDS[record.outcome])
    if record.status in (CLIENT_GONE, PROCESS_GONE) or record.status < FAILED_FROM:
        return State(word, "warn")
    return State(f"{word} {record.status}", "bad")


def tokens_per_second(record: CallRecord) -> int | None:
    """Output over the whole call, as the sums have it."""
    return record.output_tokens * 1_000 // record.duration_ms if record.output_tokens and record.duration_ms else None


class CostLine(NamedTuple):
    label: str
    tokens: int
    rate_nanos: int  # per million tokens
    amount: str  # exact USD, finer than a nano where it must be


class Bar(NamedTuple):
    """One stretch of a call's time; ``start`` and ``width`` in per cent of the whole."""

    label: str
    kind: str  # run, wait, err
    start: str
    width: str
    note: str


@dataclass(frozen=True)
class Receipt:
    record: CallRecord
    price: Price | None

    @classmethod
    def of(cls, record: CallRecord) -> "Receipt":
        return cls(record, Price.objects.filter(pk=record.price_id).first())

    @property
    def generation_id(self) -> str:
        return generation_id(self.record.pk.bytes)

    @property
    def state(self) -> State:
        return state_of(self.record)

    @property
    def sentence(self) -> str:
        return str(SENTENCES[self.record.outcome])

    @property
    def path(self) -> str:
        return PATHS[Endpoint(self.record.endpoint)]

    @property
    def tokens_per_second(self) -> int | None:
        return tokens_per_second(self.record)

    @property
    def duration(self) -> str:
        return duration(self.record.duration_ms)

    @property
    def answered_in(self) -> str:
        """What is left of the call's time after the attempts that failed."""
        return duration(max(self.record.duration_ms - sum(attempt["ms"] for attempt in self.attempts), 0))

    @property
    def released_nanos(self) -> int:
        return self.record.held_nanos - self.record.cost_nanos

    # ------------------------------------------------------------ what it cost

    @cached_property
    def token_price(self) -> TokenPrice | None:
        return (
            TokenPrice.of(self.price.pk, self.price.rates) if self.price and "per_million" in self.price.rates else None
        )

    @cached_property
    def usage(self) -> Usage:
        """The record does not say how much of what was written to the cache is kept for an hour; what was charged does."""
        r = self.record
        plain = Usage(
            r.input_tokens, r.cached_input_tokens, r.cache_write_tokens, 0, r.output_tokens, r.reasoning_tokens
        )
        price = self.token_price
        if price is None or not r.cache_write_tokens or pricing.cost(price, plain) >= r.cost_nanos:
            return plain
        tier = price.tier_for(r.input_tokens)
        dearer = tier.cache_write_1h - tier.cache_write
        beyond = r.cost_nanos * PER_MILLION - sum(pricing.components(price, plain).values())
        hour = min(r.cache_write_tokens, beyond // dearer) if dearer else 0
        return plain._replace(cache_write_1h_tokens=hour)

    @cached_property
    def lines(self) -> list[CostLine]:
        """The parts of a price of tokens; none where nothing was charged, or something else than tokens."""
        if self.token_price is None or not self.record.cost_nanos:
            return []
        tier = self.token_price.tier_for(self.record.input_tokens)
        scaled = pricing.components(self.token_price, self.usage)
        rates = {name: _rate(tier, name) for name in PARTS}
        return [
            CostLine(
                self._part(name),
                scaled[name] // rates[name] if rates[name] else 0,
                rates[name],
                exact_usd(scaled[name]),
            )
            for name in PARTS
            if scaled[name]
        ]

    def _part(self, name: str) -> str:
        if name == "output" and self.record.reasoning_tokens:
            return gettext("Output, %(n)s of it reasoning") % {"n": f"{self.record.reasoning_tokens:,}"}
        return str(PARTS[name])

    @property
    def sum_in_words(self) -> str:
        """``1,240 × $0.15/M + 310 × $0.60/M = $0.000372``."""
        parts = " + ".join(f"{line.tokens:,} × ${usd_string(line.rate_nanos)}/M" for line in self.lines)
        return f"{parts} = ${usd_string(self.record.cost_nanos)}" if parts else ""

    @property
    def is_rounded(self) -> bool:
        return not self.is_capped and sum(line.tokens * line.rate_nanos for line in self.lines) % PER_MILLION != 0

    @property
    def is_capped(self) -> bool:
        """It used more than was held for it: the rest is ours."""
        return self.token_price is not None and pricing.cost(self.token_price, self.usage) > self.record.cost_nanos > 0

    @property
    def cache_saved(self) -> str:
        """Exact USD that reading from the cache saved; empty for nothing."""
        if self.token_price is None or not self.record.cost_nanos:
            return ""
        tier = self.token_price.tier_for(self.record.input_tokens)
        saved = min(self.record.cached_input_tokens, self.record.input_tokens) * (tier.input - tier.cached_input)
        return exact_usd(saved) if saved > 0 else ""

    # ------------------------------------------------------------ where the time went

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        """Tries that failed before a word was passed on, in order."""
        return (self.record.detail or {}).get("attempts", [])

    @cached_property
    def waterfall(self) -> list[Bar]:
        """One after the other: failed attempts, the wait for the first token (ours and the provider's), the answer."""
        whole, at, bars = max(self.record.duration_ms, 1), 0, []

        def add(label: str, kind: str, ms: int, note: str) -> None:
            nonlocal at
            bars.append(Bar(label, kind, _percent(at, whole), _percent(max(ms, 0), whole), note))
            at += max(ms, 0)

        for n, attempt in enumerate(self.attempts, 1):
            add(
                gettext("Attempt %(n)d") % {"n": n},
                "err",
                attempt["ms"],
                f"{duration(attempt['ms'])}, {attempt['status']}",
            )
        if self.record.first_byte_ms < 0:
            add(gettext("Waiting"), "wait", whole - at, duration(whole - at))
            return bars
        waited = max(self.record.first_byte_ms - at, 0)
        add(gettext("First token"), "wait", waited, duration(waited))
        streaming = max(whole - at, 0)
        add(gettext("Streaming") if self.record.streamed else gettext("Answer"), "run", streaming, duration(streaming))
        return bars

    # ------------------------------------------------------------ what else there is to say

    @property
    def detail(self) -> dict[str, Any]:
        return self.record.detail or {}


def curl(record: CallRecord, slug: str) -> str:
    """The shape of the call as a command; the words that were sent are not known."""
    kind: Literal["chat", "image", "video"] = "chat"
    if record.endpoint == Endpoint.IMAGES:
        kind = "image"
    elif record.endpoint == Endpoint.VIDEOS:
        kind = "video"
    by_language = {snippet.language: snippet.code for snippet in snippets(slug, prompt="…", kind=kind)}
    if record.endpoint == Endpoint.MESSAGES:
        return by_language["anthropic_curl"]
    if record.endpoint == Endpoint.RESPONSES:
        return by_language["curl"].replace("/chat/completions", "/responses").replace('"messages":', '"input":')
    return by_language["curl"]


def _rate(tier: TokenRates, part: str) -> int:
    rate: int = getattr(tier, part)
    return rate


def exact_usd(scaled: int) -> str:
    """Nano-USD × 1,000,000 as dollars, with all its decimals and at least two."""
    whole, fraction = divmod(scaled, NANOS_PER_USD * PER_MILLION)
    return f"{whole}.{f'{fraction:015d}'.rstrip('0'):0<2}"


def duration(ms: int) -> str:
    """``412 ms``, ``4.02 s``."""
    return f"{ms:,} ms" if ms < 1_000 else f"{ms // 1_000}.{ms % 1_000 // 10:02} s"


def _percent(part: int, whole: int) -> str:
    hundredths = min(part * 10_000 // whole, 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02}%"
