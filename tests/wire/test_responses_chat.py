"""OpenAI's Responses API over chat completions, as the official SDK speaks, reads and validates it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from billing.meters import Usage
from gateway.dialects import responses_chat
from gateway.dialects.faults import Invalid, Unknown, Unsupported
from gateway.dialects.responses_reasoning import pack_reasoning, unpack_reasoning
from gateway.parameters import chat_request
from gateway.sse import Framer, data_of

type Json = dict[str, Any]

MODEL = "openai/gpt-4.1"
ANSWER = {"response_id": "resp_abc", "model": MODEL, "created": 1_700_000_000}
USAGE = Usage(input_tokens=30, cached_input_tokens=10, cache_write_tokens=5, output_tokens=7, reasoning_tokens=3)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather now",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SIGNED = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}]


def translated(**fields: Any) -> Json:
    return responses_chat.request({"model": MODEL, "input": "hi", **fields})


def messages(*items: Any) -> list[Json]:
    return translated(input=list(items))["messages"]


def chunk(finish_reason: str | None = None, **delta: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def call_delta(index: int, arguments: str, **head: str) -> Json:
    function = {"arguments": arguments} | ({"name": head["name"]} if head else {})
    return {"index": index, "function": function} | ({"id": head["id"], "type": "function"} if head else {})


def plain(message: Json, finish_reason: str = "stop", **asked: Any) -> Json:
    request = {"model": MODEL, "input": "hi", **asked}
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}]
    return responses_chat.complete(choices, usage=USAGE, request=request, **ANSWER)


def streamed(*chunks: Json, **asked: Any) -> list[Json]:
    """The events of a whole stream, each one valid, rightly named and rightly numbered."""
    events = responses_chat.Events(request={"model": MODEL, "input": "hi", "stream": True, **asked}, **ANSWER)
    return read(events.start() + b"".join(map(events.feed, chunks)) + events.finish(USAGE, b"0.000123"))


def read(stream: bytes) -> list[Json]:
    framer = Framer()
    payloads = []
    for number, event in enumerate(framer.feed(stream)):
        payload = orjson.loads(data_of(event))
        assert event.startswith(b"event: %b\ndata: " % payload["type"].encode())
        assert payload["sequence_number"] == number
        assert EVENT.validate_python(payload).type == payload["type"]
        payloads.append(payload)
    assert framer.rest == b""
    return payloads


def names(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# ---------------------------------------------------------------- the official SDK at the other end


@dataclass
class Gateway:
    """What the SDK said last, and what it shall hear."""

    base_url: str = ""
    asked: Json = field(default_factory=dict)
    chat: Json = field(default_factory=dict)
    chunks: list[Json] = field(default_factory=list)
    message: Json = field(default_factory=dict)
    failure: tuple[str, str, str] | None = None

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=self.base_url, api_key="th-test", max_retries=0)

    def answer(self, body: bytes) -> tuple[str, bytes]:
        self.asked = orjson.loads(body)
        self.chat = responses_chat.request(self.asked)
        if not self.chat.get("stream"):
            choices = [{"index": 0, "message": self.message, "finish_reason": "stop"}]
            answer = responses_chat.complete(choices, usage=USAGE, request=self.asked, **ANSWER)
            return "application/json", orjson.dumps(answer)
        events = responses_chat.Events(request=self.asked, **ANSWER)
        stream = events.start() + b"".join(map(events.feed, self.chunks))
        stream += events.error(*self.failure) if self.failure else events.finish(USAGE, b"0.000123")
        return "text/event-stream", stream


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kind, answer = gateway.answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    gateway.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    yield gateway
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_sdk_reads_a_stream_to_its_completed_response(gateway: Gateway) -> None:
    gateway.chunks = [chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk("stop")]
    with gateway.client.responses.create(model=MODEL, input="hi", stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello"
    assert events[-1].response.usage.total_tokens == 30 + 7


def test_the_sdks_stream_helper_runs_a_tool_through_two_turns(gateway: Gateway) -> None:
    client = gateway.client
    question = {"role": "user", "content": "Weather in Oslo and Rome?"}
    gateway.chunks = [
        chunk(reasoning_content="Hm."),
        chunk(reasoning_details=SIGNED),
        chunk(content="I shall look."),
        chunk(
            tool_calls=[call_delta(0, "", id="call_1", name="weather"), call_delta(1, "", id="call_2", name="weather")]
        ),
        chunk(tool_calls=[call_delta(1, '{"city":"Rome"}')]),
        chunk(tool_calls=[call_delta(0, '{"city":'), call_delta(0, '"Oslo"}')]),
        chunk("tool_calls"),
    ]
    with client.responses.stream(model=MODEL, input=[question], tools=[WEATHER]) as stream:
        first = stream.get_final_response()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [
        ("call_1", '{"city":"Oslo"}'),
        ("call_2", '{"city":"Rome"}'),
    ]

    gateway.message = {"role": "assistant", "content": "Cold and warm."}
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "5 °C"} for call in calls]
    second = client.responses.create(model=MODEL, input=[question, *first.output, *results], tools=[WEATHER])
    assert second.output_text == "Cold and warm."
    function = {key: value for key, value in WEATHER.items() if key != "type"}
    assert gateway.chat["tools"] == [{"type": "function", "function": function}]
    assert gateway.chat["messages"] == [
        question,
        {
            "role": "assistant",
            "content": "I shall look.",
            "reasoning_content": "Hm.",
            "reasoning_details": SIGNED,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "5 °C"},
        {"role": "tool", "tool_call_id": "call_2", "content": "5 °C"},
    ]
    assert chat_request(gateway.chat).model == MODEL


def test_the_sdk_parses_an_answer_of_a_wanted_shape(gateway: Gateway) -> None:
    class City(BaseModel):
        name: str

    gateway.message = {"role": "assistant", "content": '{"name":"Oslo"}'}
    answer = gateway.client.responses.parse(model=MODEL, input="A city?", text_format=City)
    assert answer.output_parsed == City(name="Oslo")
    wanted = gateway.chat["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "City"
    assert wanted["json_schema"]["strict"] is True
    assert wanted["json_schema"]["schema"]["properties"]["name"]["type"] == "string"
    assert chat_request(gateway.chat).body["response_format"] == wanted


@pytest.mark.parametrize("chunks", [[], [chunk(content="Hel")]], ids=["before output", "amid output"])
def test_the_sdk_never_takes_a_failure_for_an_answer(gateway: Gateway, chunks: list[Json]) -> None:
    gateway.chunks = chunks
    gateway.failure = ("upstream_error", "The vendor failed.", "gen-1")
    seen = []
    with (
        pytest.raises(APIError, match="The vendor failed") as raised,
        gateway.client.responses.create(model=MODEL, input="hi", stream=True) as stream,
    ):
        seen += stream  # += keeps what came before the raise
    assert [event.type for event in seen if event.type.endswith(("completed", "failed", "error"))] == [
        "response.failed"
    ]
    assert seen[-1].response.error.message == "The vendor failed."
    assert raised.value.code == "upstream_error"
    assert raised.value.body["request_id"] == "gen-1"

    with pytest.raises(APIError), gateway.client.responses.stream(model=MODEL, input="hi") as helper:
        helper.get_final_response()


# ---------------------------------------------------------------- request


def test_a_text_is_a_users_message_after_the_instructions() -> None:
    assert translated(instructions="Be brief.") == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    }


def test_every_accepted_field_reaches_chat_in_chats_words_and_passes_its_check() -> None:
    chat = translated(
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=3,
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        reasoning={"effort": "high", "summary": "auto", "context": None},
        stream=True,
        stream_options={"include_obfuscation": False},
        store=True,
        background=False,
        truncation="disabled",
        metadata={"a": "b"},
        client_metadata={"installation": "x"},
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        previous_response_id=None,
    )
    function = {key: value for key, value in WEATHER.items() if key != "type"}
    assert chat == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "logprobs": True,
        "top_logprobs": 3,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "verbosity": "low",
        "reasoning_effort": "high",
        "stream": True,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }
    checked = chat_request(chat)
    assert (checked.max_tokens, checked.stream) == (100, True)


def test_text_images_and_files_become_chats_parts() -> None:
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low", "file_id": None},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
    ]
    (message,) = messages({"type": "message", "role": "user", "content": parts, "id": "msg_1", "status": "completed"})
    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_a_tools_result_may_hold_an_image() -> None:
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    (message,) = messages({"type": "function_call_output", "call_id": "c", "output": [image]})
    assert message["content"] == [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def test_what_the_assistant_said_around_its_calls_is_one_message() -> None:
    said = [{"role": "assistant", "content": [{"type": "output_text", "text": t, "annotations": []}]} for t in "ab"]
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "5 °C"}
    (turn, _, after) = messages(said[0], call, said[1], result, said[0])
    assert turn["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert [c["id"] for c in turn["tool_calls"]] == ["c"]
    assert after == {"role": "assistant", "content": "a"}


def test_a_refusal_can_be_echoed() -> None:
    (turn,) = messages({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]})
    assert turn["content"] == [{"type": "refusal", "refusal": "No."}]


def test_reasoning_that_led_to_nothing_is_left_out() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert messages(reasoning, {"role": "user", "content": "hi"}) == [{"role": "user", "content": "hi"}]


def test_what_others_sealed_is_passed_on_as_it_is() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    (turn,) = messages(reasoning, {"role": "assistant", "content": "a"})
    assert turn["reasoning_details"] == [{"type": "reasoning.encrypted", "data": "gAAA", "index": 0}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"background_options": {}}, "background_options"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"access_programs": {"cyber": "standard"}}, "access_programs"),
        ({"image": {"context_compression": "auto"}}, "image"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"context": "current_turn"}}, "reasoning.context"),
        *[
            ({"tools": [WEATHER, {"type": kind}]}, "tools[1].type")
            for kind in (
                "web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation",
                "computer_use_preview", "computer", "mcp", "custom", "local_shell", "shell", "apply_patch", "namespace",
            )
        ],
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0].content[0].file_id"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0].file_id"),
    ],
)  # fmt: skip
def test_what_is_stored_or_priced_apart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Unsupported) as refused:
        translated(**fields)
    assert refused.value.param == param
    assert param.rpartition("[")[0] in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "reasoning", "summary": [{"type": "text"}]}]}, "input[0].summary[0].type"),
        ({"instructions": ["x"]}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": "1"}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_obfuscation": False}}, "stream_options"),
        ({"store": "no"}, "store"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"truncation": "middle"}, "truncation"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "name": ""}]}, "tools[0].name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"user": "u" * 513}, "user"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Invalid) as refused:
        translated(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"text": {"style": "x"}}, "text.style"),
        ({"stream": True, "stream_options": {"include_usage": True}}, "stream_options.include_usage"),
        ({"tools": [WEATHER | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"input": [{"role": "user", "content": "x", "name": "y"}]}, "input[0].name"),
    ],
)
def test_what_the_api_does_not_know_is_refused_as_unknown(fields: Json, param: str) -> None:
    with pytest.raises(Unknown) as refused:
        translated(**fields)
    assert refused.value.param == param


WORDS = st.sampled_from(
    ["message", "function_call", "function_call_output", "reasoning", "function", "input_text", "output_text", "input_image",
     "input_file", "refusal", "user", "assistant", "system", "json_schema", "json_object", "auto", "x", "summary_text"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["type", "role", "content", "text", "call_id", "output", "name", "arguments", "summary", "encrypted_content",
     "image_url", "file_data", "format", "schema", "effort", "parameters", "strict", "refusal", "id", "y"]
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
FIELD_NAMES = st.sampled_from([*responses_chat._FIELDS, *responses_chat.REFUSED, "instructions", "unheard"])


@settings(deadline=None)
@given(JUNK | st.fixed_dictionaries({"model": st.just(MODEL), "input": JUNK}))
def test_junk_for_a_body_is_a_fault_and_nothing_worse(body: Any) -> None:
    try:
        responses_chat.request(body)
    except (Invalid, Unsupported) as fault:
        assert fault.message


@settings(deadline=None)
@given(FIELD_NAMES, JUNK)
def test_junk_for_a_field_is_a_fault_and_nothing_worse(name: str, value: Any) -> None:
    try:
        chat = translated(**{name: value})
    except (Invalid, Unsupported) as fault:
        assert fault.message
    else:
        assert chat["model"] == MODEL


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda b: b.hex()) | JUNK.map(repr))
def test_sealed_reasoning_of_any_kind_can_be_opened(sealed: str) -> None:
    assert unpack_reasoning(sealed)[0]["type"] in ("reasoning.text", "reasoning.encrypted")


# ---------------------------------------------------------------- plain answers


def test_a_plain_answer_is_a_response_that_echoes_what_was_asked() -> None:
    answer = plain(
        {"content": "Hello"},
        instructions="Be brief.",
        tools=[{"type": "function", "name": "f"}],
        tool_choice={"type": "function", "name": "f"},
        text={"format": {"type": "json_object"}, "verbosity": None},
        temperature=0.5,
        metadata={"a": "b"},
        store=True,
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
    )
    response = Response.model_validate(answer)
    assert (response.id, response.model, response.created_at) == ("resp_abc", MODEL, 1_700_000_000)
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
    assert response.output_text == "Hello"
    assert answer["output"][0] == {
        "type": "message",
        "id": "msg_abc_0",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
    }
    assert (response.instructions, response.temperature, response.metadata) == ("Be brief.", 0.5, {"a": "b"})
    assert response.tools[0].type == "function"
    assert answer["tool_choice"] == {"type": "function", "name": "f"}
    assert answer["text"] == {"format": {"type": "json_object"}}
    assert answer["reasoning"]["effort"] == "low"
    assert (answer["store"], answer["parallel_tool_calls"]) == (False, False)


def test_what_was_not_asked_is_answered_with_openais_defaults() -> None:
    answer = plain({"content": "Hello"})
    assert (answer["tools"], answer["tool_choice"], answer["text"]) == ([], "auto", {"format": {"type": "text"}})
    assert (answer["parallel_tool_calls"], answer["truncation"], answer["metadata"]) == (True, "disabled", {})


def test_usage_is_counted_in_the_apis_words() -> None:
    assert plain({"content": "Hello"})["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 30 + 7,
    }


@pytest.mark.parametrize(
    ("finish_reason", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_cut_short_says_why_and_where(finish_reason: str, reason: str) -> None:
    function = {"name": "f", "arguments": '{"a'}
    calls = [{"id": id_, "type": "function", "function": function} for id_ in ("c0", "c1")]
    answer = plain({"content": "Hel", "tool_calls": calls}, finish_reason)
    response = Response.model_validate(answer)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == reason
    assert [item["status"] for item in answer["output"]] == ["completed", "completed", "incomplete"]


def test_parallel_calls_are_items_of_their_own() -> None:
    calls = [{"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": f"[{i}]"}} for i in range(2)]
    answer = plain({"content": None, "tool_calls": calls}, "tool_calls")
    assert Response.model_validate(answer).status == "completed"
    assert [(i["type"], i["call_id"], i["arguments"]) for i in answer["output"]] == [
        ("function_call", "c0", "[0]"),
        ("function_call", "c1", "[1]"),
    ]


def test_reasoning_is_text_unless_summaries_were_asked_for() -> None:
    (item, _) = plain({"reasoning_content": "Hm.", "content": "Hello"})["output"]
    assert (item["summary"], item["content"]) == ([], [{"type": "reasoning_text", "text": "Hm."}])
    (item, _) = plain({"reasoning_content": "Hm.", "content": "Hello"}, reasoning={"summary": "auto"})["output"]
    assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert "content" not in item


@pytest.mark.parametrize(
    "details",
    [SIGNED, [*SIGNED, {"type": "reasoning.encrypted", "data": "c2VjcmV0", "index": 1}]],
    ids=["signed", "signed and sealed"],
)
def test_signed_reasoning_comes_back_as_it_left(details: list[Json]) -> None:
    answer = plain({"reasoning_content": "Hm.", "reasoning_details": details, "content": "Hello"})
    Response.model_validate(answer)
    (turn,) = messages(*answer["output"])
    assert turn == {
        "role": "assistant",
        "content": "Hello",
        "reasoning_content": "Hm.",
        "reasoning_details": details,
    }


def test_reasoning_told_only_in_details_is_read_out_of_them() -> None:
    (item, _) = plain({"reasoning_details": SIGNED, "content": "Hello"})["output"]
    assert item["content"] == [{"type": "reasoning_text", "text": "Hm."}]


def test_unsigned_reasoning_is_not_sealed() -> None:
    assert pack_reasoning([{"type": "reasoning.text", "text": "Hm.", "index": 0}]) is None


def test_log_probabilities_are_told_with_their_bytes() -> None:
    token = {
        "token": "Hi",
        "logprob": -0.1,
        "bytes": None,
        "top_logprobs": [{"token": "Yo", "logprob": -2.0, "bytes": [89]}],
    }
    choices = [{"message": {"content": "Hi"}, "logprobs": {"content": [token]}, "finish_reason": "stop"}]
    answer = responses_chat.complete(choices, usage=USAGE, request={"top_logprobs": 1}, **ANSWER)
    Response.model_validate(answer)
    assert answer["output"][0]["content"][0]["logprobs"] == [
        {
            "token": "Hi",
            "logprob": -0.1,
            "bytes": [],
            "top_logprobs": [{"token": "Yo", "logprob": -2.0, "bytes": [89]}],
        }
    ]


# ---------------------------------------------------------------- streams


def test_a_streamed_text_is_told_in_the_apis_order() -> None:
    events = streamed(chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk("stop"))
    assert names(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert events[6]["text"] == "Hello"
    assert events[-1]["response"]["usage"]["cost"] == 0.000123


def test_reasoning_then_text_then_interleaved_calls_are_told_item_by_item() -> None:
    events = streamed(
        chunk(reasoning_content="Hm."),
        chunk(content="Hello"),
        chunk(tool_calls=[call_delta(0, "", id="c0", name="f"), call_delta(1, "", id="c1", name="f")]),
        chunk(tool_calls=[call_delta(1, "[1]")]),
        chunk(tool_calls=[call_delta(0, "[0]")]),
        chunk("tool_calls"),
    )
    text = ["content_part.added", "{}.delta", "{}.done", "content_part.done", "output_item.done"]
    call_done = ["function_call_arguments.done", "output_item.done"]
    assert names(events) == [
        "created", "in_progress",
        "output_item.added", *[name.format("reasoning_text") for name in text],
        "output_item.added", *[name.format("output_text") for name in text],
        "output_item.added", "output_item.added",
        "function_call_arguments.delta", "function_call_arguments.delta", *call_done, *call_done, "completed",
    ]  # fmt: skip
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]
    assert [item["arguments"] for item in done[2:]] == ["[0]", "[1]"]
    assert len({item["id"] for item in done}) == 4


def test_summaries_are_told_with_events_of_their_own() -> None:
    events = streamed(chunk(reasoning_content="Hm."), chunk("stop"), reasoning={"summary": "auto"})
    assert names(events)[2:-1] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.done", "output_item.done",
    ]  # fmt: skip


def test_a_refusal_is_told_with_events_of_its_own() -> None:
    events = streamed(chunk(refusal="No"), chunk(refusal="."), chunk("stop"))
    assert names(events)[3:-2] == [
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
    ]


@pytest.mark.parametrize("finish_reason", ["stop", "length", "content_filter"])
def test_a_stream_ends_with_what_a_plain_answer_would_have_been(finish_reason: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"reasoning_content": "Hm.", "reasoning_details": SIGNED, "content": "Hello", "tool_calls": [call]}
    last = streamed(
        chunk(reasoning_content="H", reasoning_details=[{"type": "reasoning.text", "text": "H", "index": 0}]),
        chunk(reasoning_content="m.", reasoning_details=[{"type": "reasoning.text", "text": "m.", "index": 0}]),
        chunk(reasoning_details=[{"type": "reasoning.text", "signature": "c2ln", "index": 0}]),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk(tool_calls=[call_delta(0, "{", id="c", name="f")]),
        chunk(tool_calls=[call_delta(0, "}")]),
        chunk(finish_reason),
    )[-1]
    answer = plain(message, finish_reason)
    answer["usage"]["cost"] = 0.000123
    assert last["response"] == answer
    assert last["type"] == f"response.{answer['status']}"


def test_why_we_ended_an_answer_is_told_with_it() -> None:
    limit = {"limit": {"source": "balance"}}
    last = streamed(chunk(content="Hel"), chunk("length") | {"tokenhub": limit})[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["tokenhub"] == limit


def test_an_opening_that_says_nothing_is_no_output_yet() -> None:
    events = responses_chat.Events(request={}, **ANSWER)
    assert events.feed(chunk(role="assistant", content="")) == b""
    assert events.feed({"choices": []}) == b""
    assert events.feed(chunk(content="x")) != b""


def test_a_failure_is_told_as_a_failed_response_and_then_as_an_error() -> None:
    events = responses_chat.Events(request={}, **ANSWER)
    stream = events.start() + events.feed(chunk(content="Hel"))
    stream += events.error("upstream_timeout", "Too slow.", "gen-1", error_type="upstream_error")
    failed, error = read(stream)[-2:]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": "Too slow."}
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert (error["type"], error["code"], error["message"]) == ("error", "upstream_timeout", "Too slow.")
    assert error["error"] == {
        "code": "upstream_timeout",
        "message": "Too slow.",
        "param": None,
        "type": "upstream_error",
        "request_id": "gen-1",
    }


def test_a_failure_before_the_start_still_opens_the_stream() -> None:
    events = responses_chat.Events(request={}, **ANSWER)
    assert names(read(events.error("internal_error", "Sorry.", "gen-1"))) == [
        "created",
        "in_progress",
        "failed",
        "error",
    ]
