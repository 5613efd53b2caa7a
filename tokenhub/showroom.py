"""What the style page fills the components with."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib.messages import DEFAULT_TAGS
from django.contrib.messages.storage.base import Message
from django.utils.translation import gettext as _

from tokenhub import charts, clock
from tokenhub.charts import COUNT, MILLISECONDS, MONEY, Series
from tokenhub.context import EXAMPLE_MODEL
from tokenhub.snippets import snippets

COLOURS = [
    "page",
    "panel",
    "sunken",
    "text",
    "muted",
    "accent",
    "accent-soft",
    "line",
    "control",
    "ok",
    "warn",
    "bad",
    "info",
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
    "s6",
]
CENT = 10_000_000  # nano-USD
DAYS = 30


class SampleForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=8, help_text=_("At most eight characters."))
    limit = forms.DecimalField(label=_("Limit in USD"), required=False)
    keeps = forms.BooleanField(label=_("Keep conversations"), required=False)


def samples() -> dict[str, Any]:
    """Context of style.html: made-up figures, the same on every visit."""
    return {
        "colours": COLOURS,
        "form": SampleForm({"name": "longer than eight", "limit": "5"}),
        "notices": [Message(level, tag.capitalize()) for level, tag in DEFAULT_TAGS.items()],
        "snippets": snippets(EXAMPLE_MODEL),
        "amounts_nanos": [23_412_806_100, 1_000_000_000, 3_778_400, 79, 0, -5_000_000_000],
        "an_hour_ago": clock.now() - timedelta(hours=1),
        "wallets": [_wallet(0, 0), _wallet(CENT, CENT), _wallet(CENT, 0, frozen=True)],
        "chips": [_wallet(2_341 * CENT, 0), _wallet(12 * CENT, 0), _wallet(0, 0)],
        "sample_powers": {"see_billing", "pay"},
        "bars": [charts.bar(part, 100) for part in (30, 85, 100)],
        "spark": charts.sparkline([3, 5, 4, 8, 6, 9, 12, 10], summary=_("Rising over eight hours.")),
        "uptime": charts.uptime([100] * 20 + [60, None, 100, 100], summary=_("One bad hour of 24.")),
        "spend": _spend(),
        "balance": _balance(),
        "latency": _latency(),
    }


def _wallet(posted_nanos: int, held_nanos: int, *, frozen: bool = False) -> SimpleNamespace:
    available = posted_nanos - held_nanos
    return SimpleNamespace(posted_nanos=posted_nanos, held_nanos=held_nanos, available_nanos=available, frozen=frozen)


def _days() -> list[str]:
    return [f"{day} Nov" for day in range(1, DAYS + 1)]


def _wave(seed: int) -> list[int]:
    """Figures that look like a month, without chance."""
    return [(seed * (day + 3) * 7919 % 97) * CENT // 4 * (1 + day % 7 // 5) for day in range(DAYS)]


def _spend() -> str:
    names = ["Sonnet", "Flash", "Luna"]
    series = [Series(name, _wave(at + 2), colour) for at, (name, colour) in enumerate(charts.colours(names).items())]
    series.append(Series(_("Other"), _wave(11), 6))
    return charts.stacked_bars(
        series, _days(), summary=_("Spend per day by model."), unit=MONEY, bucket=_("Day"), crops=True,
        against=Series(_("Days before"), [sum(at) for at in zip(_wave(3), _wave(5), strict=True)]),
    )  # fmt: skip


def _balance() -> str:
    values = [(60 - 2 * day + 25 * (day >= 9)) * 100 * CENT for day in range(DAYS)]
    return charts.line(
        [Series(_("Balance"), values)], _days(), summary=_("Balance over a month, with one top-up of $25."), unit=MONEY,
        bucket=_("Day"), is_stepped=True, projected_from=24, marks={9: "+$25"},
    )  # fmt: skip


def _latency() -> str:
    median = [400 + 37 * day % 90 for day in range(DAYS)]
    slow = [None if day == 12 else 900 + 211 * day % 700 for day in range(DAYS)]
    return charts.line(
        [Series(_("median"), median, 1), Series(_("95th percentile"), slow, 3)], _days(),
        summary=_("Time to first token."), unit=MILLISECONDS, bucket=_("Day"), height=160,
    ) + charts.stacked_bars(
        [Series(_("Failed"), [day % 5 for day in range(DAYS)], "bad"), Series(_("Answered"), [40 + day for day in range(DAYS)], "ink")],
        _days(), summary=_("Requests per day, failures at the foot."), unit=COUNT, bucket=_("Day"), height=96,
    )  # fmt: skip
