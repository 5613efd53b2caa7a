"""What a call may cost (quote) and what it did cost (cost). Pure arithmetic in Python ints; no Django, no database.

Rates are nano-USD per million tokens. A call's components are summed exactly and divided once, rounding up: one ceiling
a call, so that no component can lose or gain a fraction by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing.meters import Usage

PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Nano-USD per million tokens, for prompts above ``above_input_tokens``."""

    above_input_tokens: int
    input: int
    cached_input: int
    cache_write: int
    cache_write_1h: int
    output: int

    @property
    def dearest_input(self) -> int:
        return max(self.input, self.cached_input, self.cache_write, self.cache_write_1h)


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """The price row of a chat model: its id, and rates by prompt length, cheapest (no threshold) first."""

    id: int
    tiers: tuple[TokenRates, ...]

    @classmethod
    def of(cls, price_id: int, rates: Mapping[str, Any]) -> "TokenPrice":
        """From ``Price.rates`` as the catalogue stores them. Raises ValueError where a rate has no price."""
        if rates.get("unit") != "tokens":
            raise ValueError(f"price {price_id} is not a price of tokens")
        base = _rates(0, rates["per_million"])
        higher = (_rates(tier["above_input_tokens"], tier["per_million"]) for tier in rates.get("tiers") or ())
        return cls(price_id, (base, *sorted(higher, key=lambda tier: tier.above_input_tokens)))

    def tier_for(self, input_tokens: int) -> TokenRates:
        """The whole call is billed at the tier of its total prompt tokens."""
        chosen = self.tiers[0]
        for tier in self.tiers[1:]:
            if input_tokens > tier.above_input_tokens:
                chosen = tier
        return chosen


def _rates(above_input_tokens: int, per_million: Mapping[str, int | None]) -> TokenRates:
    base, output = per_million["input"], per_million["output"]
    if base is None or output is None:
        raise ValueError("a chat model without a price for input or output is not for sale")
    # no price of their own: such tokens are billed as plain input
    cached, write, write_1h = (per_million.get(k) for k in ("cached_input", "cache_write", "cache_write_1h"))
    write = base if write is None else write
    return TokenRates(
        above_input_tokens=above_input_tokens,
        input=base,
        cached_input=base if cached is None else cached,
        cache_write=write,
        cache_write_1h=write if write_1h is None else write_1h,
        output=output,
    )


@dataclass(frozen=True, slots=True)
class Quote:
    """The most a call can cost, split so that the output's part can still be cut to what a wallet affords.

    ``input_scaled`` and ``output_rate`` are nano-USD × 1,000,000 and nano-USD per million tokens.
    """

    input_scaled: int
    output_rate: int

    def nanos(self, output_tokens: int) -> int:
        return -(-(self.input_scaled + output_tokens * self.output_rate) // PER_MILLION)

    def affordable_output_tokens(self, nanos: int) -> int:
        """How many output tokens fit into ``nanos`` together with the input; negative where not even the input fits."""
        if not self.output_rate:
            return -1 if self.nanos(0) > nanos else 2**31 - 1
        return (nanos * PER_MILLION - self.input_scaled) // self.output_rate


def quote(price: TokenPrice, input_tokens_max: int) -> Quote:
    """An upper bound for every prompt of at most ``input_tokens_max`` tokens.

    The tier is not known before the vendor counts, so each part takes the dearest rate that such a prompt can reach.
    """
    reachable = [
        tier for tier in price.tiers if input_tokens_max > tier.above_input_tokens or not tier.above_input_tokens
    ]
    return Quote(
        input_scaled=input_tokens_max * max(tier.dearest_input for tier in reachable),
        output_rate=max(tier.output for tier in reachable),
    )


def components(price: TokenPrice, usage: Usage) -> dict[str, int]:
    """Each part of the cost in nano-USD × 1,000,000: exact, before the one rounding."""
    tier = price.tier_for(usage.input_tokens)
    input_tokens, cached, write, write_1h, output, _ = usage
    # a vendor that reports more cached than prompt tokens must not make the plain part negative
    cached = min(cached, input_tokens)
    write = min(write, input_tokens - cached)
    write_1h = min(write_1h, write)
    return {
        "input": (input_tokens - cached - write) * tier.input,
        "cached_input": cached * tier.cached_input,
        "cache_write": (write - write_1h) * tier.cache_write,
        "cache_write_1h": write_1h * tier.cache_write_1h,
        "output": output * tier.output,
    }


def cost(price: TokenPrice, usage: Usage) -> int:
    """Nano-USD, rounded up once."""
    return -(-sum(components(price, usage).values()) // PER_MILLION)
