"""Whether cached tokens lie inside a wire's input count is declared, used, and never guessed."""

from typing import Any

import pytest

from billing.meters import TOKENS_MAX, Usage
from gateway.adapters import ADAPTERS
from gateway.dialects.counts import Counts, UsageReader
from gateway.upstreams import openai

#: each wire's way to say: an input count of 100, 40 read from the cache, 10 of answer
SAID: dict[str, Any] = {
    "openai": {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}},
    "anthropic": {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 40},
    "google": {"promptTokenCount": 100, "candidatesTokenCount": 10, "cachedContentTokenCount": 40},
}


def test_every_wire_declares_what_its_input_count_holds_and_is_read_so() -> None:
    assert SAID.keys() == ADAPTERS.keys()
    for wire, adapter in ADAPTERS.items():
        total = 100 if adapter.usage_of.cached_inside_input else 140
        assert adapter.usage_of(SAID[wire]) == Usage(input_tokens=total, cached_input_tokens=40, output_tokens=10), wire


def test_only_anthropic_counts_cached_tokens_beside_the_input() -> None:
    assert {wire for wire, adapter in ADAPTERS.items() if not adapter.usage_of.cached_inside_input} == {"anthropic"}


def test_a_wire_that_leaves_it_open_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="cached_inside_input"):
        UsageReader(counts_of=lambda usage: None)  # type: ignore[call-arg]


@pytest.mark.parametrize(("inside", "total"), [(True, 100), (False, 170)])
def test_the_declaration_decides_what_is_billed(inside: bool, total: int) -> None:
    counts = Counts(
        input_tokens=100, output_tokens=10, cached_tokens=40, cache_write_tokens=30, cache_write_1h_tokens=20
    )
    usage = UsageReader(cached_inside_input=inside, counts_of=lambda _: counts)({})
    assert usage == Usage(total, 40, 30, 20, 10, 0)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("junk", [-1, None, "7", 10**18, 1.5, [], True])
def test_parts_stay_inside_their_wholes_whatever_a_vendor_says(inside: bool, junk: Any) -> None:
    for field in Counts._fields:
        counts = Counts(100, 10, 40, 30, 20, 5)._replace(**{field: junk})
        usage = UsageReader(cached_inside_input=inside, counts_of=lambda _, counts=counts: counts)({})  # type: ignore[misc]
        assert usage is not None and all(0 <= count <= TOKENS_MAX for count in usage)
        assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
        assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
        assert usage.reasoning_tokens <= usage.output_tokens


def test_sound_and_pictures_in_the_prompt_are_counted_once() -> None:
    """They lie inside the input count and are told apart for information: no rate of ours is for them."""
    openais = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 110,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 25, "image_tokens": 30, "text_tokens": 45},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 3},
    }
    assert ADAPTERS["openai"].usage_of(openais) == Usage(100, 40, 0, 0, 10, 4)
    geminis = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 6,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 110,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 45},
            {"modality": "IMAGE", "tokenCount": 30},
            {"modality": "AUDIO", "tokenCount": 25},
        ],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 25}, {"modality": "TEXT", "tokenCount": 15}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 6}],
    }
    assert ADAPTERS["google"].usage_of(geminis) == Usage(100, 40, 0, 0, 10, 4)


def test_dashscopes_cache_writes_are_read_by_its_own_name() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cache_creation_input_tokens": 60}}
    assert openai.usage_of(usage) == Usage(input_tokens=100, cache_write_tokens=60, output_tokens=1)
