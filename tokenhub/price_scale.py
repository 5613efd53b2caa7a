"""Every model on one ruler: a dot for each price on a logarithmic scale, some of them named. Pure, like charts.py."""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tokenhub.figures import usd

AXIS_Y = 186  # pixels; the dots stand on it, their names at the top
DOT = 12  # pixels from one dot to the next above
TICKS = (1, 2, 5)


class Priced(NamedTuple):
    name: str
    nanos: int  # more than 0


class Dot(NamedTuple):
    what: Priced
    x: float  # per cent
    level: int  # 0: on the axis


def price_scale(models: Sequence[Priced]) -> SafeString:
    """For wide and for narrow screens, which have room for fewer names. Empty without two different prices."""
    ordered = sorted(models, key=lambda one: one.nanos)
    if len({one.nanos for one in ordered}) < 2:
        return SafeString("")
    return _swarm(ordered, "swarm--w", dot_gap=1.1, letter=0.62) + _swarm(ordered, "swarm--n", dot_gap=3.6, letter=2.1)


def _swarm(models: Sequence[Priced], kind: str, *, dot_gap: float, letter: float) -> SafeString:
    """Per cent of the width: what a dot needs, and a letter of a name."""
    dots = _dots(models, dot_gap)
    named = _named(dots, letter)
    summary = _("%(count)d models on a logarithmic scale, from %(least)s for %(first)s to %(most)s for %(last)s.") % {
        "count": len(models), "least": usd(models[0].nanos), "first": models[0].name, "most": usd(models[-1].nanos),
        "last": models[-1].name,
    }  # fmt: skip
    return format_html(
        '<svg class="swarm {}" role="img" aria-label="{}"><line x1="0" x2="100%" y1="{}" y2="{}"/>{}{}{}</svg>',
        kind, summary, AXIS_Y, AXIS_Y, _ticks(models, 6 * letter), _leads(named), _circles(dots, named),
    )  # fmt: skip


def _place(nanos: float, models: Sequence[Priced]) -> float:
    least, most = models[0].nanos, models[-1].nanos
    return 3 + 94 * log(nanos / least) / log(most / least)


def _dots(models: Sequence[Priced], gap: float) -> list[Dot]:
    """Each as low as it can stand without touching another."""
    dots: list[Dot] = []
    for one in models:
        x = _place(one.nanos, models)
        taken = {dot.level for dot in dots if x - dot.x < gap}
        dots.append(Dot(one, x, next(level for level in range(len(models)) if level not in taken)))
    return dots


def _named(dots: Sequence[Dot], letter: float) -> list[Dot]:
    """Both ends, and between them whoever has room."""
    first, *between, last = dots
    chosen = [first]
    for dot in between:
        left, right = _extent(dot, letter)
        if left >= _extent(chosen[-1], letter)[1] and right <= _extent(last, letter)[0]:
            chosen.append(dot)
    return [*chosen, last]


def _extent(dot: Dot, letter: float) -> tuple[float, float]:
    """From where to where the name reaches, with a letter's room on both sides."""
    width = (len(dot.what.name) + 2) * letter
    left = dot.x - {"start": 0, "middle": width / 2, "end": width}[_anchor(dot.x)]
    return left, left + width


def _anchor(x: float) -> str:
    return "start" if x < 8 else "end" if x > 92 else "middle"


def _leads(named: Sequence[Dot]) -> SafeString:
    return format_html_join(
        "",
        '<line class="lead" x1="{}%" x2="{}%" y1="42" y2="{}"/><text class="name" x="{}%" y="14" text-anchor="{}">{}</text>'
        '<text x="{}%" y="32" text-anchor="{}">{}</text>',
        (
            (x, x, _y(dot.level), x, _anchor(dot.x), dot.what.name, x, _anchor(dot.x), usd(dot.what.nanos))
            for dot in named
            for x in [f"{dot.x:.2f}"]
        ),
    )


def _circles(dots: Sequence[Dot], named: Sequence[Dot]) -> SafeString:
    return format_html_join(
        "",
        '<circle cx="{}%" cy="{}" r="4.5"{}/>',
        ((f"{dot.x:.2f}", _y(dot.level), SafeString(' class="hit"' if dot in named else "")) for dot in dots),
    )


def _y(level: int) -> int:
    return AXIS_Y - 9 - level * DOT


def _ticks(models: Sequence[Priced], gap: float) -> SafeString:
    """At 1, 2 and 5 of every power of ten; words where they have room."""
    rows, last_x = [], -100.0
    for nanos in (digit * 10**power for power in range(5, 15) for digit in TICKS):
        if not models[0].nanos <= nanos <= models[-1].nanos:
            continue
        x = _place(nanos, models)
        words = usd(nanos).removesuffix(".00") if x - last_x >= gap else ""
        last_x = x if words else last_x
        rows.append((f"{x:.2f}", f"{x:.2f}", AXIS_Y, AXIS_Y + 6, f"{x:.2f}", AXIS_Y + 24, words))
    return format_html_join(
        "", '<line x1="{}%" x2="{}%" y1="{}" y2="{}"/><text x="{}%" y="{}" text-anchor="middle">{}</text>', rows
    )
