"""The sandbox on OpenAI's wire, as its callers see it: a real process, real HTTP, the official SDK."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway import tokens
from gateway.sandbox import chat_request, replies
from gateway.sandbox.openai_wire import OpenAiWire
from gateway.sandbox.refusals import Refusal
from tests import servers
from tests.gateway.sandbox_calls import MODEL, body, client, contents, frames, post, text

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
SCHEMA_WORDS = (
    "$ref", "allOf", "anyOf", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "function", "items",
    "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "multipleOf", "name", "oneOf", "parameters",
    "properties", "required", "text", "type",
)  # fmt: skip
PARAMETERS = (
    "messages",
    "model",
    "n",
    "seed",
    "stop",
    "max_tokens",
    "tool_choice",
    "tools",
    "response_format",
    "stream",
)
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def http(sandbox: servers.Server) -> Iterator[httpx.Client]:
    with client(sandbox.url) as http:
        yield http


@pytest.fixture
def sdk(http: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{http.base_url}/v1", api_key="anything", max_retries=0, timeout=10) as client:
        yield client


# ---------------------------------------------------------------- plain answers
def test_a_plain_answer_has_every_member_of_openais(http: httpx.Client) -> None:
    response = post(http, "What is the capital of France?")
    answer = response.json()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    assert (answer["object"], answer["model"], answer["service_tier"]) == ("chat.completion", MODEL, "default")
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert "capital of France" in choice["message"]["content"]
    produced = tokens.count(choice["message"]["content"])
    assert 20 <= produced <= 120
    assert answer["usage"] == {
        "prompt_tokens": tokens.count("What is the capital of France?") + 4 + 2,
        "completion_tokens": produced,
        "total_tokens": tokens.count("What is the capital of France?") + 4 + 2 + produced,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def test_the_same_call_gets_the_same_text_and_another_seed_another(http: httpx.Client) -> None:
    prompt = "Explain rivers to a child."
    assert text(http, prompt, seed=1) == text(http, prompt, seed=1)
    assert len({text(http, prompt, seed=seed) for seed in range(5)}) > 1
    assert text(http, prompt) != text(http, "Explain lakes to a child.")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Hello!", "Hello! You are talking to the built-in sandbox"),
        ("Say this is a test", "this is a test."),
        ("What is 12 * 4?", "12 * 4 = 48."),
        ("Write a Python function that sorts", "```python\ndef "),
        ("Rivers are long.", "Rivers are long."),
    ],
)
def test_an_answer_fits_its_prompt(http: httpx.Client, prompt: str, said: str) -> None:
    assert said in text(http, prompt)


def test_the_echo_model_says_the_last_user_message_without_the_marker(http: httpx.Client) -> None:
    assert text(http, "déjà vu 😀 [[sandbox: delay-ms 0]]", model="sandbox/echo") == "déjà vu 😀"


def test_output_stops_at_max_tokens_and_at_stop_and_comes_n_times(http: httpx.Client) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = post(http, "Tell me about rivers", **{name: 7}).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == tokens.count(answer["choices"][0]["message"]["content"]) == 7
    stopped = post(http, "one two three four", model="echo", stop=[" three", "four"]).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("one two", "stop")
    several = post(http, "Tell me about rivers", n=3).json()
    said = [choice["message"]["content"] for choice in several["choices"]]
    assert [choice["index"] for choice in several["choices"]] == [0, 1, 2]
    assert len(set(said)) > 1
    assert several["usage"]["completion_tokens"] == sum(map(tokens.count, said))


def test_structured_output_fits_its_schema(sdk: openai.OpenAI, http: httpx.Client) -> None:
    class Stop(BaseModel):
        place: str
        nights: int
        budget: float | None
        by_train: bool

    class Trip(BaseModel):
        city: str
        season: Literal["winter", "summer"]
        stops: list[Stop]

    prompt = "Plan a summer trip of 3 nights to New York, please"
    trip = sdk.chat.completions.parse(**body(prompt), response_format=Trip).choices[0].message.parsed
    assert trip is not None
    assert (trip.city, trip.season, trip.stops[0].nights) == ("New York", "summer", 3)
    assert json.loads(text(http, prompt, response_format={"type": "json_object"}))["sandbox"] is True


def test_a_schema_without_an_end_is_answered_all_the_same(http: httpx.Client) -> None:
    node = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]}
    for schema in (node, {"$ref": "#"}, {"minimum": 1e30, "type": "integer"}, {"type": "array", "minItems": "x"}):
        wanted = {"type": "json_schema", "json_schema": {"name": "endless", "schema": schema}}
        json.loads(text(http, "go", response_format=wanted))


# ---------------------------------------------------------------- streams
def test_a_stream_sends_one_chunk_for_each_token(http: httpx.Client) -> None:
    prompt = "Tell me about rivers"
    response = post(http, prompt, stream=True)
    first, *middle, last, done = frames(response)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"], done) == ({}, "stop", "[DONE]")
    assert {frame["object"] for frame in [first, *middle, last]} == {"chat.completion.chunk"}
    assert len({(frame["id"], frame["created"], frame["model"]) for frame in [first, *middle, last]}) == 1
    assert not any("usage" in frame for frame in [first, *middle, last])
    said = "".join(contents(middle))
    assert said == text(http, prompt)
    assert len(middle) == tokens.count(said)


def test_usage_comes_last_and_only_when_asked_for(http: httpx.Client) -> None:
    *earlier, usage, done = frames(post(http, "Hello", stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert all(frame["usage"] is None for frame in earlier)
    assert usage["choices"] == []
    assert usage["usage"] == post(http, "Hello").json()["usage"]


def test_the_sdk_reads_several_choices_from_one_stream(sdk: openai.OpenAI, http: httpx.Client) -> None:
    said = ["", ""]
    with sdk.chat.completions.create(**body("Tell me about rivers", n=2), stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""
    plain = post(http, "Tell me about rivers", n=2).json()
    assert said == [choice["message"]["content"] for choice in plain["choices"]]


# ---------------------------------------------------------------- tools
def test_a_tool_is_called_and_its_result_is_told(sdk: openai.OpenAI) -> None:
    request = body("What's the weather in New York, in celsius?", tools=[WEATHER, TIME])
    choice = sdk.chat.completions.create(**request).choices[0]
    (call,) = choice.message.tool_calls or []
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "New York", "unit": "celsius"}

    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21, "sky": "clear"}'}
    request["messages"] += [choice.message.model_dump(exclude_none=True), result]
    for tool_choice in ("auto", "required"):
        final = sdk.chat.completions.create(**request, tool_choice=tool_choice).choices[0]
        assert final.finish_reason == "stop"
        assert "get_weather says: temperature: 21, sky: clear." in (final.message.content or "")


def test_two_tools_that_are_asked_for_are_called_in_parallel(http: httpx.Client) -> None:
    def called(**more: Any) -> list[str]:
        message = post(http, "The weather and the time in Oslo?", tools=[WEATHER, TIME], **more).json()["choices"][0]
        return [call["function"]["name"] for call in message["message"].get("tool_calls", [])]

    assert called() == ["get_weather", "get_time"]
    assert called(parallel_tool_calls=False) == ["get_weather"]
    assert called(tool_choice={"type": "function", "function": {"name": "get_time"}}) == ["get_time"]
    assert called(tool_choice="none") == []


def test_tools_that_nobody_asked_for_are_called_only_when_required(http: httpx.Client) -> None:
    assert text(http, "Good morning!", tools=[WEATHER])
    choice = post(http, "Good morning!", tools=[WEATHER], tool_choice="required").json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"


def test_streamed_tool_calls_follow_openais_chunks(http: httpx.Client) -> None:
    prompt = "The weather and the time in Oslo?"
    usage = {"include_usage": True}
    parsed = frames(post(http, prompt, tools=[WEATHER, TIME], stream=True, stream_options=usage))
    deltas = [frame["choices"][0]["delta"] for frame in parsed[:-2]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    starts = [call for call in calls if "id" in call]
    assert [(call["index"], call["type"], call["function"]["name"]) for call in starts] == [
        (0, "function", "get_weather"),
        (1, "function", "get_time"),
    ]
    assert all(set(call) == {"index", "function"} for call in calls if call not in starts)
    arguments = ["".join(call["function"]["arguments"] for call in calls if call["index"] == i) for i in (0, 1)]
    assert [json.loads(text)["city"] for text in arguments] == ["Oslo", "Oslo"]
    assert parsed[-3]["choices"][0]["finish_reason"] == "tool_calls"
    counted = sum(map(tokens.count, ["get_weather", "get_time", *arguments]))
    assert parsed[-2]["usage"]["completion_tokens"] == counted
    limited = post(http, prompt, tools=[WEATHER, TIME], max_tokens=4).json()
    assert (limited["choices"][0]["finish_reason"], limited["usage"]["completion_tokens"]) == ("length", 4)


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody"}]}, "messages[0].role"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 129}, "n"),
        ({"stop": 7}, "stop"),
    ],
)
def test_an_invalid_request_is_refused_with_its_parameter(http: httpx.Client, change: Any, param: str) -> None:
    response = post(http, "Hello", **change)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_what_is_not_there_is_refused_in_openais_shape(http: httpx.Client) -> None:
    for response, status in (
        (http.get("/v1/nothing"), 404),
        (http.get("/v1/chat/completions"), 405),
        (http.post("/v1/chat/completions", content=b"{"), 400),
        (http.post("/v1/chat/completions", content=b"[]"), 400),
    ):
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert {model["id"] for model in http.get("/v1/models").json()["data"]} >= {"echo", "slow", "flaky"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SCHEMA_WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(schema=JSON, tools=JSON, more=st.dictionaries(st.sampled_from(PARAMETERS), JSON))
def test_no_body_is_too_strange_to_be_answered_or_refused(schema: Any, tools: Any, more: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    function = {"type": "function", "function": {"name": "do", "description": schema, "parameters": schema}}
    strange = {"response_format": wanted, "tools": [function, tools], "tool_choice": "auto", **more}
    try:
        request = chat_request.read(body("do it with 3 rivers", **strange))
    except Refusal as refusal:
        assert refusal.status == 400
        return
    choices = replies.choices_for(request)
    assert OpenAiWire().envelope(request).completion(choices, replies.measure(replies.pieces_of(choices)))
