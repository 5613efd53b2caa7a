"""Each OpenAI-shaped vendor is asked in its own words; what it cannot do is refused, and what it ignores is named."""

from typing import Any

import orjson
import pytest

from gateway import parameters
from gateway.adapters import ADAPTERS
from gateway.catalogue import load_files
from gateway.errors import UnsupportedParameter
from gateway.parameters import EFFORTS, chat_request
from gateway.upstreams.registry import UPSTREAMS

type Json = dict[str, Any]

ADAPTER = ADAPTERS["openai"]
KIN = [name for name, row in UPSTREAMS.items() if row.dialect == "openai"]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASK: Json = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def sent(vendor: str, model: str = "their-model", **more: Any) -> tuple[Json, list[str]]:
    request = chat_request(ASK | more)
    before = orjson.dumps(request.body)
    checked = request.body
    ADAPTER.check(request, UPSTREAMS[vendor], model, {})
    assert orjson.dumps(checked) == before, "another vendor may be asked with the same body"
    return orjson.loads(ADAPTER.body(request, UPSTREAMS[vendor], model, {}, 77)), request.adjusted


def said(body: Json) -> Json:
    """What goes out beyond what every call says."""
    usual = {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "store",
        "reasoning_split",
    }
    return {name: value for name, value in body.items() if name not in usual}


OFF, ON = {"type": "disabled"}, {"type": "enabled"}


@pytest.mark.parametrize(
    ("vendor", "model", "effort", "words", "as_asked"),
    [
        ("openai", "gpt-5.4", "none", {"reasoning_effort": "none"}, True),
        ("openai", "gpt-5.4", "minimal", {"reasoning_effort": "low"}, False),
        ("openai", "gpt-5", "minimal", {"reasoning_effort": "minimal"}, True),
        ("openai", "gpt-6-astra", "none", {"reasoning_effort": "low"}, False),
        ("openai", "gpt-6.1-sol", "none", {"reasoning_effort": "low"}, False),
        ("openai", "gpt-6.1-terra", "none", {"reasoning_effort": "none"}, True),
        ("openai", "gpt-6-luna", "max", {"reasoning_effort": "max"}, True),
        ("xai", "grok-4.3", "none", {"reasoning_effort": "none"}, True),
        ("xai", "grok-4.3", "max", {"reasoning_effort": "high"}, False),
        ("xai", "grok-4.7", "high", {}, False),
        ("deepseek", "deepseek-flash", "none", {"thinking": OFF}, True),
        ("deepseek", "deepseek-flash", "minimal", {"thinking": ON, "reasoning_effort": "low"}, False),
        ("deepseek", "deepseek-flash", "low", {"thinking": ON, "reasoning_effort": "low"}, True),
        ("deepseek", "deepseek-v4-pro", "low", {"thinking": ON, "reasoning_effort": "low"}, False),
        ("deepseek", "deepseek-v4-pro", "medium", {"thinking": ON, "reasoning_effort": "high"}, False),
        ("deepseek", "deepseek-v4-pro", "high", {"thinking": ON, "reasoning_effort": "high"}, True),
        ("deepseek", "deepseek-v4-pro", "xhigh", {"thinking": ON, "reasoning_effort": "max"}, False),
        ("zhipu", "glm-5.3", "none", {"thinking": OFF}, True),
        ("zhipu", "glm-5.3", "high", {"thinking": ON, "reasoning_effort": "high"}, True),
        ("zhipu", "glm-5v-turbo", "high", {"thinking": ON}, False),
        ("dashscope", "qwen3.8-max", "none", {"enable_thinking": False}, True),
        ("dashscope", "qwen3.8-max", "low", {"enable_thinking": True, "thinking_budget": 1_024}, True),
        ("dashscope", "qwen3.8-max", "high", {"enable_thinking": True, "thinking_budget": 16_384}, True),
        ("minimax", "MiniMax-M2.7", "high", {}, False),
        ("minimax", "MiniMax-M2.7", "none", {}, False),
        ("mimo", "mimo-v2.6-pro", "none", {"thinking": OFF}, True),
        ("mimo", "mimo-v2.6-pro", "high", {"thinking": ON}, False),
        ("moonshot", "kimi-k2.6", "none", {"thinking": OFF}, True),
        ("moonshot", "kimi-k2.6", "low", {"thinking": ON}, False),
        ("moonshot", "kimi-k2.7-code", "none", {"thinking": ON}, False),
        ("ark", "deepseek-v3-2-251201", "none", {"thinking": OFF}, True),
        ("ark", "deepseek-v3-2-251201", "high", {"thinking": ON}, False),
    ],
)
def test_each_vendor_is_told_how_much_to_think_in_its_own_words(
    vendor: str, model: str, effort: str, words: Json, as_asked: bool
) -> None:
    body, adjusted = sent(vendor, model, reasoning_effort=effort)
    assert said(body) == words
    assert adjusted == ([] if as_asked else ["reasoning_effort"])


@pytest.mark.parametrize("vendor", KIN)
def test_every_effort_has_a_word_at_every_vendor_and_none_is_said_unasked(vendor: str) -> None:
    for effort in EFFORTS:
        assert sent(vendor, reasoning_effort=effort)[0]["messages"]
    assert said(sent(vendor)[0]) == {}


def test_deepseek_ignores_sampling_while_it_thinks_and_only_then() -> None:
    wishes: Json = {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": 1}
    body, adjusted = sent("deepseek", **wishes)
    assert said(body) == {} and adjusted == [*wishes]
    body, adjusted = sent("deepseek", **wishes, reasoning_effort="none")
    assert said(body) == wishes | {"thinking": OFF} and adjusted == []


def test_zhipu_samples_not_at_all_for_a_temperature_of_0() -> None:
    body, adjusted = sent("zhipu", temperature=0)
    assert said(body) == {"do_sample": False} and adjusted == []


@pytest.mark.parametrize(("stream", "said_too"), [(True, True), (False, False)])
def test_zhipu_streams_the_arguments_of_tools_where_asked_to(stream: bool, said_too: bool) -> None:
    assert ("tool_stream" in sent("zhipu", tools=[TOOL], stream=stream)[0]) is said_too
    assert "tool_stream" not in sent("zhipu", stream=stream)[0]
    assert "tool_stream" not in sent("deepseek", tools=[TOOL], stream=stream)[0]


def test_zhipu_chooses_its_tools_itself() -> None:
    assert said(sent("zhipu", tools=[TOOL], tool_choice="auto")[0]) == {"tools": [TOOL]}
    assert said(sent("zhipu", tools=[TOOL], tool_choice="none")[0]) == {}  # what is not offered is not called
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        with pytest.raises(UnsupportedParameter) as fault:
            sent("zhipu", tools=[TOOL], tool_choice=choice)
        assert fault.value.param == "tool_choice"


def test_zhipu_knows_end_users_by_another_name() -> None:
    assert said(sent("zhipu", user="u")[0]) == {"user_id": "u"}


@pytest.mark.parametrize(("vendor", "more", "param"), [("xai", {"stop": "x"}, "stop"), ("minimax", {"n": 2}, "n")])
def test_what_nothing_can_stand_in_for_is_refused_by_name(vendor: str, more: Json, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as fault:
        sent(vendor, **more)
    assert fault.value.param == param and f"`{param}`" in fault.value.message


def test_fields_that_a_vendor_refuses_are_taken_out_of_tools_and_messages_and_named() -> None:
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    named = [{"role": "user", "content": "Hi", "name": "Ada"}]
    body, adjusted = sent("xai", tools=[strict, TOOL], messages=named)
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}, TOOL]
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert adjusted == ["tools.strict", "messages.name"]
    body, adjusted = sent("deepseek", tools=[strict], messages=named)
    assert "strict" not in body["tools"][0]["function"] and body["messages"] == named
    assert adjusted == ["tools.strict"]
    assert sent("openai", tools=[strict], messages=named)[1] == []


@pytest.mark.parametrize("vendor", KIN)
def test_hints_to_openais_machinery_go_to_openai_alone(vendor: str) -> None:
    body, adjusted = sent(vendor, prompt_cache_key="k", safety_identifier="s", verbosity="low")
    expected = {"prompt_cache_key", "safety_identifier", "verbosity"} if vendor == "openai" else set()
    assert said(body).keys() == expected
    assert adjusted == ([] if vendor == "openai" else ["verbosity"])


def test_openai_is_told_not_to_store_whatever_the_caller_wishes() -> None:
    assert sent("openai", store=True)[0]["store"] is False
    for vendor in KIN:
        assert sent(vendor, store=True)[0].get("store") is not True


@pytest.mark.parametrize("vendor", KIN)
def test_every_stream_is_asked_for_its_usage(vendor: str) -> None:
    body, _ = sent(vendor, stream=True, stream_options={"include_usage": False})
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(vendor)[0]


@pytest.mark.parametrize(
    ("vendor", "wants"), [("deepseek", True), ("moonshot", True), ("mimo", True), ("openai", False)]
)
def test_calls_whose_thoughts_the_client_lost_can_still_be_answered(vendor: str, wants: bool) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
        {"role": "user", "content": "Sure?"},
    ]
    messages = sent(vendor, messages=turns)[0]["messages"]
    assert bool(messages[1].get("reasoning_content")) is wants
    assert "reasoning_content" not in messages[3]


def test_minimax_gets_its_own_thoughts_back_and_nobody_elses() -> None:
    own = {
        "type": "reasoning.text",
        "id": "reasoning-text-1",
        "format": "MiniMax-response-v1",
        "index": 0,
        "text": "Hm.",
    }
    signed = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 1}
    sealed = {"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 2}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "reasoning_details": [own, signed, sealed]},
        {"role": "user", "content": "On"},
    ]
    assert sent("minimax", messages=turns)[0]["messages"][1]["reasoning_details"] == [own]
    for vendor in {*KIN} - {"minimax"}:
        assert "reasoning_details" not in sent(vendor, messages=turns)[0]["messages"][1]


# ---------------------------------------------------------------- by the catalogue

MODELS = {entry.slug: entry.columns for entry in load_files().models if entry.columns["kind"] == "chat"}


def fitted(slug: str, **more: Any) -> parameters.ChatRequest:
    request = chat_request(ASK | more)
    columns = MODELS[slug]
    parameters.fit(request, columns["supports"], tuple(columns["input_modalities"]))
    return request


@pytest.mark.parametrize("slug", [slug for slug, columns in MODELS.items() if not columns["supports"]["json_schema"]])
def test_answer_schemas_are_refused_where_the_model_has_none(slug: str) -> None:
    with pytest.raises(UnsupportedParameter) as fault:
        fitted(slug, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}})
    assert fault.value.param == "response_format"


def test_deepseeks_own_models_have_no_answer_schemas() -> None:
    theirs = [columns for slug, columns in MODELS.items() if slug.startswith("deepseek/")]
    assert theirs and not any(columns["supports"]["json_schema"] for columns in theirs)


@pytest.mark.parametrize(
    "slug", [slug for slug, columns in MODELS.items() if not columns["supports"]["forced_tool_choice"]]
)
def test_a_tool_is_not_forced_where_the_model_decides(slug: str) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        with pytest.raises(UnsupportedParameter) as fault:
            fitted(slug, tools=[TOOL], tool_choice=choice)
        assert fault.value.param == "tool_choice"
    for choice in ("auto", "none"):
        assert fitted(slug, tools=[TOOL], tool_choice=choice).body["tool_choice"] == choice


def test_moonshots_models_decide_themselves() -> None:
    theirs = [columns for slug, columns in MODELS.items() if slug.startswith("moonshotai/")]
    assert theirs and not any(columns["supports"]["forced_tool_choice"] for columns in theirs)
