"""Nano-USD: the one unit of money inside TokenHub.

1 USD = 1,000,000,000 nanos, kept in Python ints and PostgreSQL ``bigint``. Decimal appears only where people or price
files write dollars; floats never appear.
"""

import re
from decimal import Decimal

NANOS_PER_USD = 1_000_000_000
#: up to 999,999,999 dollars, far inside ``bigint``; decimals beyond the ninth must be zeros
_AMOUNT = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9}0*)?")


def usd_to_nanos(usd: Decimal | str | int) -> int:
    """Dollars as written (``"12.5"``) to nanos. Raises ``ValueError`` for anything that is not an exact amount.

    A text must be plain ASCII digits: ``Decimal`` itself would take ``1_0``, ``1e3`` and digits of other scripts.
    """
    text = str(usd) if not isinstance(usd, Decimal) else f"{usd:f}"
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not an amount in USD with at most nine decimals")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, decimals = digits.partition(".")
    return sign * (int(whole) * NANOS_PER_USD + int(decimals.ljust(9, "0")[:9]))


def usd_string(nanos: int) -> str:
    """Exact dollars, at least two decimals, no exponent: ``1500000000`` is ``"1.50"``."""
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    whole, fraction = divmod(nanos, NANOS_PER_USD)
    decimals = f"{fraction:09d}".rstrip("0")
    return f"{sign}{whole}.{decimals:0<2}"


def usd_number(nanos: int) -> bytes:
    """The same as a JSON number, written digit by digit so that no float is ever involved."""
    sign, nanos = (b"-", -nanos) if nanos < 0 else (b"", nanos)
    whole, fraction = divmod(nanos, NANOS_PER_USD)
    if not fraction:
        return b"%s%d" % (sign, whole)
    return (b"%s%d.%09d" % (sign, whole, fraction)).rstrip(b"0")
