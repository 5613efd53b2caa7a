"""What a top-up may be, and what it costs: cents are what cards pay, nanos what wallets hold."""

import re

from tokenhub.money import NANOS_PER_USD, usd_string, usd_to_nanos

NANOS_PER_CENT = NANOS_PER_USD // 100
LEAST_NANOS, MOST_NANOS = 5 * NANOS_PER_USD, 2_000 * NANOS_PER_USD
#: whole dollars, as offered on the billing page
SUGGESTED = (5, 10, 25, 50, 100)

#: ASCII digits alone: ``Decimal`` and ``int`` would take ``5e3``, ``1_0`` and digits of other scripts
_AMOUNT = re.compile(r"[0-9]{1,4}(?:\.[0-9]{2})?")
_BASIS_POINTS = 10_000


class BadAmount(ValueError):
    """Text that is no amount we take, or one outside of the bounds."""

    def __init__(self, text: str, *, is_amount: bool):
        least, most = usd_string(LEAST_NANOS), usd_string(MOST_NANOS)
        super().__init__(f"{text[:20]!r} is not an amount from ${least} to ${most}")
        self.is_amount = is_amount  # False: not even an amount


def parse_amount(text: str) -> int:
    """Dollars as typed (``10`` or ``12.50``) to nanos. Raises ``BadAmount``."""
    if _AMOUNT.fullmatch(text) is None:
        raise BadAmount(text, is_amount=False)
    nanos = usd_to_nanos(text)
    if not LEAST_NANOS <= nanos <= MOST_NANOS:
        raise BadAmount(text, is_amount=True)
    return nanos


def fee_nanos(credit_nanos: int, basis_points: int) -> int:
    """The fee on a top-up, in whole cents, rounded up."""
    return -(-credit_nanos * basis_points // (_BASIS_POINTS * NANOS_PER_CENT)) * NANOS_PER_CENT


def cents(nanos: int) -> int:
    """Raises ``ValueError`` for an amount with a fraction of a cent: no card can pay that."""
    whole, rest = divmod(nanos, NANOS_PER_CENT)
    if rest:
        raise ValueError(f"{nanos} nanos are no whole cents")
    return whole
