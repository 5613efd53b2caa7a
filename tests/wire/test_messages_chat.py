"""Messages clients over canonical chat: what is asked arrives whole, what is sold elsewhere is refused, and answers keep the grammar."""

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.meters import Usage
from gateway import sse, tokens
from gateway.dialects import messages_chat
from gateway.dialects.faults import Invalid, Unknown, Unsupported

PNG = "iVBORw0KGgo="
TOOL = {"name": "weather", "description": "The weather", "input_schema": {"type": "object"}}
FAULTS = (Invalid, Unsupported)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "openai/gpt-4.1", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **fields}


def said(*blocks: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(blocks)}]


def source(**fields: Any) -> dict[str, Any]:
    return {"type": "image", "source": fields}


#: every field and every block that is accepted, once
RICH = {
    "model": "anthropic/claude-sonnet-4.6",
    "max_tokens": 4096,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "cache_control": {"type": "ephemeral"},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "Report.pdf",
                    "context": "From 2026",
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain words"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                {"type": "text", "text": "I ask.", "citations": None},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "weather",
                    "input": {"city": "Köln"},
                    "caller": {"type": "direct"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "rain"}],
                    "is_error": False,
                    "cache_control": {"type": "ephemeral", "ttl": "5m"},
                },
                {"type": "text", "text": "So?"},
            ],
        },
    ],
    "tools": [{**TOOL, "type": "custom", "strict": True, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "metadata": {"user_id": "user-1"},
    "service_tier": "auto",
}


# ---------------------------------------------------------------- requests


def test_a_plain_request_becomes_a_plain_chat() -> None:
    assert messages_chat.request(body(system="Be brief.")) == {
        "model": "openai/gpt-4.1",
        "max_tokens": 100,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    }


def test_everything_that_is_said_arrives() -> None:
    chat = messages_chat.request(RICH)
    system, user, assistant, result, last = chat.pop("messages")
    assert system == {
        "role": "system",
        "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    }
    assert user["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "text", "text": "From 2026"},
        {"type": "file", "file": {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "text", "text": "Plain words"},
    ]
    assert assistant == {
        "role": "assistant",
        "content": "I ask.",
        "reasoning_content": "Hm.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0},
            {"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 1},
        ],
        "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
        ],
    }
    assert result == {
        "role": "tool",
        "tool_call_id": "toolu_1",
        "content": [{"type": "text", "text": "rain", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    }
    assert last == {
        "role": "user",
        "content": [{"type": "text", "text": "So?", "cache_control": {"type": "ephemeral"}}],
    }
    assert chat == {
        "model": "anthropic/claude-sonnet-4.6",
        "max_tokens": 4096,
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "The weather",
                    "parameters": {"type": "object"},
                    "strict": True,
                },
                "cache_control": {"type": "ephemeral"},
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "user-1",
        "reasoning_effort": "high",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
    }
    assert messages_chat.dropped(RICH) == ["top_k"]


def test_the_body_is_left_as_it_was() -> None:
    before = copy.deepcopy(RICH)
    messages_chat.request(RICH)
    assert before == RICH


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_a_choice_of_tool_is_translated(choice: dict[str, Any], expected: Any) -> None:
    chat = messages_chat.request(body(tools=[TOOL], tool_choice=choice))
    assert chat["tool_choice"] == expected
    assert "parallel_tool_calls" not in chat


def test_a_choice_without_tools_is_not_passed_on() -> None:
    assert "tool_choice" not in messages_chat.request(body(tool_choice={"type": "auto"}))


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1025}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "xhigh"),
        ({"thinking": {"type": "enabled", "budget_tokens": 16384}}, "max"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "between_tools"}}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}}, "high"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none"),
        ({"output_config": {}}, None),
    ],
)
def test_thinking_becomes_an_effort(fields: dict[str, Any], effort: str | None) -> None:
    assert messages_chat.request(body(max_tokens=20_000, **fields)).get("reasoning_effort") == effort


def test_media_in_tool_results_move_to_the_users_turn() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a picture"}, image]}
    chat = messages_chat.request(body(messages=said(result, {"type": "text", "text": "What is it?"})))
    assert chat["messages"] == [
        {"role": "tool", "tool_call_id": "t1", "content": "a picture"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Media returned by tool call t1:"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    ]


def test_a_failed_tool_says_so_to_the_model() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "no such city", "is_error": True}
    chat = messages_chat.request(body(messages=said(result)))
    assert chat["messages"] == [{"role": "tool", "tool_call_id": "t1", "content": "Error: no such city"}]


def test_a_breakpoint_on_a_tool_call_is_not_lost() -> None:
    call = {
        "type": "tool_use",
        "id": "t1",
        "name": "f",
        "input": {},
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    question = {"role": "user", "content": "Which?"}
    chat = messages_chat.request(body(messages=[question, *said(call, role="assistant")]))
    assert chat["messages"][0]["content"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert chat["messages"][1]["content"] is None


def test_a_breakpoint_with_nothing_before_it_is_refused() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "cache_control": {"type": "ephemeral"}}
    with pytest.raises(Invalid) as refusal:
        messages_chat.request(body(messages=said(call, role="assistant")))
    assert refusal.value.param == "messages[0].content[0].cache_control"


def test_instructions_in_mid_conversation_stay_where_they_are() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "system", "content": "Now in French."}]
    assert messages_chat.request(body(messages=turns))["messages"] == turns


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"service_tier": "priority"}, "service_tier"),
    ({"container": "c"}, "container"),
    ({"mcp_servers": []}, "mcp_servers"),
    ({"context_management": {}}, "context_management"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"speed": "fast"}, "speed"),
    ({"fallbacks": []}, "fallbacks"),
    ({"user_profile_id": "p"}, "user_profile_id"),
    *(
        ({"tools": [{"type": kind, "name": "x"}]}, "tools[0].type")
        for kind in (
            "web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "computer_20250124", "bash_20250124",
            "text_editor_20250728", "memory_20250818", "tool_search_tool_regex_20251119", "mcp_toolset",
        )
    ),
    ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools[0].allowed_callers"),
    ({"messages": said(source(type="file", file_id="file_1"))}, "messages[0].content[0].source.type"),
    (
        {"messages": said({"type": "document", "source": {"type": "file", "file_id": "file_1"}})},
        "messages[0].content[0].source.type",
    ),
    (
        {"messages": said({"type": "document", "source": {"type": "content", "content": []}})},
        "messages[0].content[0].source.type",
    ),
    (
        {
            "messages": said(
                {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}, "citations": {"enabled": True}}
            )
        },
        "messages[0].content[0].citations",
    ),
    *(
        ({"messages": said({"type": kind}, role=role)}, "messages[0].content[0].type")
        for kind, role in (
            ("container_upload", "user"), ("search_result", "user"), ("server_tool_use", "assistant"),
            ("web_search_tool_result", "assistant"), ("mcp_tool_use", "assistant"), ("tool_use", "user"), ("image", "assistant"),
        )
    ),
    (
        {"messages": said({"type": "tool_use", "id": "t", "name": "f", "input": {}, "toolset_name": "x"}, role="assistant")},
        "messages[0].content[0].toolset_name",
    ),
    (
        {
            "messages": said(
                {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "code_execution_20250825"}},
                role="assistant",
            )
        },
        "messages[0].content[0].caller",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), UNSUPPORTED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_sold_here_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        messages_chat.request(body(**fields))
    assert (refusal.value.param, refusal.value.code) == (param, "unsupported_parameter")


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": said({"type": "text"})}, "messages[0].content[0].text"),
    (
        {"messages": said(source(type="base64", media_type="image/svg+xml", data="x"))},
        "messages[0].content[0].source.media_type",
    ),
    ({"messages": said(source(type="url", url="data:image/png;base64,AA"))}, "messages[0].content[0].source.url"),
    ({"messages": said({"type": "tool_result", "content": "x"})}, "messages[0].content[0].tool_use_id"),
    (
        {"messages": said({"type": "tool_use", "id": "t", "name": "f", "input": "{}"}, role="assistant")},
        "messages[0].content[0].input",
    ),
    ({"system": 1}, "system"),
    (
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}}]},
        "system[0].cache_control.ttl",
    ),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": 0}},
        "tool_choice.disable_parallel_tool_use",
    ),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"temperature": 1.5}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": "1"}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"stream": "yes"}, "stream"),
    ({"thinking": {"type": "on"}}, "thinking.type"),
    ({"thinking": {"type": "enabled", "budget_tokens": 512}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2000}, "thinking.budget_tokens"),
    ({"output_config": {"effort": "minimal"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format.type"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id"),
]


@pytest.mark.parametrize(("fields", "param"), INVALID, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_value_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refusal:
        messages_chat.request(body(**fields))
    assert (refusal.value.param, refusal.value.code) == (param, "invalid_value")


def test_tool_input_nested_beyond_serialising_is_a_fault_of_the_request() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(Invalid):
        messages_chat.request(
            body(messages=said({"type": "tool_use", "id": "t", "name": "f", "input": deep}, role="assistant"))
        )


#: JSON that is the caller's own: whatever is in there is allowed
CALLERS_OWN = {"input_schema", "input", "schema"}


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object that the dialect defines."""
    if isinstance(value, dict):
        yield path
        for key, member in value.items():
            if key not in CALLERS_OWN:
                yield from objects(member, (*path, key))
    elif isinstance(value, list):
        for i, member in enumerate(value):
            yield from objects(member, (*path, i))


@pytest.mark.parametrize("path", list(objects(RICH)), ids=lambda path: ".".join(map(str, path)) or "body")
def test_an_unknown_key_is_refused_at_every_depth(path: tuple[Any, ...]) -> None:
    request = copy.deepcopy(RICH)
    place: Any = request
    for step in path:
        place = place[step]
    place["surprise"] = 1
    with pytest.raises((Unknown, Unsupported)) as refusal:
        messages_chat.request(request)
    if path[-1:] != ("caller",):  # refused as a whole
        assert isinstance(refusal.value, Unknown)
        assert str(refusal.value.param).endswith("surprise")
        assert refusal.value.code == "unknown_parameter"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["user", "text", "tool_use", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "source", "input", "name", "id", "ttl", "data", "tool_use_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(JSON, st.sampled_from([*RICH, "messages", "messages"]))
def test_junk_raises_nothing_but_faults(junk: Any, field: str) -> None:
    for request in (junk, {**RICH, field: junk}, body(messages=[{"role": "user", "content": junk}])):
        try:
            messages_chat.request(request)
        except FAULTS as fault:
            assert fault.message


@settings(max_examples=300, deadline=None)
@given(JSON, st.data())
def test_junk_in_any_place_raises_nothing_but_faults(junk: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in objects(RICH) if path]))
    request = copy.deepcopy(RICH)
    place: Any = request
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = junk
    try:
        messages_chat.request(request)
    except FAULTS as fault:
        assert fault.message


def test_counting_covers_the_prompt_and_its_tools() -> None:
    plain = messages_chat.count_text({"model": "m", "messages": body()["messages"]})
    assert plain == [{"role": "user", "content": "hi"}]
    with_tools = messages_chat.count_text({"model": "m", "messages": body()["messages"], "tools": [TOOL]})
    assert '"description":"The weather"' in with_tools[-1]["content"]
    assert tokens.count_messages(with_tools) > tokens.count_messages(plain) + 10
    with pytest.raises(Unknown):
        messages_chat.count_text({**body(), "surprise": 1})
    with pytest.raises(Invalid):
        messages_chat.count_text([])


# ---------------------------------------------------------------- answers

USAGE = Usage(
    input_tokens=1000,
    cached_input_tokens=600,
    cache_write_tokens=300,
    cache_write_1h_tokens=100,
    output_tokens=50,
    reasoning_tokens=20,
)
COUNTS = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 600,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
    "service_tier": "standard",
}


def completion(message: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}]}


def answer(message: dict[str, Any], finish_reason: str | None = "stop") -> dict[str, Any]:
    return messages_chat.complete(
        completion(message, finish_reason), message_id="gen-1", model="openai/gpt-4.1", usage=USAGE
    )


def test_an_answer_has_anthropics_shape_and_meaning_of_usage() -> None:
    assert answer({"content": "Hello"}) == {
        "id": "gen-1",
        "type": "message",
        "role": "assistant",
        "model": "openai/gpt-4.1",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": COUNTS,
    }


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "tool_use"),
        (None, "end_turn"),
    ],
)
def test_the_reason_to_stop_is_translated(finish_reason: str | None, stop_reason: str) -> None:
    assert answer({"content": "x"}, finish_reason)["stop_reason"] == stop_reason


def test_tool_calls_end_a_turn_whatever_the_vendor_calls_it() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    got = answer({"content": None, "tool_calls": [call]}, "stop")
    assert got["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}]
    assert got["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("arguments", "expected"), [("", {}), ("[1]", {"arguments": "[1]"}), ('{"a":', {"arguments": '{"a":'})]
)
def test_arguments_that_are_no_object_are_kept(arguments: str, expected: dict[str, Any]) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert answer({"tool_calls": [call]})["content"][0]["input"] == expected


def test_reasoning_comes_first_and_once() -> None:
    signed = [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}]
    assert answer({"content": "x", "reasoning_content": "Hm.", "reasoning_details": signed})["content"][:-1] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    ]
    assert answer({"content": "x", "reasoning_content": "Hm."})["content"][:-1] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""}
    ]
    sealed = [{"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 0}]
    assert answer({"content": "x", "reasoning_details": sealed})["content"][:-1] == [
        {"type": "redacted_thinking", "data": "b3BhcXVl"}
    ]


def test_a_tool_conversation_comes_back_as_it_was() -> None:
    """Canonical answer → Messages answer → the client's next request → the same canonical message."""
    message = {
        "role": "assistant",
        "content": "I ask twice.",
        "reasoning_content": "Two cities.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Two cities.", "signature": "c2ln", "index": 0},
            {"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 1},
        ],
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ],
    }
    results = [
        {"role": "tool", "tool_call_id": id_, "content": text} for id_, text in (("call_1", "rain"), ("call_2", "sun"))
    ]
    said_back = {"role": "assistant", "content": answer(message, "tool_calls")["content"]}
    told = said(*({"type": "tool_result", "tool_use_id": r["tool_call_id"], "content": r["content"]} for r in results))
    chat = messages_chat.request(
        body(messages=[{"role": "user", "content": "Weather?"}, said_back, *told], tools=[TOOL])
    )
    assert chat["messages"][1:] == [message, *results]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (401, "authentication_error"), (402, "billing_error"), (403, "permission_error"),
        (404, "not_found_error"), (405, "invalid_request_error"), (413, "request_too_large"), (422, "invalid_request_error"),
        (429, "rate_limit_error"), (500, "api_error"), (502, "api_error"), (503, "overloaded_error"), (504, "timeout_error"),
    ],
)  # fmt: skip
def test_errors_are_in_anthropics_envelope(status: int, kind: str) -> None:
    assert messages_chat.error_body(status, "some_code", "No.", "gen-1") == {
        "type": "error",
        "error": {"type": kind, "message": "No.", "details": {"error_code": "some_code"}},
        "request_id": "gen-1",
    }


# ---------------------------------------------------------------- streams


def parsed(data: bytes) -> list[dict[str, Any]]:
    framer = sse.Framer()
    events = framer.feed(data)
    assert framer.rest == b""
    found = []
    for event in events:
        fields = orjson.loads(sse.data_of(event))
        assert event.startswith(b"event: " + fields["type"].encode() + b"\ndata: "), "the event line names the type"
        found.append(fields)
    return found


DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "redacted_thinking": set(),
}


def message_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client reads out of the events; asserts Anthropic's grammar on the way."""
    assert events[0]["type"] == "message_start"
    message = copy.deepcopy(events[0]["message"])
    assert message["content"] == []
    block: dict[str, Any] | None = None
    ended = stopped = False
    for event in events[1:]:
        assert not stopped, "nothing after message_stop"
        kind = event["type"]
        if kind == "content_block_start":
            assert block is None and not ended, "one block at a time"
            assert event["index"] == len(message["content"])
            block = copy.deepcopy(event["content_block"])
            arguments = ""
        elif kind == "content_block_delta":
            assert block is not None and event["index"] == len(message["content"]), "a delta belongs to the open block"
            delta = event["delta"]
            assert delta["type"] in DELTAS[block["type"]]
            if delta["type"] == "input_json_delta":
                arguments += delta["partial_json"]
            else:
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
        elif kind == "content_block_stop":
            assert block is not None and event["index"] == len(message["content"])
            if block["type"] == "tool_use":
                block["input"] = orjson.loads(arguments or "{}")
            message["content"].append(block)
            block = None
        elif kind == "message_delta":
            assert block is None and not ended
            ended = True
            message |= event["delta"]
            message["usage"] |= event["usage"]
        elif kind == "message_stop":
            assert ended
            stopped = True
        else:
            assert kind == "ping"
    assert stopped
    return message


def streamed(*deltas: dict[str, Any], finish_reason: str = "stop") -> list[dict[str, Any]]:
    events = messages_chat.Events(message_id="gen-1", model="openai/gpt-4.1")
    out = [events.start(12)]
    out += [events.feed({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
    out.append(events.feed({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}))
    out.append(events.feed({"choices": []}))
    return parsed(b"".join([*out, events.finish(USAGE, b"0.000123")]))


def call(index: int, arguments: str, **start: str) -> dict[str, Any]:
    name = {"name": start["name"]} if start else {}
    opening = {"id": start["id"], "type": "function"} if start else {}
    return {"tool_calls": [{"index": index, **opening, "function": {**name, "arguments": arguments}}]}


def test_a_streamed_text_keeps_the_grammar_and_ends_with_its_cost() -> None:
    events = streamed({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"})
    assert [event["type"] for event in events] == [
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[0]["message"]["usage"]["input_tokens"] == 12
    assert message_of(events) == {
        "id": "gen-1",
        "type": "message",
        "role": "assistant",
        "model": "openai/gpt-4.1",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**COUNTS, "cost": 0.000123},
    }


def test_an_answer_without_content_is_still_a_message() -> None:
    assert message_of(streamed(finish_reason="content_filter"))["stop_reason"] == "refusal"


def test_reasoning_text_and_tools_are_blocks_in_order() -> None:
    message = message_of(
        streamed(
            {"reasoning_content": "H"},
            {"reasoning_content": "m.", "reasoning_details": [{"type": "reasoning.text", "text": "m.", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "", "signature": "c2ln", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 1}]},
            {"reasoning_content": "More."},
            {"content": "I ask."},
            call(0, "", id="call_1", name="f"),
            call(0, '{"a":'),
            call(0, "1}"),
            call(1, "", id="call_2", name="g"),
            finish_reason="tool_calls",
        )
    )
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "thinking", "thinking": "More.", "signature": ""},
        {"type": "text", "text": "I ask."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_reasoning_that_comes_as_details_alone_is_told() -> None:
    detail = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}
    message = message_of(streamed({"reasoning_details": [detail]}, {"content": "x"}))
    assert message["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def test_interleaved_tool_calls_lose_nothing() -> None:
    message = message_of(
        streamed(
            call(0, '{"a"', id="call_1", name="f"),
            call(1, '{"b"', id="call_2", name="g"),
            call(0, ":1}"),
            {"content": "Meanwhile"},
            call(1, ":2}"),
        )
    )
    assert message["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {"b": 2}},
        {"type": "text", "text": "Meanwhile"},
    ]


PIECES = st.one_of(
    st.text(max_size=4).map(lambda text: {"content": text}),
    st.text(max_size=4).map(lambda text: {"reasoning_content": text}),
    st.just({"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "index": 0}]}),
    st.just({"reasoning_details": [{"type": "reasoning.encrypted", "data": "b3BhcXVl", "index": 0}]}),
    st.integers(0, 3).map(lambda index: call(index, "", id=f"call_{index}", name="f")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_any_order_of_chunks_keeps_the_grammar_and_the_text(deltas: list[dict[str, Any]]) -> None:
    message = message_of(streamed(*deltas))
    spoken = [block["text"] for block in message["content"] if block["type"] == "text"]
    thought = [block["thinking"] for block in message["content"] if block["type"] == "thinking"]
    assert "".join(spoken) == "".join(delta.get("content", "") for delta in deltas)
    assert "".join(thought) == "".join(delta.get("reasoning_content", "") for delta in deltas)
    called = {block["id"] for block in message["content"] if block["type"] == "tool_use"}
    assert called == {delta["tool_calls"][0]["id"] for delta in deltas if "tool_calls" in delta}


def test_a_failure_is_an_error_event() -> None:
    events = messages_chat.Events(message_id="gen-1", model="m")
    events.start(1)
    assert events.error("api_error", "Gone.", "gen-1") == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Gone."},"request_id":"gen-1"}\n\n'
    )
