"""Which model answers, at which price, on which day."""

from datetime import UTC, datetime

import pytest

from gateway.errors import ModelNotFound, NoUpstreamAvailable
from gateway.routing import Directory
from tokenhub import clock


@pytest.fixture
def directory(settings: object) -> Directory:
    settings.SANDBOX_URL = "http://127.0.0.1:1"  # type: ignore[attr-defined]
    loaded = Directory()
    loaded.load()
    return loaded


def on(monkeypatch: pytest.MonkeyPatch, day: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: day)


def test_a_retired_model_is_answered_by_its_successor_at_the_successors_price(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    before = directory.routes_to("google/gemini-2.5-pro")[0]
    assert (before.slug, before.served_slug) == ("google/gemini-2.5-pro", "google/gemini-2.5-pro")
    on(monkeypatch, datetime(2026, 12, 1, tzinfo=UTC))
    after, successor = (
        directory.routes_to("google/gemini-2.5-pro")[0],
        directory.routes_to("google/gemini-3.8-flash")[0],
    )
    assert (after.slug, after.served_slug) == ("google/gemini-2.5-pro", "google/gemini-3.8-flash")
    assert after.price == successor.price != before.price
    assert (after.model_id, after.upstream_model) == (successor.model_id, successor.upstream_model)


def test_dated_prices_take_effect_by_themselves(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    before = directory.routes_to("google/gemini-4-argon")[0].price
    on(monkeypatch, datetime(2026, 12, 1, tzinfo=UTC))
    after = directory.routes_to("google/gemini-4-argon")[0].price
    assert before.id != after.id and before.tiers != after.tiers


def test_what_cannot_be_found_or_reached(directory: Directory, settings: object) -> None:
    with pytest.raises(ModelNotFound):
        directory.routes_to("openai/gpt-0")[0]
    with pytest.raises(NoUpstreamAvailable):
        directory.routes_to("kwaivgi/kling-v3.0-pro")[0]
    settings.SANDBOX = False  # type: ignore[attr-defined]
    alone = Directory()
    alone.load()
    with pytest.raises(NoUpstreamAvailable):
        alone.routes_to("openai/gpt-4.1")
