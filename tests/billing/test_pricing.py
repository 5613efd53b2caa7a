"""A call's price: exact parts, one ceiling, and never more than was quoted."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.meters import TOKENS_MAX, Usage, clamp
from billing.pricing import PER_MILLION, TokenPrice, components, cost, quote

RATES = st.integers(0, 10**13)  # up to $10,000 per million tokens
COUNTS = st.integers(0, 3_000_000)
PER_MILLION_RATES = st.fixed_dictionaries(
    {"input": RATES, "output": RATES},
    optional={part: st.none() | RATES for part in ("cached_input", "cache_write", "cache_write_1h")},
)
THRESHOLDS = st.lists(st.integers(1, 2_000_000), unique=True, max_size=3)


@st.composite
def prices(draw: st.DrawFn, thresholds: st.SearchStrategy[list[int]] = THRESHOLDS) -> TokenPrice:
    tiers = [{"above_input_tokens": it, "per_million": draw(PER_MILLION_RATES)} for it in draw(thresholds)]
    return TokenPrice.of(1, {"unit": "tokens", "per_million": draw(PER_MILLION_RATES), "tiers": tiers})


#: whatever a vendor may report, also more cached than prompt tokens
USAGES = st.builds(Usage, *[COUNTS] * 6)


def flat(**per_million: int | None) -> TokenPrice:
    return TokenPrice.of(1, {"unit": "tokens", "per_million": {"input": 0, "output": 0, **per_million}})


@given(prices(), USAGES)
def test_the_parts_are_the_whole_and_are_rounded_up_once(price: TokenPrice, usage: Usage) -> None:
    parts = components(price, usage)
    exact = sum(Fraction(part, PER_MILLION) for part in parts.values())
    assert cost(price, usage) == math.ceil(exact)
    assert min(parts.values()) >= 0


def test_three_fractions_of_a_nano_are_rounded_together() -> None:
    price = flat(input=400_000, cached_input=400_000, output=400_000)
    assert cost(price, Usage(input_tokens=1)) == 1  # 0.4
    assert cost(price, Usage(input_tokens=2, cached_input_tokens=1)) == 1  # 0.8
    assert cost(price, Usage(input_tokens=2, cached_input_tokens=1, output_tokens=1)) == 2  # 1.2, not 3 × 1
    assert cost(price, Usage()) == 0


def test_a_known_call_costs_rate_times_tokens() -> None:
    price = flat(input=2_000_000_000, cached_input=500_000_000, output=8_000_000_000)  # $2, $0.50, $8
    usage = Usage(input_tokens=1_000, cached_input_tokens=400, output_tokens=100)
    assert cost(price, usage) == 600 * 2_000 + 400 * 500 + 100 * 8_000


@given(
    prices(), USAGES, st.sampled_from(["cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens"]), COUNTS
)
def test_no_token_is_billed_twice_or_forgotten(price: TokenPrice, usage: Usage, part: str, count: int) -> None:
    one = flat(input=1, cached_input=1, cache_write=1, cache_write_1h=1, output=1)
    usage = usage._replace(**{part: count})
    assert sum(components(one, usage).values()) == usage.input_tokens + usage.output_tokens


@given(prices(), USAGES, COUNTS)
def test_more_output_never_costs_less(price: TokenPrice, usage: Usage, more: int) -> None:
    assert cost(price, usage._replace(output_tokens=usage.output_tokens + more)) >= cost(price, usage)


@given(prices(st.just([])), USAGES, COUNTS)
def test_more_input_never_costs_less(price: TokenPrice, usage: Usage, more: int) -> None:
    assert cost(price, usage._replace(input_tokens=usage.input_tokens + more)) >= cost(price, usage)


@given(prices(), COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_larger_bound_is_never_quoted_lower(
    price: TokenPrice, input_tokens: int, output_tokens: int, more_input: int, more_output: int
) -> None:
    least = quote(price, input_tokens).nanos(output_tokens)
    assert quote(price, input_tokens + more_input).nanos(output_tokens + more_output) >= least


@given(prices(), USAGES, COUNTS, COUNTS)
def test_no_usage_within_the_bound_costs_more_than_was_quoted(
    price: TokenPrice, usage: Usage, unused_input: int, unused_output: int
) -> None:
    quoted = quote(price, usage.input_tokens + unused_input).nanos(usage.output_tokens + unused_output)
    assert cost(price, usage) <= quoted


@given(prices(THRESHOLDS.filter(bool)), st.data())
def test_at_each_boundary_too_the_quote_holds(price: TokenPrice, data: st.DataObject) -> None:
    boundary = data.draw(st.sampled_from(price.tiers[1:])).above_input_tokens
    bound = boundary + data.draw(st.integers(-1, 1))
    input_tokens = data.draw(st.integers(max(0, bound - 2), bound))
    cached, written, written_1h = (data.draw(st.integers(0, input_tokens)) for _ in range(3))
    usage = Usage(input_tokens, cached, written, written_1h, 5)
    assert cost(price, usage) <= quote(price, bound).nanos(5)


@given(prices(), COUNTS, st.integers(0, 10**16))
def test_affordable_output_is_the_most_that_the_amount_pays_for(
    price: TokenPrice, input_tokens: int, nanos: int
) -> None:
    quoted = quote(price, input_tokens)
    assume(quoted.output_rate)
    tokens = quoted.affordable_output_tokens(nanos)
    if tokens < 0:
        assert quoted.nanos(0) > nanos
    else:
        assert quoted.nanos(tokens) <= nanos < quoted.nanos(tokens + 1)


def test_where_output_is_free_only_the_input_must_fit() -> None:
    quoted = quote(flat(input=1_000_000), 10)
    assert quoted.affordable_output_tokens(10) > 10**9
    assert quoted.affordable_output_tokens(9) < 0


# ---------------------------------------------------------------- the price row


TIERED = TokenPrice.of(
    1,
    {
        "unit": "tokens",
        "per_million": {"input": 1, "output": 10},
        "tiers": [
            {"above_input_tokens": 500, "per_million": {"input": 3, "output": 30}},
            {"above_input_tokens": 200, "per_million": {"input": 2, "output": 20}},
        ],
    },
)


@pytest.mark.parametrize(("input_tokens", "rate"), [(0, 1), (200, 1), (201, 2), (500, 2), (501, 3), (10**9, 3)])
def test_the_tier_begins_above_its_boundary(input_tokens: int, rate: int) -> None:
    assert TIERED.tier_for(input_tokens).input == rate
    assert components(TIERED, Usage(input_tokens, output_tokens=7)) == {
        "input": input_tokens * rate, "cached_input": 0, "cache_write": 0, "cache_write_1h": 0, "output": 70 * rate,
    }  # fmt: skip


@pytest.mark.parametrize(("bound", "dearest"), [(200, 1), (201, 2), (500, 2), (501, 3)])
def test_a_quote_takes_the_dearest_tier_that_the_bound_can_reach(bound: int, dearest: int) -> None:
    assert (quote(TIERED, bound).input_scaled, quote(TIERED, bound).output_rate) == (bound * dearest, 10 * dearest)


def test_a_cheaper_higher_tier_does_not_lower_the_quote() -> None:
    tiers = [{"above_input_tokens": 100, "per_million": {"input": 1, "output": 1}}]
    price = TokenPrice.of(1, {"unit": "tokens", "per_million": {"input": 5, "output": 5}, "tiers": tiers})
    assert (quote(price, 101).input_scaled, quote(price, 101).output_rate) == (505, 5)


@pytest.mark.parametrize("absent", [{}, {"cached_input": None, "cache_write": None, "cache_write_1h": None}])
def test_a_part_without_a_price_of_its_own_is_billed_as_input(absent: dict[str, None]) -> None:
    price = flat(input=7, output=1, **absent)
    assert sum(components(price, Usage(100, 30, 40, 10)).values()) == 700


def test_an_hours_cache_without_a_price_of_its_own_is_billed_as_a_written_one() -> None:
    assert components(flat(input=7, cache_write=9), Usage(100, 0, 40, 10)) == {
        "input": 420, "cached_input": 0, "cache_write": 270, "cache_write_1h": 90, "output": 0,
    }  # fmt: skip


@pytest.mark.parametrize("rates", [{"unit": "images"}, {}])
def test_another_unit_is_no_price_of_tokens(rates: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a price of tokens"):
        TokenPrice.of(1, rates)


@pytest.mark.parametrize("missing", ["input", "output"])
def test_without_a_price_for_input_or_output_nothing_is_for_sale(missing: str) -> None:
    with pytest.raises(ValueError, match="not for sale"):
        flat(**{missing: None})


# ---------------------------------------------------------------- vendors' counts


@pytest.mark.parametrize(
    ("junk", "count"),
    [
        (math.nan, 0), (math.inf, 0), (-math.inf, 0), (-5, 0), (-5.5, 0), (10**12, TOKENS_MAX), ("5", 0), (b"5", 0),
        (True, 0), (False, 0), (None, 0), ([], 0), ({"tokens": 5}, 0), (0, 0), (5, 5), (5.0, 5), (5.9, 5),
        (TOKENS_MAX, TOKENS_MAX), (TOKENS_MAX + 1, TOKENS_MAX),
    ],
)  # fmt: skip
def test_a_vendors_count_is_made_safe(junk: object, count: int) -> None:
    assert clamp(junk) == count
    assert type(clamp(junk)) is int


@given(st.integers() | st.floats() | st.text() | st.none() | st.booleans() | st.binary())
def test_no_count_leaves_its_range(junk: object) -> None:
    assert 0 <= clamp(junk) <= TOKENS_MAX
