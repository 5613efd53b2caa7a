"""Charts as SVG with their data-table twin. Pure: numbers in, markup out; the only markup that Python writes.

Positions are per cent and text is never scaled; bars and lines sit in a nested ``viewBox="0 0 100 100"`` that is
stretched, one path for each series. Units (``MONEY``, ``TOKENS`` …) are in chart_scale.py. Colours and heights are classes (static/css/components.css), so themes and a strict
CSP hold. Every chart has a summary sentence, a legend in words, and a table with every figure (``.twin``), which
static/js/charts.js reads for its cursor.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tokenhub.chart_scale import COUNT, MILLISECONDS, MONEY, PER_MILLE, PER_SECOND, TOKENS, Scale, Unit
from tokenhub.figures import DASH
from tokenhub.templatetags.ui import icon

__all__ = [
    "COUNT", "MILLISECONDS", "MONEY", "PER_MILLE", "PER_SECOND", "TOKENS", "Colour", "Series", "Unit",
    "bar", "colours", "line", "sparkline", "stacked_bars", "uptime",
]  # fmt: skip

#: 1 to 5 are for models, 6 is "Other"; bad and ink are for outcomes
type Colour = Literal[1, 2, 3, 4, 5, 6, "bad", "ink"]

BUCKETS_AT_MOST = 60
HUES: tuple[Colour, ...] = (1, 2, 3, 4)
LABELS_AT_MOST = 7
LABELS_PIXELS = 26  # below zero, for the names of the buckets

type Height = Literal[72, 96, 120, 160, 220, 260, 320]


@dataclass(frozen=True)
class Series:
    """``values``: one for each bucket, in the chart's unit (nano-USD, tokens, ms). None is a gap: not known."""

    name: str
    values: Sequence[int | None]
    colour: Colour = 1

    @property
    def total(self) -> int:
        return sum(value or 0 for value in self.values)


def colours(names: Iterable[str]) -> dict[str, Colour]:
    """A colour of 1 to 5 for each of at most five names, by the name alone, so that a model keeps it on every page.

    Two names that want the same colour are told apart in the order of the alphabet. The fifth, which is red and easily
    read as failure, is taken last.
    """
    chosen: dict[str, Colour] = {}
    for name in sorted(set(names)):
        wish = zlib.crc32(name.encode()) % 4
        wishes: list[Colour] = [*HUES[wish:], *HUES[:wish], 5]
        chosen[name] = next((colour for colour in wishes if colour not in chosen.values()), wishes[0])
    return chosen


# ---------------------------------------------------------------- the charts


def stacked_bars(
    series: Sequence[Series],
    labels: Sequence[str],
    *,
    summary: str,
    unit: Unit = COUNT,
    bucket: str = "",
    against: Series | None = None,
    height: Height = 260,
    crops: bool = False,
    legend: bool = True,
) -> SafeString:
    """Bars, the first series at the foot. ``against`` is drawn as a thin line over them (the previous period).

    ``summary`` is the sentence that says what is to be seen, and the picture's accessible name; ``bucket`` heads the
    table's first column ("Day"). ``crops``: narrow screens show the last 14 of 30 buckets.
    Raises ``ValueError`` for more than 60 buckets, or a series of another length.
    """
    everything = [*series, against] if against else list(series)
    _check(everything, labels)
    stacks = [sum(s.values[at] or 0 for s in series) for at in range(len(labels))]
    scale = Scale.to(max([*stacks, *(value or 0 for value in (against.values if against else []))], default=0), unit)
    shapes = [_bars(series, at, len(labels), scale) for at in range(len(series))]
    if against:
        shapes.append(_path("line thin lm", _polyline(_points(against.values, scale))))
    plot = _plot(scale, height, SafeString("".join(shapes)), _x_labels(labels, kept=2 if crops else 3), summary, crops)
    return _figure(
        _legend(series, unit) if legend else "", plot, _twin(everything, labels, summary, unit, bucket, stacks)
    )


def line(
    series: Sequence[Series],
    labels: Sequence[str],
    *,
    summary: str,
    unit: Unit = COUNT,
    bucket: str = "",
    is_stepped: bool = False,
    projected_from: int | None = None,
    marks: Mapping[int, str] | None = None,
    height: Height = 260,
    legend: bool = True,
) -> SafeString:
    """Lines, which differ by dash as well as by colour. Arguments as for :func:`stacked_bars`.

    ``is_stepped``: each value holds until the next (a balance); then the first series is filled. ``projected_from``:
    the bucket from which on values are a forecast, dashed. ``marks``: a few words at a bucket ("+$25").
    """
    _check(series, labels)
    scale = Scale.to(max((value or 0 for s in series for value in s.values), default=0), unit)
    shapes: list[str] = []
    for at, one in enumerate(series):
        points = _points(one.values, scale)
        known = points if projected_from is None else points[: projected_from + 1]
        drawn = _stepped(known) if is_stepped else _polyline(known)
        if is_stepped and at == 0 and drawn:
            shapes.append(_path("soft", _area(known)))
        shapes.append(_path(f"line l{one.colour} dash{at}" if at else f"line l{one.colour}", drawn))
        if projected_from is not None:
            shapes.append(_path(f"line l{one.colour} dash", _polyline(points[projected_from:])))
    texts = [_x_labels(labels), _marks(marks or {}, series, scale, _base(height))]
    plot = _plot(scale, height, SafeString("".join(shapes)), SafeString("".join(texts)), summary, crops=False)
    twin = _twin(series, labels, summary, unit, bucket, None, projected_from)
    return _figure(_legend(series, unit, lines=True) if legend and len(series) > 1 else "", plot, twin)


def sparkline(values: Sequence[int | None], *, summary: str = "") -> SafeString:
    """A line without axes, beside a figure that says what it is. Without a summary it is decoration."""
    top = max((value or 0 for value in values), default=0) or 1
    span = max(len(values) - 1, 1)
    points = [None if v is None else (100 * at / span, 26 - 24 * v / top) for at, v in enumerate(values)]
    return format_html(
        '<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" {}>{}</svg>',
        _named(summary),
        _path("", _polyline(points)),
    )


def uptime(shares: Sequence[int | None], *, summary: str, bad_below: int = 95) -> SafeString:
    """One bar an hour for a success rate in per cent, red below ``bad_below``; None: no traffic."""
    width = 100 / max(len(shares), 1)
    rects = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"{}/>',
        (
            (_n(at * width), _n(16 - s * 0.16), _n(width * 0.7), _n(s * 0.16), _class("down" if s < bad_below else ""))
            for at, s in enumerate(shares)
            if s is not None
        ),
    )
    return format_html(
        '<svg class="spark spark--up" viewBox="0 0 100 16" preserveAspectRatio="none" {}>{}</svg>',
        _named(summary),
        rects,
    )


def bar(part: int, whole: int, *, tone: Literal["limit", "share"] = "limit") -> SafeString:
    """A share as a bar beside the figure that says it. A limit's bar turns amber at 80 per cent, red when it is used up."""
    share = min(part / whole, 1) * 100 if whole > 0 else 100 * (part > 0)
    alarm = " bar--bad" if share >= 100 else " bar--warn" if share >= 80 else ""
    return format_html(
        '<svg class="bar{}" aria-hidden="true"><rect width="{}%" height="100%"/></svg>',
        alarm if tone == "limit" else " bar--ink",
        _n(share),
    )


# ---------------------------------------------------------------- shapes


def _base(height: Height) -> float:
    """Where zero is drawn, in per cent of the height. Tall charts shrink on narrow screens, hence never below 90."""
    return min(90, 100 - 100 * LABELS_PIXELS / height)


type Point = tuple[float, float]


def _check(series: Sequence[Series], labels: Sequence[str]) -> None:
    if len(labels) > BUCKETS_AT_MOST:
        raise ValueError(f"{len(labels)} buckets: a chart has at most {BUCKETS_AT_MOST}")
    for one in series:
        if len(one.values) != len(labels):
            raise ValueError(f"{one.name}: {len(one.values)} values for {len(labels)} buckets")


def _bars(series: Sequence[Series], at: int, buckets: int, scale: Scale) -> SafeString:
    """One path for one series: its part of every stack."""
    slot = 100 / max(buckets, 1)
    width = min(slot * 0.78, 12)  # a chart of one bucket is a bar, not a wall
    parts = []
    for bucket in range(buckets):
        foot = sum(below.values[bucket] or 0 for below in series[:at])
        value = series[at].values[bucket] or 0
        if value:
            x, top, tall = (
                bucket * slot + (slot - width) / 2,
                scale.y(foot + value),
                scale.y(foot) - scale.y(foot + value),
            )
            parts.append(f"M{_n(x)} {_n(top)}h{_n(width)}v{_n(tall)}h-{_n(width)}z")
    name = series[at].colour
    return format_html('<path class="f{}" data-series="{}" d="{}"/>', name, at, "".join(parts))


def _points(values: Sequence[int | None], scale: Scale) -> list[Point | None]:
    """The middle of each bucket."""
    slot = 100 / max(len(values), 1)
    return [None if value is None else ((at + 0.5) * slot, scale.y(value)) for at, value in enumerate(values)]


def _polyline(points: Sequence[Point | None]) -> str:
    """Straight from point to point; a gap lifts the pen, and a point alone is a dot's width."""
    path, pen = [], False
    for at, point in enumerate(points):
        if point is not None:
            path.append(f"{'L' if pen else 'M'}{_n(point[0])} {_n(point[1])}")
            if not pen and (at + 1 == len(points) or points[at + 1] is None):
                path.append("h.6")
        pen = point is not None
    return "".join(path)


def _stepped(points: Sequence[Point | None]) -> str:
    known = [point for point in points if point is not None]
    if not known:
        return ""
    return f"M{_n(known[0][0])} {_n(known[0][1])}" + "".join(f"H{_n(x)}V{_n(y)}" for x, y in known[1:]) + "h.6"


def _area(points: Sequence[Point | None]) -> str:
    known = [point for point in points if point is not None]
    return f"{_stepped(points)}V100H{_n(known[0][0])}z"


def _path(classes: str, d: str) -> SafeString:
    return format_html('<path{} d="{}"/>', _class(classes), d) if d else SafeString("")


# ---------------------------------------------------------------- frame, legend, table


def _figure(*parts: str) -> SafeString:
    return format_html('<figure class="stack" data-chart>{}</figure>', SafeString("".join(parts)))


def _plot(scale: Scale, height: Height, shapes: SafeString, texts: SafeString, summary: str, crops: bool) -> SafeString:
    base = _base(height)
    ticks = [(_n(base * (100 - share) / 100), words) for share, words in scale.ticks()]
    y_labels = format_html_join("", '<text x="100%" y="{}%" dy="4" text-anchor="end">{}</text>', ticks)
    lines = format_html_join(
        "",
        '<line class="{}" x1="0" x2="100%" y1="{}%" y2="{}%"/>',
        (("grid" if at else "base", y, y) for at, (y, _words) in enumerate(ticks)),
    )
    return format_html(
        '<div class="chart{}"><svg class="chart__y h{}" aria-hidden="true">{}</svg><div class="chart__clip">'
        '<svg class="h{}" role="img" aria-label="{}">{}<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%"'
        ' height="{}%" overflow="visible">{}</svg>{}</svg></div></div>',
        " chart--crop" if crops else "",
        height, y_labels, height, summary, lines, _n(base), shapes, texts,
    )  # fmt: skip


def _x_labels(labels: Sequence[str], kept: int = 3) -> SafeString:
    """Every so many, counted from the last, so that the present is always named; narrow: every ``kept``-th of those."""
    step = -(-len(labels) // LABELS_AT_MOST) or 1
    slot = 100 / max(len(labels), 1)
    last = len(labels) - 1
    texts = []
    for nth, at in enumerate(range(last, -1, -step)):
        x, anchor = ("100", "end") if at == last and last else (_n((at + 0.5) * slot), "middle")
        x, anchor = ("0", "start") if at == 0 and last else (x, anchor)
        texts.append((x, anchor, _class("odd" if nth % kept else ""), labels[at]))
    return format_html_join("", '<text x="{}%" y="100%" dy="-3" text-anchor="{}"{}>{}</text>', reversed(texts))


def _marks(marks: Mapping[int, str], series: Sequence[Series], scale: Scale, base: float) -> SafeString:
    placed = []
    for at, words in sorted(marks.items()):
        value = series[0].values[at]
        if value is not None:
            y = base * scale.y(value) / 100
            # at the edge it would be cut off
            edges = {0: ("0", "start"), len(series[0].values) - 1: ("100", "end")}
            x, anchor = edges.get(at, (_n((at + 0.5) * 100 / len(series[0].values)), "middle"))
            placed.append((x, _n(max(y - 3, 3)), anchor, words))
    return format_html_join("", '<text class="mark" x="{}%" y="{}%" text-anchor="{}">{}</text>', placed)


def _legend(series: Sequence[Series], unit: Unit, lines: bool = False) -> SafeString:
    rows = format_html_join(
        "",
        '<li data-series="{}">{}{}{}</li>',
        (
            (
                at,
                _swatch(one, at, lines),
                one.name,
                format_html(" <small>{}</small>", unit.brief(one.total)) if unit.adds_up else "",
            )
            for at, one in enumerate(series)
        ),
    )
    return format_html('<ul class="legend">{}</ul>', rows)


def _swatch(one: Series, at: int, lines: bool) -> SafeString:
    if not lines:
        return format_html('<i class="sw{}"></i>', one.colour)
    dash = f" dash{at}" if at else ""
    return format_html(
        '<svg viewBox="0 0 20 10" aria-hidden="true"><path d="M0 5h20" class="line l{}{}"/></svg>', one.colour, dash
    )


def _twin(
    series: Sequence[Series],
    labels: Sequence[str],
    summary: str,
    unit: Unit,
    bucket: str,
    totals: Sequence[int] | None,
    projected_from: int | None = None,
) -> SafeString:
    """Every figure of the picture, exactly; with sums where the unit can be added up."""
    sums = totals if totals and len(series) > 1 and unit.adds_up else None
    heads = [one.name for one in series] + ([_("Total")] if sums else [])
    rows = []
    for at, label in enumerate(labels):
        values = [one.values[at] for one in series] + ([sums[at]] if sums else [])
        forecast = projected_from is not None and at > projected_from
        rows.append((f"{label} ({_('forecast')})" if forecast else label, _cells(values, unit)))
    body = format_html_join("", '<tr><th scope="row">{}</th>{}</tr>', rows)
    foot = SafeString("")
    if totals is not None and unit.adds_up:
        final = [one.total for one in series] + ([sum(totals)] if sums else [])
        foot = format_html('<tfoot><tr><th scope="row">{}</th>{}</tr></tfoot>', _("Sum"), _cells(final, unit))
    return format_html(
        '<details class="twin"><summary>{} {}</summary><div class="scroll" tabindex="0" role="region" aria-label="{}">'
        '<table class="table"><caption class="sr">{}</caption><thead><tr><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody>{}</table></div></details>",
        icon("chevron-right"),
        _("Show the figures as a table"), _("Figures"), summary, bucket or _("Time"),
        format_html_join("", '<th scope="col" class="num">{}</th>', ((head,) for head in heads)),
        body, foot,
    )  # fmt: skip


def _cells(values: Iterable[int | None], unit: Unit) -> SafeString:
    words = (DASH if value is None else unit.words(value) for value in values)
    return format_html_join("", '<td class="num">{}</td>', ((one,) for one in words))


# ---------------------------------------------------------------- small things


def _n(value: float) -> str:
    """A coordinate with as few characters as its two decimals need."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _class(names: str) -> SafeString:
    return format_html(' class="{}"', names) if names else SafeString("")


def _named(summary: str) -> SafeString:
    return format_html('role="img" aria-label="{}"', summary) if summary else SafeString('aria-hidden="true"')
