"""Figures as people read them: dollars, counts, shares. Plain text; the templates' filters of the same names are these."""

from tokenhub.money import usd_string

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"  # what is not known


def usd(nanos: int, form: str = "exact") -> str:
    """Dollars for people: ``$1,234.50``, ``−$0.0037784``. Exact, at least two decimals.

    ``form``: ``exact``; ``cents`` cuts to two decimals (never up: a balance must not look larger than it is);
    ``rest`` is what ``cents`` left away, for the muted end of a lead figure.
    """
    sign, whole, decimals = _parts(nanos)
    if form == "rest":
        return decimals[2:]
    if form == "cents":
        decimals = decimals[:2]
    return f"{sign}${whole}.{decimals}"


def _parts(nanos: int) -> tuple[str, str, str]:
    """Sign, grouped whole dollars, at least two decimals."""
    whole, decimals = usd_string(abs(nanos)).split(".")
    return MINUS if nanos < 0 else "", f"{int(whole):,}", decimals


def number(value: int | None) -> str:
    """``64,287``; a dash for what is not known."""
    return DASH if value is None else f"{value:,}".replace("-", MINUS)


def tokens(value: int | None) -> str:
    """A count of tokens, rounded to three figures: ``918``, ``18.4k``, ``1.05M``."""
    if value is None:
        return DASH
    rounded = int(float(f"{value:.3g}"))
    for size, letter in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")):
        if rounded >= size:
            whole, rest = divmod(rounded * 100 // size, 100)
            return f"{whole}.{rest:02}".rstrip("0").rstrip(".") + letter
    return str(value)


def percent(part: int | None, whole: int | None) -> str:
    """The share of a part in its whole: ``0.47 %``. A dash where there is no whole; never a rounded 0 or 100."""
    if not whole or part is None:
        return DASH
    share = part * 100 / whole
    text = f"{share:.0f}" if share in (0, 100) or 10 <= share < 99.5 else f"{share:.2f}".rstrip("0").rstrip(".")
    if text == "0" and part:
        text = "<0.01"
    if text == "100" and part < whole:
        text = ">99.99"
    return f"{text}\N{NO-BREAK SPACE}%"
