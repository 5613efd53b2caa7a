"""Figures and times as people read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from tokenhub import clock
from tokenhub.figures import number, percent, tokens
from tokenhub.templatetags.ui import ago, day, moment

NOON = datetime(2026, 11, 22, 23, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "–"), (0, "0"), (918, "918"), (1_000, "1k"), (18_420, "18.4k"), (205_000, "205k"), (999_999, "1M"),
     (1_048_576, "1.05M"), (1_000_000, "1M"), (2_500_000_000, "2.5B")],
)  # fmt: skip
def test_tokens_are_three_figures(count: int | None, words: str) -> None:
    assert tokens(count) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(6, 1_284, "0.47"), (0, 10, "0"), (10, 10, "100"), (1, 10_000_000, "<0.01"), (9_999_999, 10_000_000, ">99.99"),
     (995, 1_000, "99.5"), (1, 3, "33")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, words: str) -> None:
    assert percent(part, whole) == f"{words}\N{NO-BREAK SPACE}%"


def test_a_share_of_nothing_is_unknown() -> None:
    assert percent(0, 0) == percent(None, 10) == number(None) == "–"


def test_times_are_the_persons_own_and_name_their_zone() -> None:
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert ">23 Nov 2026, 08:02:07</time>" in moment(NOON)
        assert 'title="23 Nov 2026, 08:02:07 Asia/Tokyo">23 Nov 2026<' in day(NOON)
    assert ">22 Nov 2026, 23:02:07</time>" in moment(NOON)
    assert 'datetime="2026-11-22T23:02:07+00:00"' in moment(NOON)
    assert day(None) == "–"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5, minutes=59), "5 hours ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_a_relative_time_shows_the_exact_one_on_focus(passed: timedelta, words: str) -> None:
    html = ago(clock.now() - passed)
    assert f">{words}</time>" in html
    assert 'tabindex="0" data-exact="' in html and " UTC" in html


def test_what_is_long_ago_is_a_day() -> None:
    assert ">22 Nov 2020<" in ago(NOON.replace(year=2020))
