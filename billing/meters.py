"""What a call used, counted the same way for every vendor. Pure: no Django, no database."""

from typing import NamedTuple


class Usage(NamedTuple):
    """Token counts of one call, in OpenAI's meaning: cached and cache-written tokens lie inside ``input_tokens``,
    reasoning lies inside ``output_tokens``. No count is negative and no token is counted twice.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0  # the part of cache_write_tokens that is kept for an hour
    output_tokens: int = 0
    reasoning_tokens: int = 0


#: beyond this a vendor's figure is a fault, not a count (a context window is a few millions)
TOKENS_MAX = 1_000_000_000


def clamp(value: object) -> int:
    """A count as a vendor sent it, made safe: a whole number within 0..TOKENS_MAX, 0 for anything else."""
    if type(value) is not int:
        value = int(value) if isinstance(value, float) and 0 <= value <= TOKENS_MAX else 0
    return 0 if value < 0 else min(value, TOKENS_MAX)
