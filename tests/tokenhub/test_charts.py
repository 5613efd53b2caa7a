"""Charts: every figure is in the table, nothing that a name holds becomes markup, and odd data does not break the picture."""

import re
from html.parser import HTMLParser

import pytest
from django.utils.safestring import SafeString

from tokenhub import charts
from tokenhub.chart_scale import Scale
from tokenhub.charts import COUNT, MILLISECONDS, MONEY, TOKENS, Series

DAYS = ["1 Nov", "2 Nov", "3 Nov"]
EVIL = '"><script>alert(1)</script>'


class Table(HTMLParser):
    """The text of every cell of the twin, row by row."""

    def __init__(self, html: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_in_cell = False
        self.feed(html[html.index("<table") : html.index("</table>")])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.is_in_cell = self.is_in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.is_in_cell:
            self.rows[-1][-1] += data


def bars(html: str) -> list[tuple[float, float]]:
    """Top and height of every bar, in per cent."""
    return [(float(top), float(tall)) for top, tall in re.findall(r"M[\d.-]+ ([\d.-]+)h[\d.]+v([\d.-]+)", html)]


def two_models() -> SafeString:
    series = [Series("Claude", [1_500_000_000, 0, 20_000], 1), Series("Gemini", [500_000_000, 7, 0], 2)]
    return charts.stacked_bars(series, DAYS, summary="Spend per day.", unit=MONEY, bucket="Day")


def test_the_table_holds_every_figure_exactly_and_their_sums() -> None:
    assert Table(two_models()).rows == [
        ["Day", "Claude", "Gemini", "Total"],
        ["1 Nov", "$1.50", "$0.50", "$2.00"],
        ["2 Nov", "$0.00", "$0.000000007", "$0.000000007"],
        ["3 Nov", "$0.00002", "$0.00", "$0.00002"],
        ["Sum", "$1.50002", "$0.500000007", "$2.000020007"],
    ]


def test_the_picture_has_a_name_and_its_series_are_named_in_words() -> None:
    html = two_models()
    assert 'role="img" aria-label="Spend per day."' in html
    assert re.search(r"<li[^>]*><i class=\"sw1\"></i>Claude <small>\$1\.50</small></li>", html)


def test_bars_stand_on_each_other_and_reach_the_sum() -> None:
    html = charts.stacked_bars([Series("a", [1]), Series("b", [3], 2)], ["now"], summary="s", unit=COUNT)
    assert bars(html) == [(75, 25), (0, 75)]  # a fills the lowest quarter, b the rest


def test_what_a_name_holds_never_becomes_markup() -> None:
    series = [Series(EVIL, [1, None, 2]), Series("b", [3, 4, 5], 2)]
    for html in (
        charts.stacked_bars(series, [EVIL, "b", "c"], summary=EVIL, bucket=EVIL, against=Series(EVIL, [1, 1, 1])),
        charts.line(series, [EVIL, "b", "c"], summary=EVIL, marks={0: EVIL}),
        charts.sparkline([1, 2], summary=EVIL),
        charts.uptime([100], summary=EVIL),
    ):
        assert "<script" not in html and '"">' not in html
        assert "&lt;script&gt;" in html


def test_nothing_at_all_is_an_empty_picture_with_its_table() -> None:
    html = charts.stacked_bars([Series("a", [0, 0, 0])], DAYS, summary="No spend.", unit=MONEY)
    assert 'd=""' in html and ">$0.00<" in html
    assert Table(html).rows[-1] == ["Sum", "$0.00"]
    assert (
        "<path"
        not in charts.line([Series("a", [None, None, None])], DAYS, summary="No traffic.")
        .split("chart__clip")[1]
        .split("</div>")[0]
    )
    assert charts.stacked_bars([], [], summary="Nothing.").startswith("<figure")


def test_one_bucket_is_a_bar_and_a_lone_value_is_visible() -> None:
    html = charts.stacked_bars([Series("a", [5])], ["today"], summary="s")
    width = float(re.search(r"h([\d.]+)v", html)[1])  # type: ignore[index]
    assert width <= 12
    assert 'd="M50 0h.6"' in charts.line([Series("a", [4])], ["today"], summary="s")


def test_huge_values_stay_inside_the_picture() -> None:
    huge = 9_223_372_036_854_775_807
    html = charts.stacked_bars([Series("a", [huge, 1, 0]), Series("b", [huge, 0, 1], 2)], DAYS, summary="s", unit=MONEY)
    assert len(bars(html)) == 4
    assert all(top >= 0 and tall >= 0 and top + tall <= 100.01 for top, tall in bars(html))
    assert Table(html).rows[1][-1] == "$18,446,744,073.709551614"


def test_gaps_lift_the_pen_and_are_dashes_in_the_table() -> None:
    html = charts.line([Series("p50", [400, None, 500])], DAYS, summary="s", unit=MILLISECONDS)
    d = re.search(r'class="line l1" d="([^"]*)"', html)[1]  # type: ignore[index]
    assert d.count("M") == 2 and "L" not in d
    assert [row[1] for row in Table(html).rows] == ["p50", "400 ms", "–", "500 ms"]


def test_a_forecast_is_dashed_and_called_one() -> None:
    html = charts.line([Series("Balance", [4, 2, 0])], DAYS, summary="s", is_stepped=True, projected_from=1)
    assert 'class="line l1 dash" d="M50 50L83.33 100"' in html
    assert [row[0] for row in Table(html).rows][1:] == ["1 Nov", "2 Nov", "3 Nov (forecast)"]


def test_lines_differ_by_dash_and_not_by_colour_alone() -> None:
    html = charts.line([Series("p50", [1, 2, 3], 1), Series("p95", [3, 4, 5], 3)], DAYS, summary="s")
    assert 'class="line l1"' in html and 'class="line l3 dash1"' in html


def test_a_model_keeps_its_colour_whoever_stands_beside_it() -> None:
    alone = charts.colours(["openai/gpt-6-luna"])["openai/gpt-6-luna"]
    assert charts.colours(["openai/gpt-6-luna"]) == {"openai/gpt-6-luna": alone}
    five = charts.colours(["a", "b", "c", "d", "e"])
    assert sorted(five.values(), key=str) == [1, 2, 3, 4, 5]
    assert charts.colours(["e", "d", "c", "b", "a"]) == five


@pytest.mark.parametrize("count", [61, 2])
def test_more_than_sixty_buckets_or_unequal_lengths_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="buckets"):
        charts.stacked_bars([Series("a", [1] * (count if count > 60 else 3))], ["x"] * count, summary="s")


@pytest.mark.parametrize(
    ("highest", "unit", "ticks"),
    [
        (0, COUNT, ["0", "1"]),
        (7, COUNT, ["0", "2", "4", "6", "8"]),
        (5_830_000_000, MONEY, ["$0", "$2", "$4", "$6"]),
        (1_900_000_000, MONEY, ["$0.00", "$0.50", "$1.00", "$1.50", "$2.00"]),
        (21, MONEY, ["$0.00", "$0.00000001", "$0.00000002", "$0.00000003"]),
        (2_600_000, TOKENS, ["0", "1M", "2M", "3M"]),
        (1_990, MILLISECONDS, ["0 ms", "500 ms", "1 s", "1.5 s", "2 s"]),
    ],
)
def test_axes_have_round_steps(highest: int, unit: charts.Unit, ticks: list[str]) -> None:
    assert [words for _share, words in Scale.to(highest, unit).ticks()] == ticks


def test_a_limit_bar_changes_before_it_is_full() -> None:
    assert 'class="bar"' in charts.bar(79, 100)
    assert 'class="bar bar--warn"' in charts.bar(80, 100)
    assert 'class="bar bar--bad"' in charts.bar(250, 100) and 'width="100%"' in charts.bar(250, 100)
    assert 'width="0%"' in charts.bar(0, 0)
