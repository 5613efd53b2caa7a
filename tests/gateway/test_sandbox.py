"""The sandbox as its callers see it: a real process, real HTTP, the official SDK."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway import tokens
from gateway.sandbox import chat_request, replies, wire
from gateway.sandbox.refusals import Refusal

ROOT = Path(__file__).parents[2]
MODEL = "openai/gpt-4.1"
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


def eventually(holds: Callable[[], bool], within_seconds: float = 10) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz").status_code == 200
    return False


@contextlib.contextmanager
def running(pace: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A sandbox of its own on a free port: (its address, its process)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gateway.sandbox.server", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "TOKENHUB_SANDBOX_TOKENS_PER_SECOND": pace}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(url), within_seconds=30)
        yield url, process
    finally:
        process.terminate()
        process.wait(timeout=10)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running(pace="0") as (url, _):
        yield url


@pytest.fixture
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=10) as client:
        client.post("/stats/reset")
        yield client


@pytest.fixture
def sdk(server: str, http: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="anything", max_retries=0, timeout=10) as client:
        yield client


def body(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}


def post(http: httpx.Client, prompt: str, **more: Any) -> httpx.Response:
    return http.post("/v1/chat/completions", json=body(prompt, **more))


def text(http: httpx.Client, prompt: str, **more: Any) -> str:
    return post(http, prompt, **more).json()["choices"][0]["message"]["content"]


def frames(response: httpx.Response) -> list[Any]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line if (line := raw.removeprefix("data: ")) == "[DONE]" else json.loads(line) for raw in lines]


def contents(parsed: list[Any]) -> list[str]:
    deltas = [choice["delta"] for frame in parsed if frame != "[DONE]" for choice in frame.get("choices", [])]
    return [delta["content"] for delta in deltas if delta.get("content")]


def log(http: httpx.Client) -> dict[str, Any]:
    return http.get("/stats").json()["log"][-1]


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


@pytest.mark.parametrize(
    "directive",
    ["nonsense", "fail", "fail 200", "tokens many", "usage 1", "status 404", "hang 3", "stop why", "fail 429 x=1"],
)
def test_a_malformed_directive_is_refused_by_name(sdk: openai.OpenAI, directive: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(**body(f"Hello [[sandbox: {directive}]]"))
    assert refused.value.type == "invalid_request_error"
    assert repr(directive) in refused.value.message


def test_a_marker_that_is_not_closed_is_refused(http: httpx.Client) -> None:
    assert post(http, "[[sandbox: fail 500").status_code == 400


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
    assert wire.Envelope(request).completion(choices, replies.count_tokens(replies.pieces_of(choices)))


# ---------------------------------------------------------------- directives
@pytest.mark.parametrize(
    ("directive", "status"), [("fail 500", 500), ("fail 418", 418), ("429", 429), ("fail 503", 503)]
)
def test_fail_answers_with_the_status_before_any_output(http: httpx.Client, directive: str, status: int) -> None:
    for stream in (False, True):
        response = post(http, f"[[sandbox: {directive}]] Hello", stream=stream)
        assert response.status_code == status
        assert response.json()["error"]["message"]
    assert log(http)["status"] == status


def test_too_many_requests_says_when_to_come_back(sdk: openai.OpenAI) -> None:
    for directive, seconds in (("429", "1"), ("fail 429 retry-after=7", "7")):
        with pytest.raises(openai.RateLimitError) as refused:
            sdk.chat.completions.create(**body(f"[[sandbox: {directive}]]"))
        assert refused.value.response.headers["retry-after"] == seconds


@pytest.mark.parametrize("status", [401, 402, 403])
def test_status_refuses_the_callers_key(http: httpx.Client, status: int) -> None:
    response = post(http, f"[[sandbox: status {status}]]")
    assert response.status_code == status
    assert "sk-sandbox-pretended-vendor-key" in response.json()["error"]["message"]


def test_fail_after_cuts_the_connection(http: httpx.Client) -> None:
    received = ""
    prompt = "[[sandbox: fail-after 200]] Hello"
    with (
        http.stream("POST", "/v1/chat/completions", json=body(prompt, stream=True)) as stream,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        for part in stream.iter_text():
            received += part
    assert received.count('"content":') - 1 == 200  # the first names the role
    assert "[DONE]" not in received
    eventually(lambda: log(http)["completion_tokens"] == 200)
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, prompt)


def test_error_after_sends_an_error_event_instead_of_the_end(sdk: openai.OpenAI, http: httpx.Client) -> None:
    parsed = frames(post(http, "[[sandbox: error-after 3]]", stream=True))
    assert len(contents(parsed)) == 3
    assert parsed[-1]["error"]["type"] == "server_error"
    with (
        pytest.raises(openai.APIError),
        sdk.chat.completions.create(**body("[[sandbox: error-after 3]]"), stream=True) as s,
    ):
        list(s)
    assert post(http, "[[sandbox: error-after 3]]").status_code == 500


@pytest.mark.parametrize("stream", [False, True])
def test_hang_accepts_and_never_answers(http: httpx.Client, stream: bool) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body("[[sandbox: hang]]", stream=stream), timeout=0.3)
    eventually(lambda: http.get("/stats").json()["open"] == 0)
    assert log(http) | {"aborted": True, "status": None, "chunks_sent": 0} == log(http)


def test_hang_after_streams_and_falls_silent(http: httpx.Client) -> None:
    received = ""
    request = body("[[sandbox: hang-after 5]]", stream=True)
    with (
        http.stream("POST", "/v1/chat/completions", json=request, timeout=0.5) as stream,
        pytest.raises(httpx.ReadTimeout),
    ):
        for part in stream.iter_text():
            received += part
    assert received.count('"content":') - 1 == 5  # the first names the role
    eventually(lambda: log(http)["aborted"])
    assert log(http)["chunks_sent"] == 5


@pytest.mark.parametrize("wanted", [0, 1, 33, 5_000])
def test_tokens_sets_the_exact_length(http: httpx.Client, wanted: int) -> None:
    answer = post(http, f"Hello 😀 [[sandbox: tokens {wanted}]]").json()
    assert answer["usage"]["completion_tokens"] == wanted
    assert tokens.count(answer["choices"][0]["message"]["content"]) == wanted


def test_usage_is_reported_as_directed(http: httpx.Client) -> None:
    def reported(directive: str) -> tuple[Any, Any]:
        prompt = f"[[sandbox: usage {directive}]]"
        plain = post(http, prompt).json()
        last = frames(post(http, prompt, stream=True, stream_options={"include_usage": True}))[-2]
        return plain.get("usage", "absent"), last.get("usage", "absent")

    assert reported("none") == ("absent", "absent")
    assert reported("null") == (None, None)
    for usage in reported("-5,99000000000,cached=3,reasoning=4"):
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (-5, 99_000_000_000)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 3
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    assert log(http)["completion_tokens"] > 0  # the log keeps what was really sent


def test_no_done_and_stop_change_how_a_stream_ends(http: httpx.Client) -> None:
    *_, last = frames(post(http, "[[sandbox: no-done; stop content_filter]]", stream=True))
    assert last["choices"][0]["finish_reason"] == "content_filter"
    *_, last, done = frames(post(http, "[[sandbox: stop none]]", stream=True))
    assert (last["choices"][0]["finish_reason"], done) == (None, "[DONE]")


def test_html_wrong_model_and_big_line(http: httpx.Client) -> None:
    page = post(http, "[[sandbox: html]]", stream=True)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert post(http, "[[sandbox: wrong-model]]").json()["model"] != MODEL
    lines = post(http, "[[sandbox: big-line 300000]]", stream=True).text.splitlines()
    assert max(map(len, lines)) == 300_000
    assert len(post(http, "[[sandbox: big-line 300000]]").content) == 300_000


def test_directives_work_together_and_only_in_the_last_user_message(http: httpx.Client) -> None:
    answer = post(http, "[[sandbox: tokens 9; usage 1,2; wrong-model]] and [[ sandbox : delay-ms 1 ]]").json()
    assert answer["usage"]["total_tokens"] == 3
    assert tokens.count(answer["choices"][0]["message"]["content"]) == 9
    earlier = [{"role": "user", "content": "[[sandbox: fail 500]]"}, {"role": "user", "content": "Hello"}]
    assert post(http, "", messages=earlier).status_code == 200


# ---------------------------------------------------------------- pace and models of character
def test_pace_and_delay_slow_a_call_down(http: httpx.Client) -> None:
    began = time.monotonic()
    post(http, "[[sandbox: tokens 20; pace 100; delay-ms 100]]", stream=True)
    assert time.monotonic() - began >= 0.1 + 19 / 100


def test_the_pace_comes_from_the_environment_and_slow_is_ten_times_slower() -> None:
    with running(pace="1000") as (url, _), httpx.Client(base_url=url, timeout=30) as http:
        began = time.monotonic()
        post(http, "[[sandbox: tokens 60]]", model="slow", stream=True)
        assert time.monotonic() - began >= (12 + 59) / 100
        began = time.monotonic()
        post(http, "[[sandbox: tokens 60; pace 0]]", model="slow", stream=True)
        assert time.monotonic() - began < (12 + 59) / 100


def test_every_third_call_of_flaky_fails(http: httpx.Client) -> None:
    outcomes: list[Any] = []
    for _ in range(6):
        try:
            outcomes.append(post(http, "Hello", model="flaky", stream=True).status_code)
        except httpx.RemoteProtocolError:
            outcomes.append("cut")
    assert outcomes == [200, 200, 500, 200, 200, "cut"]
    assert log(http)["chunks_sent"] == 5


# ---------------------------------------------------------------- hang-ups, statistics, the process
@pytest.mark.parametrize("pace", [0, 200])
def test_a_hang_up_stops_production(http: httpx.Client, pace: int) -> None:
    request = body(f"[[sandbox: tokens 100000; pace {pace}]]", stream=True)
    with http.stream("POST", "/v1/chat/completions", json=request) as stream:
        next(stream.iter_lines())
    eventually(lambda: http.get("/stats").json()["open"] == 0)
    stats = http.get("/stats").json()
    assert (stats["aborted"], stats["log"][-1]["aborted"]) == (1, True)
    assert stats["chunks"] == stats["log"][-1]["chunks_sent"] < 100_000


def test_statistics_tell_what_reached_the_vendor(http: httpx.Client) -> None:
    post(http, "Hello", temperature=0.5)
    post(http, "x" * 2_001, stream=True)
    stats = http.get("/stats").json()
    assert (stats["requests"], stats["streams"], stats["open"], stats["aborted"]) == (2, 1, 0, 0)
    assert stats["last_request"] == body("(2001 characters)", stream=True)
    plain, streamed = stats["log"]
    assert (plain["model"], plain["stream"], plain["status"], plain["chunks_sent"]) == (MODEL, False, 200, 0)
    assert streamed["chunks_sent"] == streamed["completion_tokens"] == stats["chunks"] > 0
    assert plain["prompt_tokens"] == tokens.count("Hello") + 6
    assert http.post("/stats/reset").json()["log"] == []


def test_it_stops_quickly_and_quietly_also_with_calls_in_progress() -> None:
    with running(pace="0") as (url, process), httpx.Client(base_url=url, timeout=10) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            post(http, "[[sandbox: fail-after 1]]", stream=True)
        with http.stream("POST", "/v1/chat/completions", json=body("[[sandbox: hang-after 1]]", stream=True)):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)
            assert time.monotonic() - began < 3
        assert process.stderr is not None
        assert b"Traceback" not in (printed := process.stderr.read())
        assert b"without completing" not in printed


def test_a_nonsensical_pace_is_refused_at_the_start() -> None:
    command = [sys.executable, "-m", "gateway.sandbox.server", "--port", "1"]
    environment = {**os.environ, "TOKENHUB_SANDBOX_TOKENS_PER_SECOND": "fast"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "TOKENHUB_SANDBOX_TOKENS_PER_SECOND is 'fast'" in ended.stderr
