"""Messages on both sides: nothing that counts is lost on the way through, and nothing of the vendor's account comes out."""

import copy
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.meters import Usage
from gateway import sse
from gateway.dialects import messages_anthropic, messages_chat
from tests.wire.test_messages_chat import RICH, message_of

# ---------------------------------------------------------------- requests


def sent(body: dict[str, Any], **options: Any) -> dict[str, Any]:
    messages_chat.request(body)  # whatever is sent has passed the check
    return messages_anthropic.request(
        body, **{"upstream_model": "claude-sonnet-4-6", "output_tokens_max": 4096, **options}
    )


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}], **fields}


def test_what_was_said_goes_on_exactly() -> None:
    expected = {key: value for key, value in RICH.items() if key not in ("metadata", "service_tier")}
    expected |= {"model": "claude-sonnet-4-6", "max_tokens": 3000, "metadata": {"user_id": "our-hash"}}
    before = copy.deepcopy(RICH)
    assert sent(RICH, output_tokens_max=3000, user="our-hash") == expected
    assert before == RICH


def test_a_caller_without_an_end_user_names_none() -> None:
    assert "metadata" not in sent(body(metadata={"user_id": "theirs"}))


def test_null_means_absent() -> None:
    assert sent(body(system=None, tools=None, container=None, thinking=None, stream=None)).keys() == {
        "model",
        "max_tokens",
        "messages",
    }


def test_a_thinking_budget_stays_below_the_bound() -> None:
    thinking = {"type": "enabled", "budget_tokens": 4000}
    assert sent(body(thinking=thinking), output_tokens_max=2000)["thinking"]["budget_tokens"] == 1999
    assert sent(body(thinking=thinking))["thinking"] == thinking


@pytest.mark.parametrize(
    ("adjusted", "missing"),
    [
        (["temperature"], {"temperature", "top_k"}),
        (["temperature", "top_p"], {"temperature", "top_p", "top_k"}),
        (["reasoning_effort"], {"thinking"}),
    ],
)
def test_what_the_model_does_not_take_is_left_out(adjusted: list[str], missing: set[str]) -> None:
    assert sent(RICH).keys() - sent(RICH, adjusted=adjusted).keys() == missing


def test_an_effort_and_a_parallel_flag_that_the_model_lacks_are_left_out() -> None:
    out = sent(RICH, adjusted=["reasoning_effort", "parallel_tool_calls"])
    assert out["output_config"] == {"format": RICH["output_config"]["format"]}  # type: ignore[index]
    assert out["tool_choice"] == {"type": "auto"}


def test_a_conversation_begun_with_another_vendor_goes_on() -> None:
    """Unsigned thinking and tool call ids with foreign signs would be refused by Anthropic."""
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""},
                {"type": "tool_use", "id": "call_1~c2ln", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1~c2ln", "content": "42"}]},
    ]
    assert sent(body(messages=turns))["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1_c2ln", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1_c2ln", "content": "42"}]},
    ]


# ---------------------------------------------------------------- answers

ANSWER: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-6",
    "content": [
        {"type": "thinking", "thinking": "..", "signature": ".."},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 900,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 10},
        "server_tool_use": {"web_search_requests": 0},
        "service_tier": "standard",
    },
}
USAGE = Usage(
    input_tokens=12 + 30 + 900,
    cached_input_tokens=900,
    cache_write_tokens=30,
    cache_write_1h_tokens=20,
    output_tokens=40,
    reasoning_tokens=10,
)


def test_an_answer_carries_our_id_our_model_and_the_cost() -> None:
    got = messages_anthropic.complete(
        ANSWER, message_id="gen-1", model="anthropic/claude", counts={}, cost=msgspec.Raw(b"0.000123")
    )
    assert orjson.loads(msgspec.json.encode(got)) == {
        **ANSWER,
        "id": "gen-1",
        "model": "anthropic/claude",
        "usage": {**ANSWER["usage"], "cost": 0.000123},
    }


def metered(usage: Any) -> Usage | None:
    stream = messages_anthropic.Stream()
    stream.feed(b"data: " + orjson.dumps({"type": "message_start", "message": {"usage": usage}}))
    return stream.usage


@pytest.mark.parametrize("usage", [None, [], "x", {}, {"service_tier": "standard"}])
def test_no_counts_are_not_zero_counts(usage: Any) -> None:
    assert metered(usage) is None


def test_a_reported_zero_is_a_zero() -> None:
    assert metered({"input_tokens": 0, "output_tokens": 0}) == Usage()


def test_usage_is_counted_in_openais_meaning_and_back() -> None:
    assert metered(ANSWER["usage"]) == USAGE
    back = messages_chat.usage_object(USAGE)
    assert back == {key: value for key, value in ANSWER["usage"].items() if key != "server_tool_use"}


COUNT_NAMES = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
ANY_COUNT = (
    st.none() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=2) | st.lists(st.booleans(), max_size=1)
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(COUNT_NAMES), ANY_COUNT),
    st.dictionaries(st.sampled_from(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]), ANY_COUNT),
    st.dictionaries(st.just("thinking_tokens"), ANY_COUNT),
)
def test_no_report_of_a_vendor_makes_an_impossible_usage(
    counts: dict[str, Any], ages: dict[str, Any], details: dict[str, Any]
) -> None:
    usage = metered({**counts, "cache_creation": ages, "output_tokens_details": details})
    if usage is not None:
        assert min(usage) >= 0
        assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
        assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
        assert usage.reasoning_tokens <= usage.output_tokens


# ---------------------------------------------------------------- streams

#: as recorded from the vendor
RECORDED = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":30,"cache_read_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"say \\"message_start\\" msg_01 claude-sonnet-4-6"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":40,"output_tokens_details":{"thinking_tokens":10}}}

event: message_stop
data: {"type":"message_stop"}

"""
EVENTS = sse.Framer().feed(RECORDED)


def test_only_the_first_event_is_spliced_and_the_last_count_is_priced() -> None:
    spliced = [messages_anthropic.splice(event, message_id=b'"gen-1"', model=b'"anthropic/claude"') for event in EVENTS]
    assert spliced[1:] == EVENTS[1:]
    passed = [messages_anthropic.priced(event, {}, b"0.000123") for event in spliced]
    assert [i for i, event in enumerate(passed) if event != spliced[i]] == [len(EVENTS) - 2]
    message = message_of([orjson.loads(sse.data_of(event)) for event in passed])
    assert (message["id"], message["model"]) == ("gen-1", "anthropic/claude")
    assert message["usage"]["cost"] == 0.000123
    assert message["usage"]["output_tokens"] == 40
    assert message["usage"]["cache_creation"] == ANSWER["usage"]["cache_creation"]
    assert message["content"][1]["text"] == 'say "message_start" msg_01 claude-sonnet-4-6'
    assert message["content"][2] == {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"a": 1}}


def test_the_event_line_survives_splicing() -> None:
    first = messages_anthropic.splice(EVENTS[0], message_id=b'"gen-1"', model=b'"m"')
    assert first.startswith(b'event: message_start\ndata: {"type":"message_start","message":{"id":"gen-1"')
    assert b"\n" not in first.removeprefix(b"event: message_start\n")


def test_a_stream_is_metered_while_it_passes() -> None:
    stream = messages_anthropic.Stream()
    states = []
    for event in EVENTS:
        stream.feed(event)
        states.append((stream.finished, stream.done))
    assert states[-3:] == [(False, False), (True, False), (True, True)]
    assert stream.usage == USAGE
    assert stream.error is None


def test_a_cut_stream_keeps_what_the_prompt_cost() -> None:
    stream = messages_anthropic.Stream()
    for event in EVENTS[:8]:
        stream.feed(event)
    assert stream.usage == USAGE._replace(output_tokens=1, reasoning_tokens=0)
    assert not stream.finished


def test_later_counts_replace_earlier_ones() -> None:
    stream = messages_anthropic.Stream()
    stream.feed(EVENTS[0])
    stream.feed(
        b'data: {"type":"message_delta","delta":{},"usage":{"input_tokens":20,"cache_read_input_tokens":0,'
        b'"cache_creation_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
        b'"output_tokens":7}}'
    )
    assert stream.usage == Usage(input_tokens=20, output_tokens=7)


def test_what_the_model_wrote_can_be_counted_here() -> None:
    stream = messages_anthropic.Stream()
    assert [text for event in EVENTS for text in stream.texts(event)] == [
        "Hm.",
        'say "message_start" msg_01 claude-sonnet-4-6',
        "weather",
        '{"a":1}',
    ]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            {"type": "overloaded_error", "message": "Overloaded"},
        ),
        (b"data: {nonsense", {"type": "api_error", "message": "unreadable event"}),
        (b"data: [1]", {"type": "api_error", "message": "unreadable event"}),
        (b'data: {"error":"gone"}', {"type": "api_error", "message": "gone"}),
    ],
)
def test_a_failure_in_the_middle_is_noticed(event: bytes, error: dict[str, Any]) -> None:
    stream = messages_anthropic.Stream()
    stream.feed(EVENTS[0])
    stream.feed(event)
    stream.feed(EVENTS[-1])
    assert stream.error == error
    assert not stream.done


def test_comments_and_unknown_events_pass_unharmed() -> None:
    stream = messages_anthropic.Stream()
    for event in (b": keep-alive", b"", b'event: future\ndata: {"type":"future"}'):
        stream.feed(event)
        assert stream.texts(event) == []
        assert messages_anthropic.splice(event, message_id=b'"x"', model=b'"y"') == event
        assert messages_anthropic.priced(event, {}, b"1") == event
    assert (stream.usage, stream.error, stream.finished, stream.done) == (None, None, False, False)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60) | st.sampled_from(EVENTS).flatmap(lambda e: st.integers(0, len(e)).map(lambda cut: e[:cut]))
)
def test_broken_events_never_raise(event: bytes) -> None:
    stream = messages_anthropic.Stream()
    stream.feed(event)
    stream.texts(event)
    messages_anthropic.splice(event, message_id=b'"x"', model=b'"y"')
    messages_anthropic.priced(event, {}, b"1")
