"""From a vendor's usage object to the charge: no token is lost, billed twice or made up, whatever is reported, at any date."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing.meters import TOKENS_MAX, Usage
from billing.pricing import PER_MILLION, TokenPrice, components, cost
from gateway.adapters import ADAPTERS
from gateway.catalogue import load_files
from gateway.models import CallRecord, Model
from tests.gateway import inside, price_file
from tests.gateway.conftest import Customer, chat
from tests.gateway.inside import HesitantVendor
from tests.gateway.price_file import Counts
from tests.servers import Server
from tokenhub import clock

# ---------------------------------------------------------------- what vendors report

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
COUNT = st.integers(-5, 50) | st.sampled_from([TOKENS_MAX, TOKENS_MAX + 1, 2**63, 2**200]) | JUNK
#: every count that each wire has a word for; `a.b` lies in an object of its own
WORDS = {
    "openai": [
        "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.cache_write_tokens", "completion_tokens_details.reasoning_tokens",
        "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cached_tokens",
    ],
    "anthropic": [
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens",
        "output_tokens_details.thinking_tokens",
    ],
    "google": [
        "promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount", "candidatesTokenCount",
        "thoughtsTokenCount", "totalTokenCount",
    ],
}  # fmt: skip
PER_TOKEN = TokenPrice.of(
    1,
    {
        "unit": "tokens",
        "per_million": dict.fromkeys(("input", "cached_input", "cache_write", "cache_write_1h", "output"), PER_MILLION),
    },
)


@st.composite
def reports(draw: st.DrawFn, wire: str) -> Any:
    """A usage object with any counts in any of its words, also objects where counts belong and the other way round."""
    flat = draw(st.dictionaries(st.sampled_from(WORDS[wire]), COUNT))
    report: dict[str, Any] = draw(st.dictionaries(st.sampled_from([w.partition(".")[0] for w in WORDS[wire]]), JUNK))
    for word, count in flat.items():
        outer, _, name = word.partition(".")
        if name:
            known = report.get(outer)
            report[outer] = {**(known if isinstance(known, dict) else {}), name: count}
        else:
            report[outer] = count
    return draw(st.sampled_from([report] * 9 + [list(report)]))


@pytest.mark.parametrize("wire", WORDS)
@given(data=st.data())
def test_whatever_is_reported_makes_counts_that_can_be_billed(wire: str, data: st.DataObject) -> None:
    usage = ADAPTERS[wire].usage_of(data.draw(reports(wire)))
    if usage is None:
        return
    assert all(type(count) is int and 0 <= count <= TOKENS_MAX for count in usage)
    assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert usage.reasoning_tokens <= usage.output_tokens
    parts = components(PER_TOKEN, usage)
    assert min(parts.values()) >= 0
    # at one nano-dollar a token the charge is the number of tokens: none is forgotten and none is charged twice
    assert cost(PER_TOKEN, usage) == sum(parts.values()) // PER_MILLION == usage.input_tokens + usage.output_tokens


@st.composite
def truths(draw: st.DrawFn) -> Usage:
    """Counts as they are, before a vendor puts them into its words."""
    plain, cached, written, answer, thoughts = (draw(st.integers(0, 2_000_000)) for _ in range(5))
    written_1h = draw(st.integers(0, written))
    return Usage(plain + cached + written, cached, written, written_1h, answer + thoughts, thoughts)


def in_openais(truth: Usage) -> Any:
    return {
        "prompt_tokens": truth.input_tokens, "completion_tokens": truth.output_tokens,
        "total_tokens": truth.input_tokens + truth.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": truth.cached_input_tokens, "cache_write_tokens": truth.cache_write_tokens, "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": truth.reasoning_tokens},
    }  # fmt: skip


def in_xais(truth: Usage) -> Any:
    """Reasoning beside the answer: only the total holds both."""
    return in_openais(truth) | {"completion_tokens": truth.output_tokens - truth.reasoning_tokens}


def in_deepseeks(truth: Usage) -> Any:
    missed = truth.input_tokens - truth.cached_input_tokens
    own = {"prompt_cache_hit_tokens": truth.cached_input_tokens, "prompt_cache_miss_tokens": missed}
    return {name: count for name, count in in_openais(truth).items() if name != "prompt_tokens_details"} | own


def in_moonshots(truth: Usage) -> Any:
    own = {"cached_tokens": truth.cached_input_tokens}
    return {name: count for name, count in in_openais(truth).items() if name != "prompt_tokens_details"} | own


def in_anthropics(truth: Usage) -> Any:
    return {
        "input_tokens": truth.input_tokens - truth.cached_input_tokens - truth.cache_write_tokens,
        "cache_read_input_tokens": truth.cached_input_tokens, "cache_creation_input_tokens": truth.cache_write_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": truth.cache_write_tokens - truth.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": truth.cache_write_1h_tokens,
        },
        "output_tokens": truth.output_tokens, "output_tokens_details": {"thinking_tokens": truth.reasoning_tokens},
    }  # fmt: skip


def in_googles(truth: Usage) -> Any:
    """JSON leaves zeros out."""
    counts = {
        "promptTokenCount": truth.input_tokens, "cachedContentTokenCount": truth.cached_input_tokens,
        "candidatesTokenCount": truth.output_tokens - truth.reasoning_tokens, "thoughtsTokenCount": truth.reasoning_tokens,
        "totalTokenCount": truth.input_tokens + truth.output_tokens,
    }  # fmt: skip
    return {name: count for name, count in counts.items() if count or name == "totalTokenCount"}


@pytest.mark.parametrize(
    ("wire", "in_its_words", "lost"),
    [
        ("openai", in_openais, ["cache_write_1h_tokens"]),
        ("openai", in_xais, ["cache_write_1h_tokens"]),
        ("openai", in_deepseeks, ["cache_write_tokens", "cache_write_1h_tokens"]),
        ("openai", in_moonshots, ["cache_write_tokens", "cache_write_1h_tokens"]),
        ("anthropic", in_anthropics, []),
        ("google", in_googles, ["cache_write_tokens", "cache_write_1h_tokens"]),
    ],
)
@given(truth=truths())
def test_what_a_vendor_says_in_its_own_words_is_what_was_used(
    wire: str, in_its_words: Callable[[Usage], Any], lost: list[str], truth: Usage
) -> None:
    assert ADAPTERS[wire].usage_of(in_its_words(truth)) == truth._replace(**dict.fromkeys(lost, 0))


# ---------------------------------------------------------------- what it costs

ENTRIES = {entry.slug: entry for entry in load_files().models if entry.slug in price_file.MODELS}


def price_of(slug: str, day: date) -> TokenPrice:
    """As the catalogue stores it: the schedule's latest that has begun."""
    rows = [price for price in ENTRIES[slug].prices if price.effective_at.date() <= day]
    return TokenPrice.of(1, rows[-1].rates)


@pytest.mark.parametrize("slug", price_file.MODELS)
@given(truth=truths(), days=st.integers(0, 120))
def test_every_models_charge_is_what_its_price_file_says(slug: str, truth: Usage, days: int) -> None:
    day = date(2026, 11, 1) + timedelta(days)
    model = price_file.MODELS[slug]
    if "successor" in model:  # from then on the price is another model's
        day = min(day, model["retires_on"] - timedelta(1))
    counts = Counts(
        truth.input_tokens, truth.output_tokens, truth.cached_input_tokens, truth.cache_write_tokens,
        truth.cache_write_1h_tokens,
    )  # fmt: skip
    assert cost(price_of(slug, day), truth) == price_file.nanos(slug, counts, day)


@pytest.mark.parametrize(
    ("slug", "above"),
    [
        (slug, tier["above_input_tokens"])
        for slug, model in price_file.MODELS.items()
        for tier in model["prices"][0].get("tiers", ())
    ],
)
def test_a_tier_begins_one_token_above_its_boundary(slug: str, above: int) -> None:
    day = date(2026, 11, 1)
    at, over = (cost(price_of(slug, day), Usage(input_tokens=count, output_tokens=10)) for count in (above, above + 1))
    assert at == price_file.nanos(slug, Counts(above, 10), day)
    assert over == price_file.nanos(slug, Counts(above + 1, 10), day)
    assert over - at > at / above * 2  # the whole prompt turned dearer, not one more token


# ---------------------------------------------------------------- what it costs, and when

EVE = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
COUNTS = Counts(1_000, 50, cached=400)
ASK = "[[sandbox: usage 1000,50,cached=400]] What is a river?"


@pytest.mark.parametrize(
    ("slug", "before", "after", "answered_by"),
    [
        ("google/gemini-4-argon", EVE, MIDNIGHT, "google/gemini-4-argon"),
        ("google/gemini-3.8-flash", NEW_YEARS_EVE, NEW_YEAR, "google/gemini-3.8-flash"),
        ("google/gemini-2.5-pro", EVE, MIDNIGHT, "google/gemini-3.8-flash"),
    ],
)
def test_a_price_changes_at_its_moment_and_not_for_a_call_on_its_way(
    settings: Settings, sandbox: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch,
    slug: str, before: datetime, after: datetime, answered_by: str,
) -> None:  # fmt: skip
    async def story() -> tuple[httpx.Response, httpx.Response]:
        vendor = HesitantVendor(sandbox.url, 0)
        body = chat(ASK, slug, stream=True, max_tokens=500)
        async with (
            vendor.serving() as settings.SANDBOX_URL,
            inside.serving() as (_, url),
            httpx.AsyncClient(base_url=url, headers=customer.headers, timeout=60) as http,
        ):
            monkeypatch.setattr(clock, "now", lambda: before)
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=body))
            await vendor.was_asked.wait()
            monkeypatch.setattr(clock, "now", lambda: after)
            vendor.may_speak.set()
            return await asking, await http.post("/v1/chat/completions", json=body)

    admitted_before, admitted_after = asyncio.run(story())
    old, new = CallRecord.objects.filter(account_id=customer.account.pk).order_by("created_at")
    assert old.cost_nanos == price_file.nanos(slug, COUNTS, before.date())
    assert new.cost_nanos == price_file.nanos(slug, COUNTS, after.date())
    assert old.cost_nanos != new.cost_nanos and old.price_id != new.price_id
    models = [Model.objects.get(slug=it).pk for it in (slug, answered_by)]
    assert [old.model_id, new.model_id] == models
    served = [answer.headers.get("x-tokenhub-served-model") for answer in (admitted_before, admitted_after)]
    assert served == [None, answered_by if answered_by != slug else None]
    assert customer.wallet.posted_nanos == 1_000_000_000 - old.cost_nanos - new.cost_nanos
