"""Chat completions through Anthropic's Messages: what goes out, what comes back, and what its refusals mean."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.meters import TOKENS_MAX, Usage
from gateway.dialects import chat_anthropic
from gateway.dialects.faults import Invalid, Unsupported
from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.sse import Framer
from gateway.upstreams import anthropic, registry
from gateway.upstreams.registry import Upstream

type Json = dict[str, Any]

HAIKU_4, SONNET_4, SONNET_5, HAIKU_5 = "claude-haiku-4-5", "claude-sonnet-4-6", "claude-sonnet-5-5", "claude-haiku-5-5"
SUPPORTS = {
    HAIKU_4: {"sampling_params": True, "reasoning": True, "forced_tool_choice": True},
    SONNET_4: {"sampling_params": True, "reasoning": True, "forced_tool_choice": True},
    SONNET_5: {"sampling_params": False, "reasoning": True, "forced_tool_choice": False},
    HAIKU_5: {"sampling_params": False, "reasoning": True, "forced_tool_choice": True},
}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
ASK = {"role": "user", "content": "hi"}
ASKED = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "weather"}}
CACHE = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def translated(*messages: Json, model: str = SONNET_4, output_tokens_max: int = 1000, **fields: Any) -> Json:
    body = {"messages": list(messages or (ASK,)), **fields}
    return chat_anthropic.request(
        body, upstream_model=model, stream=False, output_tokens_max=output_tokens_max, supports=SUPPORTS[model]
    )


def dropped(model: str = SONNET_4, messages: tuple[Json, ...] = (ASK,), **fields: Any) -> list[str]:
    room = {"output_tokens_max": fields.pop("output_tokens_max")} if "output_tokens_max" in fields else {}
    body = {"messages": list(messages), **fields}
    return chat_anthropic.dropped(body, upstream_model=model, supports=SUPPORTS[model], **room)


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def call(id_: str, arguments: str = '{"city":"Oslo"}') -> Json:
    return {"id": id_, "type": "function", "function": {"name": "weather", "arguments": arguments}}


# ---------------------------------------------------------------- request: messages


def test_the_least_request() -> None:
    assert translated() == {"model": SONNET_4, "max_tokens": 1000, "messages": [ASKED]}
    body = {"messages": [ASK]}
    streamed = chat_anthropic.request(body, upstream_model=SONNET_4, stream=True, output_tokens_max=5, supports={})
    assert streamed["stream"] is True and streamed["max_tokens"] == 5


def test_leading_system_and_developer_messages_become_system_blocks_with_their_breakpoints() -> None:
    body = translated({"role": "system", "content": "a"}, {"role": "developer", "content": [text("b") | CACHE]}, ASK)
    assert body["system"] == [text("a"), text("b") | CACHE]
    assert body["messages"] == [ASKED]


def test_a_system_message_alone_is_asked_as_a_user() -> None:
    body = translated({"role": "system", "content": "hi"})
    assert "system" not in body and body["messages"] == [ASKED]


def test_blank_messages_say_nothing() -> None:
    with pytest.raises(Invalid) as e:
        translated({"role": "user", "content": " \n"})
    assert e.value.param == "messages"


def test_blank_blocks_are_left_out() -> None:
    assert translated({"role": "user", "content": [text(""), text("hi"), text(" ")]})["messages"] == [ASKED]


def test_later_instructions_keep_their_role_where_the_model_takes_it() -> None:
    later = {"role": "system", "content": "b"}
    assert translated(ASK, later, model=SONNET_5)["messages"] == [ASKED, {"role": "system", "content": [text("b")]}]
    assert translated(ASK, later)["messages"] == [{"role": "user", "content": [text("hi"), text("b")]}]


def test_later_instructions_are_said_by_the_user_where_only_a_user_may_speak() -> None:
    answer, later = {"role": "assistant", "content": "yes"}, {"role": "developer", "content": "b"}
    messages = translated(ASK, answer, later, ASK, model=SONNET_5)["messages"]
    assert [turn["role"] for turn in messages] == ["user", "assistant", "user"]
    assert messages[2]["content"] == [text("b"), text("hi")]


def test_consecutive_turns_of_one_role_are_merged() -> None:
    answers = {"role": "assistant", "content": "x"}, {"role": "assistant", "content": "y"}
    messages = translated(ASK, ASK, *answers, ASK)["messages"]
    assert [(turn["role"], len(turn["content"])) for turn in messages] == [("user", 2), ("assistant", 2), ("user", 1)]


def test_results_of_parallel_calls_come_first_in_one_user_turn() -> None:
    messages = translated(
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b", "")]},
        {"role": "tool", "tool_call_id": "a", "content": "4"},
        {"role": "user", "content": "and?"},
        {"role": "tool", "tool_call_id": "b", "content": [text("5") | CACHE]},
    )["messages"]
    assert messages[1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
    ]
    assert messages[2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [text("4")]},
            {"type": "tool_result", "tool_use_id": "b", "content": [text("5")], **CACHE},
            text("and?"),
        ],
    }


def test_an_empty_tool_result_is_still_a_result() -> None:
    result = {"role": "tool", "tool_call_id": "a", "content": ""}
    messages = translated(ASK, {"role": "assistant", "tool_calls": [call("a")]}, result)["messages"]
    assert messages[2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


@pytest.mark.parametrize("arguments", ["[1]", "{oops"])
def test_arguments_that_are_no_object_keep_the_conversation_going(arguments: str) -> None:
    spoken = {"role": "assistant", "tool_calls": [call("a", arguments)]}
    result = {"role": "tool", "tool_call_id": "a", "content": "?"}
    assert translated(ASK, spoken, result)["messages"][1]["content"][0]["input"] == {"arguments": arguments}


def test_ids_of_other_vendors_calls_become_ids_that_anthropic_takes() -> None:
    spoken = {"role": "assistant", "tool_calls": [call("functions.weather:0")]}
    result = {"role": "tool", "tool_call_id": "functions.weather:0", "content": "4"}
    messages = translated(ASK, spoken, result)["messages"]
    assert messages[1]["content"][0]["id"] == messages[2]["content"][0]["tool_use_id"] == "functions_weather_0"


def test_a_refusal_is_echoed_as_text() -> None:
    spoken = {"role": "assistant", "content": None, "refusal": "no"}
    assert translated(ASK, spoken, ASK)["messages"][1]["content"] == [text("no")]


@pytest.mark.parametrize("model", [SONNET_4, SONNET_5])
def test_an_answer_cannot_be_begun_by_the_caller_from_4_6_on(model: str) -> None:
    with pytest.raises(Unsupported) as e:
        translated({"role": "system", "content": "x"}, ASK, {"role": "assistant", "content": "{"}, model=model)
    assert e.value.param == "messages[2]" and "messages[2]" in e.value.message


def test_an_older_model_continues_a_begun_answer() -> None:
    messages = translated(ASK, {"role": "assistant", "content": "It is \n"}, model=HAIKU_4)["messages"]
    assert messages[-1] == {"role": "assistant", "content": [text("It is")]}


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.com/a.png", {"type": "url", "url": "https://example.com/a.png"}),
        ("data:image/png;base64,AAAA", {"type": "base64", "media_type": "image/png", "data": "AAAA"}),
        ("data:image/jpg;base64,AAAA", {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}),
    ],
)
def test_images_go_by_address_or_as_data(url: str, source: Json) -> None:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "high"}, **CACHE}
    content = translated({"role": "user", "content": [part]})["messages"][0]["content"]
    assert content == [{"type": "image", "source": source, **CACHE}]


def test_pdfs_become_documents() -> None:
    data = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
    address = {"type": "file", "file": {"file_url": "https://example.com/a.pdf"}}
    assert translated({"role": "user", "content": [data, address]})["messages"][0]["content"] == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {}}, "type"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_data"),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,YQ=="}}, "file.file_data"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,AA"}}, "image_url.url"),
    ],
)
def test_other_media_are_refused_by_name(part: Json, param: str) -> None:
    with pytest.raises(Unsupported) as e:
        translated(ASK, {"role": "user", "content": [text("x"), part]})
    assert e.value.param == f"messages[1].content[1].{param}"


# ---------------------------------------------------------------- request: tools, formats


def test_tools_carry_their_schema_strictness_and_breakpoint() -> None:
    bare = {"type": "function", "function": {"name": "now"}}
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}, **CACHE}  # type: ignore[dict-item]
    assert translated(tools=[bare, strict])["tools"] == [
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        {"name": "weather", "description": "Now", "input_schema": {"type": "object"}, "strict": True, **CACHE},
    ]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": NAMED}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(fields: Json, choice: Json | None) -> None:
    assert translated(tools=[WEATHER], **fields).get("tool_choice") == choice
    assert "tool_choice" not in translated(**fields)


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_tool_is_not_forced_on_models_that_always_think(choice: Any) -> None:
    with pytest.raises(Unsupported) as e:
        translated(tools=[WEATHER], tool_choice=choice, model=SONNET_5)
    assert e.value.param == "tool_choice"
    assert translated(tools=[WEATHER], tool_choice=choice, model=HAIKU_5)["tool_choice"]["type"] in ("any", "tool")


def test_an_answer_schema_becomes_the_output_format() -> None:
    schema = {"type": "object", "additionalProperties": False}
    asked = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
    body = translated(response_format=asked, reasoning_effort="low")
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    with pytest.raises(Invalid) as e:
        translated(response_format={"type": "json_schema", "json_schema": {"name": "a"}})
    assert e.value.param == "response_format.json_schema.schema"


def test_json_mode_becomes_an_instruction_behind_what_is_cached() -> None:
    system = {"role": "system", "content": [text("a") | CACHE]}
    body = translated(system, ASK, response_format={"type": "json_object"})
    assert body["system"][0] == text("a") | CACHE and "JSON" in body["system"][1]["text"]
    assert "output_config" not in body
    assert "system" not in translated(response_format={"type": "text"})


def test_stops_are_a_list_and_blanks_are_refused() -> None:
    assert translated(stop="END")["stop_sequences"] == ["END"]
    assert translated(stop=["END", "\nSTOP"])["stop_sequences"] == ["END", "\nSTOP"]
    for blank in ("\n", ["\n", "END"]):
        with pytest.raises(Unsupported) as fault:
            translated(stop=blank)
        assert fault.value.param == "stop"


def test_the_end_user_is_named_as_metadata() -> None:
    assert translated(user="u")["metadata"] == {"user_id": "u"}
    assert translated(user="u", safety_identifier="s")["metadata"] == {"user_id": "s"}


# ---------------------------------------------------------------- request: sampling


@pytest.mark.parametrize(
    ("model", "asked", "sent", "named"),
    [
        (SONNET_4, {"temperature": 0.3}, {"temperature": 0.3}, []),
        (HAIKU_4, {"temperature": 1.7}, {"temperature": 1}, ["temperature"]),
        (SONNET_4, {"top_p": 0.5}, {"top_p": 0.5}, []),
        (SONNET_4, {"temperature": 0, "top_p": 0.5}, {"temperature": 0}, ["top_p"]),
        (SONNET_5, {"temperature": 1, "top_p": 1}, {}, ["temperature", "top_p"]),
        (HAIKU_5, {"temperature": 0.3}, {}, ["temperature"]),
        (SONNET_4, {"temperature": 0.3, "reasoning_effort": "low"}, {}, ["temperature"]),
        (SONNET_4, {"temperature": 0.3, "reasoning_effort": "none"}, {"temperature": 0.3}, []),
    ],
)
def test_sampling_is_sent_where_the_model_takes_it(model: str, asked: Json, sent: Json, named: list[str]) -> None:
    body = translated(model=model, **asked)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sent
    assert dropped(model, **asked) == named


def test_what_anthropic_has_no_word_for_is_dropped_and_named() -> None:
    fields: Json = {
        "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 1}, "logprobs": True, "top_logprobs": 2,
        "verbosity": "low", "seed": 0,
    }  # fmt: skip
    assert translated(**fields, prompt_cache_key="k") == translated()
    assert dropped(**fields, prompt_cache_key="k") == list(fields)


def test_parameters_that_ask_for_nothing_are_not_named() -> None:
    assert dropped(presence_penalty=0, frequency_penalty=0.0, logit_bias={}, logprobs=False, user="u") == []


def test_more_than_one_choice_is_refused() -> None:
    with pytest.raises(Unsupported) as e:
        translated(n=2)
    assert e.value.param == "n" and translated(n=1) == translated()


# ---------------------------------------------------------------- request: reasoning


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "sent", "as_asked"),
    [
        (SONNET_4, None, None, None, True),
        (SONNET_4, "none", {"type": "disabled"}, None, True),
        (SONNET_4, "minimal", ADAPTIVE, "low", False),
        (SONNET_4, "medium", ADAPTIVE, "medium", True),
        (SONNET_4, "xhigh", ADAPTIVE, "high", False),
        (SONNET_4, "max", ADAPTIVE, "max", True),
        (SONNET_5, None, ADAPTIVE, None, True),
        (SONNET_5, "none", ADAPTIVE, "low", False),
        (SONNET_5, "xhigh", ADAPTIVE, "xhigh", True),
        (HAIKU_5, "none", {"type": "disabled"}, None, True),
        (HAIKU_5, "max", ADAPTIVE, "max", True),
        (HAIKU_4, None, None, None, True),
        (HAIKU_4, "none", {"type": "disabled"}, None, True),
        (HAIKU_4, "minimal", {"type": "enabled", "budget_tokens": 1024}, None, True),
        (HAIKU_4, "medium", {"type": "enabled", "budget_tokens": 2048}, None, True),
        (HAIKU_4, "max", {"type": "enabled", "budget_tokens": 16384}, None, True),
    ],
)
def test_effort_by_model(
    model: str, effort: str | None, thinking: Json | None, sent: str | None, as_asked: bool
) -> None:
    fields: Json = {} if effort is None else {"reasoning_effort": effort}
    body = translated(model=model, output_tokens_max=64_000, **fields)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == sent
    assert dropped(model, **fields) == ([] if as_asked else ["reasoning_effort"])


@given(st.integers(1, 70_000), st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"]))
def test_a_thinking_budget_stays_below_the_output_bound(output_tokens_max: int, effort: str) -> None:
    body = translated(model=HAIKU_4, output_tokens_max=output_tokens_max, reasoning_effort=effort)
    if "thinking" in body:
        assert 1024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]
    else:
        assert output_tokens_max <= 1024
        assert dropped(HAIKU_4, output_tokens_max=output_tokens_max, reasoning_effort=effort) == ["reasoning_effort"]


def test_a_budget_leaves_room_for_an_answer_and_says_so() -> None:
    body = translated(model=HAIKU_4, output_tokens_max=6_000, reasoning_effort="max")
    assert body["thinking"]["budget_tokens"] == 3_000
    assert dropped(HAIKU_4, output_tokens_max=6_000, reasoning_effort="max") == ["reasoning_effort"]


def test_a_model_that_does_not_reason_is_not_told_to() -> None:
    body = {"messages": [ASK], "reasoning_effort": "high"}
    sent = chat_anthropic.request(body, upstream_model=SONNET_4, stream=False, output_tokens_max=9, supports={})
    assert "thinking" not in sent and "output_config" not in sent
    assert chat_anthropic.dropped(body, upstream_model=SONNET_4, supports={}) == ["reasoning_effort"]


@pytest.mark.parametrize("model", [HAIKU_4, SONNET_4, HAIKU_5])
def test_a_forced_tool_goes_without_explicit_thinking(model: str) -> None:
    fields: Json = {"tools": [WEATHER], "tool_choice": "required", "reasoning_effort": "high"}
    body = translated(model=model, output_tokens_max=64_000, **fields)
    assert "thinking" not in body
    assert body.get("output_config") == (None if model == HAIKU_4 else {"effort": "high"})
    assert dropped(model, **fields) == (["reasoning_effort"] if model == HAIKU_4 else [])


def test_thinking_by_budget_pauses_while_calls_lack_their_thoughts() -> None:
    """Anthropic answers 400 to a tool turn without its thoughts, which most clients of this dialect lose."""
    turns = (
        ASK,
        {"role": "assistant", "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": "4"},
    )
    assert "thinking" not in translated(*turns, model=HAIKU_4, output_tokens_max=9_000, reasoning_effort="low")
    assert dropped(HAIKU_4, turns, reasoning_effort="low") == ["reasoning_effort"]
    assert "thinking" in translated(*turns, ASK, model=HAIKU_4, output_tokens_max=9_000, reasoning_effort="low")


def test_a_begun_answer_is_continued_without_thinking() -> None:
    begun = ASK, {"role": "assistant", "content": "It"}
    assert "thinking" not in translated(*begun, model=HAIKU_4, output_tokens_max=9_000, reasoning_effort="low")


def test_echoed_thoughts_come_back_as_blocks_before_all_else() -> None:
    details = [
        {"type": "reasoning.text", "text": "let", "index": 0},
        {"type": "reasoning.text", "text": " me", "index": 0},
        {"type": "reasoning.text", "signature": "s1", "index": 0},
        {"type": "reasoning.encrypted", "data": "opaque", "index": 1},
        {"type": "reasoning.text", "text": "", "signature": "s2", "index": 2},
        {"type": "reasoning.text", "text": "another vendor's", "index": 3},
    ]
    spoken = {"role": "assistant", "content": "ok", "tool_calls": [call("a")], "reasoning_details": details}
    result = {"role": "tool", "tool_call_id": "a", "content": "4"}
    assert translated(ASK, spoken, result)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "let me", "signature": "s1"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "thinking", "thinking": "", "signature": "s2"},
        text("ok"),
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
    ]


# ---------------------------------------------------------------- answers


ANSWER = {
    "id": "msg_01", "type": "message", "role": "assistant", "model": SONNET_4,
    "content": [
        {"type": "thinking", "thinking": "hmm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "text", "text": "Hel"},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
        {"type": "text", "text": "lo"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None, "stop_details": None,
    "usage": {
        "input_tokens": 12, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 900,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 10}, "service_tier": "standard",
    },
}  # fmt: skip


def test_a_plain_answer_becomes_a_choice_and_counts() -> None:
    choices, usage = chat_anthropic.complete(ANSWER)
    assert choices == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello",
                "refusal": None,
                "reasoning_content": "hmm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hmm", "signature": "sig==", "index": 0},
                    {"type": "reasoning.encrypted", "data": "opaque", "index": 1},
                ],
                "tool_calls": [
                    call("toolu_1"),
                    {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert usage == Usage(
        input_tokens=12 + 30 + 900,
        cached_input_tokens=900,
        cache_write_tokens=30,
        cache_write_1h_tokens=20,
        output_tokens=40,
        reasoning_tokens=10,
    )


FINISH_REASONS = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("tool_use", "tool_calls"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("pause_turn", "length"),
    ("refusal", "content_filter"),
    ("a_later_word", "stop"),
]


@pytest.mark.parametrize(("stop_reason", "finish_reason"), FINISH_REASONS)
def test_every_stop_reason_has_its_finish_reason(stop_reason: str, finish_reason: str) -> None:
    choices, _ = chat_anthropic.complete({**ANSWER, "content": [], "stop_reason": stop_reason})
    assert choices[0]["finish_reason"] == finish_reason and choices[0]["message"]["content"] == ""
    stream = chat_anthropic.Stream()
    chunks = stream.feed(event("message_delta", delta={"stop_reason": stop_reason}, usage={"output_tokens": 1}))
    assert chunks[-1]["choices"][0]["finish_reason"] == finish_reason and stream.finished


def test_tool_calls_alone_have_no_content() -> None:
    choices, _ = chat_anthropic.complete({**ANSWER, "content": [ANSWER["content"][5]]})  # type: ignore[index]
    assert choices[0]["message"]["content"] is None


@pytest.mark.parametrize("answer", [{}, {"type": "error", "error": {}}, {"content": [{}]}, {"content": None}, []])
def test_what_is_no_answer_is_not_taken_for_one(answer: Any) -> None:
    with pytest.raises(ValueError, match="not a Messages answer"):
        chat_anthropic.complete(answer)


COUNT = st.one_of(st.integers(-5, 10**12), st.none(), st.text(max_size=2), st.floats(), st.booleans())


@given(
    st.fixed_dictionaries(
        {"input_tokens": COUNT},
        optional={
            "cache_creation_input_tokens": COUNT,
            "cache_read_input_tokens": COUNT,
            "cache_creation": st.one_of(st.none(), st.fixed_dictionaries({"ephemeral_1h_input_tokens": COUNT})),
            "output_tokens": COUNT,
            "output_tokens_details": st.one_of(st.none(), st.fixed_dictionaries({"thinking_tokens": COUNT})),
        },
    )
)
def test_counts_fit_into_each_other_whatever_the_vendor_says(reported: Json) -> None:
    usage = chat_anthropic.usage_of(reported)
    assert (usage is None) == (type(reported["input_tokens"]) is not int)  # a word or null in its place is silence
    if usage is None:
        return
    assert min(usage) >= 0 and max(usage) <= TOKENS_MAX
    assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert usage.reasoning_tokens <= usage.output_tokens


@given(st.tuples(*[st.integers(0, 10**8)] * 4))
def test_cache_reads_and_writes_are_added_to_the_prompt(counts: tuple[int, ...]) -> None:
    fresh, read, written, output = counts
    usage = chat_anthropic.usage_of(
        {
            "input_tokens": fresh,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "output_tokens": output,
        }
    )
    assert usage == Usage(fresh + read + written, read, written, 0, output, 0)


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": 5}, []])
def test_no_counts_are_none(usage: Any) -> None:
    assert chat_anthropic.usage_of(usage) is None


# ---------------------------------------------------------------- streams


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def block(index: int, content: Json, *deltas: Json) -> list[bytes]:
    return [
        event("content_block_start", index=index, content_block=content),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


STARTED = event(
    "message_start",
    message={
        "id": "msg_01", "type": "message", "role": "assistant", "content": [], "model": SONNET_4, "stop_reason": None,
        "usage": {
            "input_tokens": 12, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 900,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "output_tokens": 1,
        },
    },
)  # fmt: skip
EVENTS = [
    STARTED,
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "sig=="},
    ),
    *block(1, {"type": "redacted_thinking", "data": "opaque"}),
    event("ping"),
    *block(2, text(""), {"type": "text_delta", "text": "Grüße"}, {"type": "citations_delta", "citation": {}}),
    *block(
        3,
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": "{}"},
    ),
    *block(
        4,
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Oslo"}'},
    ),
    *block(5, {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}),
    event(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={
            "output_tokens": 40, "input_tokens": 12, "cache_read_input_tokens": None,
            "output_tokens_details": {"thinking_tokens": 10},
        },
    ),
    event("message_stop"),
]  # fmt: skip


def chunk(finish_reason: str | None = None, /, **delta: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def piece(words: str) -> Json:
    return chunk(reasoning_content=words, reasoning_details=[{"type": "reasoning.text", "text": words, "index": 0}])


CHUNKS = [
    chunk(role="assistant", content=""),
    piece("hm"),
    piece("m"),
    chunk(reasoning_details=[{"type": "reasoning.text", "signature": "sig==", "index": 0}]),
    chunk(reasoning_details=[{"type": "reasoning.encrypted", "data": "opaque", "index": 1}]),
    chunk(content="Grüße"),
    chunk(tool_calls=[{"index": 0, **call("toolu_1", "")}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '"Oslo"}'}}]),
    chunk(
        tool_calls=[
            {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": ""}},
        ]
    ),
    chunk(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
    chunk("tool_calls"),
]


def fed(events: list[bytes]) -> tuple[list[Json], chat_anthropic.Stream]:
    stream = chat_anthropic.Stream()
    return [chunk for event in events for chunk in stream.feed(event)], stream


def test_a_stream_becomes_chunks_and_counts() -> None:
    chunks, stream = fed(EVENTS)
    assert chunks == CHUNKS
    assert (stream.finished, stream.done, stream.error) == (True, True, None)
    assert stream.usage == Usage(12 + 30 + 900, 900, 30, 20, 40, 10)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_stream_is_the_same_wherever_it_is_cut(newline: bytes) -> None:
    whole = b"".join(event.replace(b"\n", newline) + newline * 2 for event in EVENTS)
    for at in range(len(whole) + 1):
        framer = Framer()
        chunks, stream = fed([*framer.feed(whole[:at]), *framer.feed(whole[at:])])
        assert chunks == CHUNKS and stream.done, at


def test_events_are_known_by_their_data_or_by_their_name_alone() -> None:
    assert fed([event[event.index(b"data:") :] for event in EVENTS])[0] == CHUNKS
    nameless = [event.replace(b'"type":"%b",' % event[7 : event.index(b"\n")], b"", 1) for event in EVENTS]
    assert b'"type":"message_start"' not in nameless[0]
    assert fed(nameless)[0] == CHUNKS


def test_counts_are_overwritten_not_added() -> None:
    _, stream = fed([STARTED])
    assert stream.usage is not None and stream.usage.output_tokens == 1 and not stream.finished
    for output in (5, 40):
        stream.feed(event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": output}))
    assert stream.usage.output_tokens == 40 and not stream.finished


def test_input_sent_whole_at_the_start_is_not_lost() -> None:
    chunks, _ = fed([STARTED, *block(0, {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}})])
    assert [c["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for c in chunks[1:]] == [
        "",
        '{"city":"Oslo"}',
    ]


def test_the_role_comes_first_even_without_a_start() -> None:
    chunks, _ = fed(block(0, text("a"), {"type": "text_delta", "text": "b"}))
    assert chunks == [chunk(role="assistant", content="a"), chunk(content="b")]


def test_what_is_not_known_yet_is_passed_over() -> None:
    strange = [
        event("future_event", index=0),
        b": comment",
        *block(0, {"type": "future_block"}, {"type": "text_delta", "text": "x"}, {"type": "future_delta"}),
        event("content_block_delta", index=7, delta={"type": "text_delta", "text": "x"}),
        event("content_block_stop", index=7),
    ]
    chunks, stream = fed([STARTED, *strange, *block(1, text("a"))])
    assert chunks == [CHUNKS[0], chunk(content="a")] and stream.error is None


def test_an_error_ends_the_stream() -> None:
    overloaded = {"type": "overloaded_error", "message": "Overloaded"}
    chunks, stream = fed([STARTED, event("error", error=overloaded), *block(0, text("a"))])
    assert chunks == CHUNKS[:1] and stream.error == overloaded and not stream.done


@pytest.mark.parametrize("unreadable", [b"data: {", b"data: []", b"data: 1", b'data: {"type":"message_start"}'])
def test_an_unreadable_event_is_an_error(unreadable: bytes) -> None:
    chunks, stream = fed([unreadable, STARTED])
    assert chunks == [] and stream.error == {"type": "api_error", "message": "unreadable event"}


def test_nothing_follows_the_end() -> None:
    chunks, stream = fed([*EVENTS, event("error", error={"type": "api_error", "message": "late"})])
    assert chunks == CHUNKS and stream.error is None


# ---------------------------------------------------------------- round trip


def test_a_tool_conversation_keeps_its_thoughts_plain_and_streamed() -> None:
    thought = {"type": "thinking", "thinking": "hmm", "signature": "sig=="}
    said = [
        thought,
        {"type": "redacted_thinking", "data": "opaque"},
        text("Grüße"),
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]
    plain = chat_anthropic.complete({"content": said, "stop_reason": "tool_use"})[0][0]["message"]
    for message in (plain, collected(fed(EVENTS)[0])):
        results = [{"role": "tool", "tool_call_id": id_, "content": "4"} for id_ in ("toolu_1", "toolu_2")]
        body = translated(ASK, message, *results, model=HAIKU_4, output_tokens_max=9_000, reasoning_effort="low")
        assert body["messages"][1] == {"role": "assistant", "content": said}
        assert body["thinking"]["type"] == "enabled"


def collected(chunks: list[Json]) -> Json:
    """What a simple client makes of a stream: texts joined, details in a row, calls by index."""
    message: Json = {"role": "assistant", "content": "", "reasoning_details": [], "tool_calls": []}
    for delta in (chunk["choices"][0]["delta"] for chunk in chunks):
        message["content"] += delta.get("content", "")
        message["reasoning_details"] += delta.get("reasoning_details", [])
        for part in delta.get("tool_calls", ()):
            if "id" in part:
                message["tool_calls"].append({**part, "function": dict(part["function"])})
            else:
                message["tool_calls"][part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    return message


# ---------------------------------------------------------------- the upstream


KEY = "sk-ant-secret"
UPSTREAM = Upstream(
    "anthropic", "https://api.anthropic.com/v1", "anthropic", headers=registry.key_headers("anthropic", KEY)
)


def failed(status: int, message: str = "no", type_: str = "invalid_request_error", **headers: str) -> Any:
    body = orjson.dumps({"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"})
    return anthropic.error_of(
        UPSTREAM, status, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


def test_the_key_and_the_version_go_as_headers() -> None:
    assert registry.key_headers("anthropic", KEY) == (("x-api-key", KEY), ("anthropic-version", "2023-06-01"))
    assert registry.key_headers("anthropic", "") == (("anthropic-version", "2023-06-01"),)


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "messages: at least one message is required", InvalidRequest),
        (400, "prompt is too long: 213462 tokens > 200000 maximum", ContextLengthExceeded),
        (400, "input length and `max_tokens` exceed context limit: 1 + 2 > 3", ContextLengthExceeded),
        (400, "the words 'prompt is too long' in a name", InvalidRequest),
        (400, "Your credit balance is too low to access the Anthropic API.", NoUpstreamAvailable),
        (400, "You have reached your specified API usage limits.", NoUpstreamAvailable),
        (401, "invalid x-api-key", NoUpstreamAvailable),
        (402, "billing", NoUpstreamAvailable),
        (403, "permission", NoUpstreamAvailable),
        (404, "model: claude-x", NoUpstreamAvailable),
        (408, "slow", UpstreamTimeout),
        (409, "conflict", UpstreamError),
        (413, "too large", InvalidRequest),
        (500, "api_error", UpstreamError),
        (504, "timeout", UpstreamTimeout),
        (529, "Overloaded", UpstreamError),
    ],
)
def test_refusals_in_our_words(status: int, message: str, error: type) -> None:
    assert type(failed(status, message)) is error


def test_the_caller_reads_the_vendors_words_without_our_secrets() -> None:
    error = failed(400, f"tools.0.name is bad, {KEY} at https://api.anthropic.com/x req_011CQ")
    assert error.message.startswith("tools.0.name is bad")
    assert KEY not in error.message and "anthropic.com" not in error.message and "req_011CQ" not in error.message
    assert anthropic.error_of(UPSTREAM, 400, {}, b"<html>").message == "The model refused this request."


def test_a_busy_vendor_says_when_to_come_back() -> None:
    error = failed(429, "slow down", "rate_limit_error", retry_after="7")
    assert isinstance(error, RateLimitExceeded) and error.headers["retry-after"] == "7"
    assert failed(529, "Overloaded", "overloaded_error", retry_after="9999").headers["retry-after"] == "120"
