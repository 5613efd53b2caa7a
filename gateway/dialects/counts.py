"""How a vendor's token counts become ours. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from billing.meters import Usage, clamp


class Counts(NamedTuple):
    """The counts as a vendor reports them, whatever it means by them; anything but a whole number counts as 0."""

    input_tokens: Any
    output_tokens: Any
    cached_tokens: Any = 0
    cache_write_tokens: Any = 0
    cache_write_1h_tokens: Any = 0  # the part of the writes that is kept for an hour
    reasoning_tokens: Any = 0  # inside output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReader:
    """A wire's usage object as our Usage; None where it holds no counts.

    A wire must say whether cached tokens lie inside its input count: a guess would bill them twice, or not at all.
    """

    cached_inside_input: bool
    counts_of: Callable[[Any], Counts | None]

    def __call__(self, usage: Any) -> Usage | None:
        counts = self.counts_of(usage)
        if counts is None:
            return None
        input_tokens, cached, written = (
            clamp(counts.input_tokens),
            clamp(counts.cached_tokens),
            clamp(counts.cache_write_tokens),
        )
        if not self.cached_inside_input:
            input_tokens = clamp(input_tokens + cached + written)
        cached = min(cached, input_tokens)
        written = min(written, input_tokens - cached)
        output_tokens = clamp(counts.output_tokens)
        return Usage(
            input_tokens=input_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(clamp(counts.cache_write_1h_tokens), written),
            output_tokens=output_tokens,
            reasoning_tokens=min(clamp(counts.reasoning_tokens), output_tokens),
        )


def is_count(value: Any) -> bool:
    """Whether a vendor said a number at all: null or a word in its place is silence, not a zero."""
    return type(value) is int


def object_of(value: Any) -> dict[str, Any]:
    """A nested object of counts, or an empty one: vendors leave it out, or send null."""
    return value if isinstance(value, dict) else {}
