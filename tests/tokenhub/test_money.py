"""Dollars as people write them, nanos as the ledger keeps them: exact both ways."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenhub.money import usd_number, usd_string, usd_to_nanos

NANOS = st.integers(-(2**63), 2**63 - 1)
WRITTEN = st.integers(-(10**18) + 1, 10**18 - 1)  # below a billion dollars


@pytest.mark.parametrize(
    ("usd", "nanos"),
    [
        ("12.5", 12_500_000_000), ("0.000000001", 1), ("-0.000000001", -1), ("0", 0), ("-0", 0), ("0.1", 100_000_000),
        ("007.50", 7_500_000_000), ("1.0000000000", 10**9), (3, 3 * 10**9), (-3, -3 * 10**9), (Decimal("0.30"), 3 * 10**8),
        (Decimal("1E-9"), 1), (Decimal("1E3"), 10**12), ("999999999.999999999", 10**18 - 1),
    ],
)  # fmt: skip
def test_an_exact_amount_is_kept_exactly(usd: Decimal | str | int, nanos: int) -> None:
    assert usd_to_nanos(usd) == nanos


@pytest.mark.parametrize(
    "usd", ["0.0000000001", "", " ", "x", "1,5", "$1", "1 000", " 1", "1\n", "NaN", "Infinity", "-inf", "1000000000", "1e3", "1_0",
            "+1", ".5", "5.", "0x10", "--1", "\u0661", Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E-10"),
            Decimal("1E+400")],
)  # fmt: skip
def test_what_is_no_exact_amount_is_refused(usd: Decimal | str) -> None:
    with pytest.raises(ValueError, match="amount in USD"):
        usd_to_nanos(usd)


@given(WRITTEN)
def test_nanos_written_as_dollars_come_back_as_they_were(nanos: int) -> None:
    assert usd_to_nanos(usd_string(nanos)) == nanos


@given(WRITTEN)
def test_no_digit_is_lost_even_where_the_decimal_context_is_short(nanos: int) -> None:
    assert usd_to_nanos(Decimal(nanos).scaleb(-9)) == nanos


@given(NANOS)
def test_the_string_is_the_exact_value_with_two_decimals_at_least_and_no_exponent(nanos: int) -> None:
    text = usd_string(nanos)
    assert Decimal(text) * 10**9 == nanos
    whole, _, decimals = text.partition(".")
    assert 2 <= len(decimals) <= 9
    assert whole.lstrip("-").isdigit()
    assert len(decimals) == 2 or not decimals.endswith("0")


@given(NANOS)
def test_the_json_number_is_the_exact_value(nanos: int) -> None:
    assert json.loads(usd_number(nanos), parse_float=Decimal, parse_int=Decimal) * 10**9 == nanos


@pytest.mark.parametrize(
    ("nanos", "text", "number"),
    [(0, "0.00", b"0"), (1, "0.000000001", b"0.000000001"), (-1, "-0.000000001", b"-0.000000001"), (10**9, "1.00", b"1"),
     (1_500_000_000, "1.50", b"1.5"), (10**10, "10.00", b"10"), (-123_456_789_012, "-123.456789012", b"-123.456789012")],
)  # fmt: skip
def test_amounts_look_like_this(nanos: int, text: str, number: bytes) -> None:
    assert (usd_string(nanos), usd_number(nanos)) == (text, number)
