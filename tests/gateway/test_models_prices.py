"""What the catalogue's pages say about prices is what the API says, what the reviewed files say, and what the biller charges."""

import os
import re
import subprocess
from datetime import UTC, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing import pricing
from billing.meters import Usage
from billing.models import Price
from gateway.model_estimate import TokenForm, estimate
from gateway.models import Model
from gateway.offers import all_offers
from gateway.price_list import VIDEO_TOKENS_PER_SECOND, Rate
from tests.gateway import price_file
from tests.gateway.conftest import new_customer
from tests.gateway.shop_window import offer, page, undone
from tests.servers import Server
from tokenhub import clock
from tokenhub.money import usd_string, usd_to_nanos

CHAT = sorted(price_file.MODELS)
NANOS = 10**9


@pytest.fixture(autouse=True)
def _sandbox_stands_in(settings: Settings) -> None:
    """As in `make run`; these pages only ask whether there is one."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"


# ---------------------------------------------------------------- prices


def test_a_models_page_shows_the_prices_that_the_api_states() -> None:
    browser = Client()
    listed = {model["id"]: model for model in browser.get("/api/v1/models").json()["data"]}
    chat = {found.model.slug: found for found in all_offers() if found.model.kind == Model.Kind.CHAT}
    assert set(chat) <= set(listed)
    for slug, found in chat.items():
        stated = listed[slug]["pricing"]
        base = found.prices.base
        assert base is not None
        per_million = {"prompt": base.input, "completion": base.output, "input_cache_read": base.cached_input}
        for name, nanos in per_million.items():
            if name in stated:
                assert usd_per_million(stated[name]) == nanos, (slug, name)


def usd_per_million(usd_per_token: str) -> int:
    """Nano-USD per million tokens, by moving the point."""
    whole, _, decimals = usd_per_token.partition(".")
    return int(whole + decimals.ljust(15, "0"))


@pytest.mark.parametrize("slug", CHAT)
def test_a_models_page_shows_the_prices_of_the_reviewed_file(slug: str) -> None:
    today = clock.now().date()
    rates: dict[str, Any] = max(
        (row for row in price_file.MODELS[slug]["prices"] if row["from"] <= today), key=lambda row: row["from"]
    )
    table = page(f"/models/{slug}").partition('id="price"')[2].partition("</table>")[0]
    cells = re.findall(r'<td class="num">\$([^<]+)</td>', table)
    tiers = [rates, *rates.get("tiers", [])]
    words = ["input", "cached_input", "cache_write", "cache_write_1h", "output"]
    billed_as = {"cached_input": "input", "cache_write": "input", "cache_write_1h": "cache_write"}

    def amount(tier: dict[str, Any], word: str) -> int:
        return usd_to_nanos(tier[word]) if tier.get(word) is not None else amount(tier, billed_as[word])

    expected = [amount(tier, word) for word in words for tier in tiers]
    assert [usd_to_nanos(cell.replace(",", "")) for cell in cells] == expected


@pytest.mark.parametrize("slug", CHAT)
def test_a_typical_call_costs_what_the_reviewed_file_says(slug: str) -> None:
    at_own_price = price_file.nanos(slug, price_file.Counts(1_000, 500))
    found = offer(slug)
    if not found.has_retired:  # a retired model's page still states its own price
        assert found.typical_nanos == at_own_price


def test_images_and_clips_cost_whole_units_at_their_rate() -> None:
    assert offer("bytedance/doubao-seedream-5.5").typical_nanos == 35 * NANOS // 1000  # one image at 2K
    assert offer("kwaivgi/kling-v3.0-std").typical_nanos == 5 * 168 * NANOS // 1000  # five silent seconds
    seedance = offer("bytedance/doubao-seedance-2.0")
    nanos_per_million = seedance.prices.current.rates["per_million"]["720p.no_video_input"]  # type: ignore[union-attr]
    assert seedance.typical_nanos == -(-5 * 1280 * 720 * 24 // 1024 * nanos_per_million // 10**6)


def test_a_second_of_video_has_the_tokens_that_the_vendors_price_per_second_implies() -> None:
    """The catalogue's notes state USD per second at 16:9 beside CNY per million tokens, at CNY 7 for a dollar."""
    stated = {
        "480p": ("46", "0.066003429"),
        "720p": ("46", "0.14194286"),
        "1080p": ("51", "0.35408571"),
        "4k": ("26", "0.72205714"),
    }
    for size, (yuan, usd) in stated.items():
        nanos = VIDEO_TOKENS_PER_SECOND[size] * int(yuan) * NANOS // 7 // 10**6
        assert abs(nanos - usd_to_nanos(usd)) <= 10, size


def test_what_is_not_for_sale_says_so_and_cannot_be_charged() -> None:
    html = page("/models/bytedance/doubao-seedance-2.0")
    assert re.search(r"4k, with video input</th><td[^>]*>not for sale", html)
    with pytest.raises(ValueError, match="not for sale"):
        Rate("4k.with_video_input", None, None).charge_nanos(1)


def test_an_announced_price_is_shown_with_its_day_and_counted_from_then() -> None:
    with undone():
        _announce_and_look()


def _announce_and_look() -> None:
    model = Model.objects.get(slug="openai/gpt-4.1")
    now = Price.objects.get(pk=model.price_ids[-1])
    later = clock.now() + timedelta(days=40)
    dearer = {**now.rates, "per_million": {**now.rates["per_million"], "input": 3 * NANOS}}
    coming = Price.objects.create(sku=model.slug, effective_at=later, rates=dearer, digest="0" * 64)
    Model.objects.filter(pk=model.pk).update(price_ids=[now.pk, coming.pk])

    html = page("/models/openai/gpt-4.1?input_tokens=1000&cached_percent=0&output_tokens=0&calls=1")
    assert re.search(r"announced</span>\s*\$3\.00 in, \$8\.00 out", html)
    assert f"30 days, from {later.astimezone(UTC):%-d %b %Y}" in html
    assert "$0.06" in html and "$0.09" in html  # 30 calls of 1,000 tokens at $2, then at $3
    assert f"price changes {later.astimezone(UTC):%-d %b}" in page("/models")
    assert offer("openai/gpt-4.1").prices.current == now


# ---------------------------------------------------------------- the calculator

tokens = st.integers(min_value=0, max_value=450_000)


@given(
    slug=st.sampled_from([slug for slug in CHAT if not price_file.MODELS[slug].get("successor")]),
    input_tokens=tokens,
    cached_percent=st.integers(min_value=0, max_value=100),
    output_tokens=tokens,
    calls=st.integers(min_value=0, max_value=10**8),
)
def test_the_calculator_charges_what_the_biller_and_the_file_charge(
    slug: str, input_tokens: int, cached_percent: int, output_tokens: int, calls: int
) -> None:
    found = offer(slug)
    numbers = {
        "input_tokens": input_tokens,
        "cached_percent": cached_percent,
        "output_tokens": output_tokens,
        "calls": calls,
    }
    query = QueryDict(mutable=True)
    query.update({name: str(number) for name, number in numbers.items()})
    worked_out = estimate(found, query)
    if input_tokens + output_tokens > (found.model.context_window or 0):
        assert worked_out.now is None and "context" in str(worked_out.form.errors["input_tokens"])
        return
    cached = input_tokens * cached_percent // 100
    price = found.prices.tokens
    assert price is not None and worked_out.now is not None
    assert worked_out.now.call_nanos == pricing.cost(
        price, Usage(input_tokens=input_tokens, cached_input_tokens=cached, output_tokens=output_tokens)
    )
    assert worked_out.now.call_nanos == price_file.nanos(
        slug, price_file.Counts(input_tokens, output_tokens, cached=cached)
    )
    assert worked_out.now.day_nanos == worked_out.now.call_nanos * calls
    assert worked_out.now.month_nanos == worked_out.now.day_nanos * 30


def test_the_calculator_shows_its_sums_without_script() -> None:
    html = page("/models/openai/gpt-5.4?input_tokens=300000&cached_percent=50&output_tokens=1000&calls=10")
    call = 150_000 * 5_000 + 150_000 * 500 + 1_000 * 22_500  # above 272,000 tokens in; nano-USD a token
    for nanos in (call, call * 10, call * 300):
        assert f"${int(usd_string(nanos).partition('.')[0]):,}.{usd_string(nanos).partition('.')[2]}" in html
    assert "long-context price" in html
    assert 'value="300000"' in html


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("input_tokens=-1&cached_percent=0&output_tokens=1&calls=1", "greater than or equal to 0"),
        ("input_tokens=1&cached_percent=101&output_tokens=1&calls=1", "less than or equal to 100"),
        ("input_tokens=many&cached_percent=0&output_tokens=1&calls=1", "whole number"),
        ("input_tokens=2000000&cached_percent=0&output_tokens=1&calls=1", "exceed the model's context"),
    ],
)
def test_a_wrong_number_is_told_beside_its_field(query: str, says: str) -> None:
    html = page(f"/models/openai/gpt-4.1?{query}")
    assert says in html and "No estimate" in html


def test_images_and_clips_have_a_calculator_of_their_own() -> None:
    html = page("/models/kwaivgi/kling-v3.0-pro?rate=pro.audio&quantity=10&calls=3")
    for amount in ("$3.36", "$10.08", "$302.40"):
        assert amount in html


def test_an_ordinary_day_is_worked_out_before_anything_is_typed() -> None:
    html = page("/models/openai/gpt-4.1")
    nanos = price_file.nanos("openai/gpt-4.1", price_file.Counts(1_000, 500)) * TokenForm.USUAL["calls"]
    assert usd_string(nanos) in html


# ---------------------------------------------------------------- the code runs


def test_the_curl_of_every_chat_models_page_runs_as_shown(site: Server) -> None:
    customer = new_customer()
    failed = []
    for slug in CHAT:
        html = httpx.get(f"{site.url}/models/{slug}", timeout=30).text
        command = next(text for text in code_blocks(html) if text.startswith("curl ") and "/chat/completions" in text)
        assert slug in command
        run = subprocess.run(
            ["sh", "-c", f"{command} -s -o /dev/null -w '%{{http_code}}'"],
            env={"PATH": os.environ["PATH"], "TOKENHUB_API_KEY": customer.key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if run.stdout != "200":
            failed.append((slug, run.stdout, run.stderr))
    assert failed == []


def code_blocks(html: str) -> list[str]:
    """The text of each block of code, as a browser would copy it."""
    blocks = re.findall(r"<pre[^>]*>\s*<code[^>]*>(.*?)</code>", html, re.DOTALL)
    return [unescape(re.sub(r"<[^>]+>", "", block)).strip() for block in blocks]
