"""The picture of a report: stacked bars where figures add up, lines where they do not, and where each bar leads."""

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from gateway.metrics import Metric, Sums
from gateway.usage import OTHER, Group, Report
from gateway.usage_filters import DIMENSIONS, UsageFilter
from gateway.usage_sample import Spread
from tokenhub import charts
from tokenhub.charts import Colour, Unit
from tokenhub.figures import DASH

UNITS: dict[str, Unit] = {
    "usd": charts.MONEY,
    "count": charts.COUNT,
    "tokens": charts.TOKENS,
    "ms": charts.MILLISECONDS,
    "per_second": charts.PER_SECOND,
    "per_mille": charts.PER_MILLE,
}
OTHER_COLOUR: Colour = 6
OUTCOMES: dict[str, Colour] = {"ok": "ink", "error": "bad"}
#: lines are told apart by dash, and more than these cannot be
LINES_MAX = 4


class Bucket(NamedTuple):
    """A bar as a link: closer in, or, where it is one hour already, to its calls."""

    number: int  # from 0, as the bars stand
    label: str
    query: str
    is_hour: bool
    words: str


def paint(asked: UsageFilter, groups: Sequence[Group]) -> dict[str, Colour]:
    """Colours by the groups' values; a model keeps its own on every page."""
    if asked.by == "status":
        return dict(OUTCOMES)
    leading = {group.value: group.label for group in groups if group.place < OTHER}
    chosen = charts.colours(leading.values())
    return {value: chosen[label] for value, label in leading.items()}


def draw(asked: UsageFilter, report: Report) -> SafeString:
    unit, metric, period = UNITS[asked.metric.unit], asked.metric, asked.period
    colours = paint(asked, report.groups)
    series = [
        charts.Series(one.label, [metric.of(sums) for sums in one.sums], colours.get(one.value, OTHER_COLOUR))
        for one in report.series
    ]
    before = charts.Series(period.before_name, [metric.of(sums) for sums in report.buckets_before], OTHER_COLOUR)
    bucket = gettext("Day") if period.step_hours >= 24 else gettext("From")
    if metric.is_sum:
        return charts.stacked_bars(
            series, period.labels, summary=summary(asked, report), unit=unit, bucket=bucket, against=before, crops=len(period.labels) == 30
        )  # fmt: skip
    return charts.line(
        [*series[:LINES_MAX], before], period.labels, summary=summary(asked, report), unit=unit, bucket=bucket
    )


def title(asked: UsageFilter) -> str:
    return gettext("%(metric)s by %(group)s") % {
        "metric": asked.metric.title,
        "group": str(DIMENSIONS[asked.by]).lower(),
    }


def summary(asked: UsageFilter, report: Report) -> str:
    """What is to be seen, as a sentence."""
    words = {
        "title": title(asked),
        "period": asked.period.words,
        "zone": str(asked.period.zone),
        "total": in_words(asked.metric, report.total),
        "before": in_words(asked.metric, report.total_before),
        "period_before": asked.period.before_name,
    }
    text = (
        gettext("%(title)s, %(period)s, %(zone)s: %(total)s in all, against %(before)s in %(period_before)s.") % words
    )
    values = [asked.metric.of(sums) or 0 for sums in report.buckets]
    if not any(values):
        return text
    top = values.index(max(values))
    return text + " " + gettext("Highest at %(when)s.") % {"when": asked.period.labels[top]}


def in_words(metric: Metric, sums: Sums, spread: Spread | None = None) -> str:
    """``spread``: of the same calls; without one, a percentile's stand-in over time."""
    value = spread.at(metric.percentile) if spread and metric.percentile else metric.of(sums)
    return DASH if value is None else UNITS[metric.unit].words(value)


def buckets(asked: UsageFilter, report: Report) -> list[Bucket]:
    """Those with traffic."""
    return [
        Bucket(
            n, label, asked.in_period(period := asked.period.bucket(n)), period.hours == 1, in_words(asked.metric, sums)
        )
        for n, (label, sums) in enumerate(zip(asked.period.labels, report.buckets, strict=True))
        if sums.calls
    ]


def change(asked: UsageFilter, report: Report, field: str) -> str:
    """``+42 % on the 7 days before``, up to the same hour of them."""
    now, before = getattr(report.total, field), getattr(report.total_before, field)
    if not before:
        return gettext("none in %(period)s") % {"period": asked.period.before_name}
    percent = (now - before) * 100 // before
    sign = "+" if percent > 0 else "\N{MINUS SIGN}" if percent < 0 else "±"
    return gettext("%(sign)s%(percent)d %% on %(period)s") % {
        "sign": sign,
        "percent": abs(percent),
        "period": asked.period.before_name,
    }
