"""The sandbox on Anthropic's wire: what its Messages answer, stream, cache and refuse."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import tokens
from gateway.sandbox import replies
from gateway.sandbox.anthropic_wire import AnthropicWire
from gateway.sandbox.prompt_cache import PromptCache
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.wires import Call
from tests import servers
from tests.gateway.sandbox_calls import client, eventually, log, text

PATH = "/anthropic/v1/messages"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "anything"}
MODEL = "claude-sonnet-4-6"
TOOLS = [
    {
        "name": name,
        "description": description,
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    for name, description in (("get_weather", "Current weather of a city"), ("get_time", "The local hour"))
]
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}


@pytest.fixture
def http(sandbox: servers.Server) -> Iterator[httpx.Client]:
    with client(sandbox.url) as http:
        yield http


def body(prompt: Any, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 4096, "messages": [{"role": "user", "content": prompt}], **more}


def post(http: httpx.Client, prompt: Any, **more: Any) -> httpx.Response:
    return http.post(PATH, json=body(prompt, **more), headers=HEADERS)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    parsed = []
    for frame in response.text.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
    return parsed


def deltas(parsed: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    found = [event["delta"] for event in parsed if event["type"] == "content_block_delta"]
    return [delta for delta in found if delta["type"] == kind]


def refused(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"
    return response.json()["error"]["message"]


def thinking_block(http: httpx.Client) -> dict[str, Any]:
    answer = post(http, "Why?", thinking={"type": "enabled", "budget_tokens": 1024}).json()
    return answer["content"][0]


# ---------------------------------------------------------------- answers
def test_a_message_says_what_openais_wire_would_say(http: httpx.Client) -> None:
    prompt = "What is the capital of France?"
    response = post(http, prompt)
    answer = response.json()
    said = text(http, prompt, model=MODEL)
    assert response.headers["request-id"].startswith("req_")
    assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", MODEL)
    assert answer["content"] == [{"type": "text", "text": said}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    assert answer["usage"] == {
        "input_tokens": tokens.count(prompt) + 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens.count(said),
        "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": None,
        "service_tier": "standard",
    }
    assert log(http)["wire"] == "openai"
    assert http.get("/stats").json()["log"][0]["wire"] == "anthropic"


def test_system_images_and_documents_count_as_prompt(http: httpx.Client) -> None:
    alone = post(http, "Hello").json()["usage"]["input_tokens"]
    parts = [PNG, PDF, {"type": "text", "text": "Hello"}]
    full = post(http, parts, system=[{"type": "text", "text": "Be brief."}]).json()["usage"]["input_tokens"]
    assert full - alone == 2 * tokens.MEDIA_TOKENS + tokens.MESSAGE_OVERHEAD_TOKENS + tokens.count("Be brief.")


def test_a_stream_opens_fills_and_closes_its_blocks(http: httpx.Client) -> None:
    plain = post(http, "Tell me about rivers").json()
    start, ping, opened, *middle, closed, ended, stop = events(post(http, "Tell me about rivers", stream=True))
    assert start["message"] | {"content": [], "stop_reason": None} == start["message"]
    assert start["message"]["usage"] == plain["usage"] | {"output_tokens": 1}
    assert opened == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert "".join(delta["text"] for delta in deltas(middle, "text_delta")) == plain["content"][0]["text"]
    assert len(middle) == plain["usage"]["output_tokens"]
    assert closed == {"type": "content_block_stop", "index": 0}
    assert ended["delta"]["stop_reason"] == "end_turn"
    assert ended["usage"] == plain["usage"]
    assert (ping, stop) == ({"type": "ping"}, {"type": "message_stop"})


def test_each_end_has_its_reason(http: httpx.Client) -> None:
    def ending(prompt: str, **more: Any) -> tuple[Any, Any]:
        answer = post(http, prompt, **more).json()
        return answer["stop_reason"], answer["stop_sequence"]

    assert ending("one two three", model="echo", stop_sequences=["three"]) == ("stop_sequence", "three")
    assert ending("Tell me about rivers", max_tokens=7) == ("max_tokens", None)
    assert ending("[[sandbox: stop pause_turn]]") == ("pause_turn", None)
    assert ending("[[sandbox: stop none]]") == (None, None)
    declined = post(http, "[[sandbox: refusal]]").json()
    assert (declined["stop_reason"], declined["content"]) == ("refusal", [])
    assert declined["stop_details"] == {"type": "refusal", "category": None, "explanation": None}


def test_structured_output_fits_its_schema(http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    answer = post(http, "Go to Oslo", output_config={"format": {"type": "json_schema", "schema": schema}}).json()
    assert json.loads(answer["content"][0]["text"]) == {"city": "Oslo"}


# ---------------------------------------------------------------- tools
def test_tools_are_called_and_their_results_are_told(http: httpx.Client) -> None:
    question = {"role": "user", "content": "The weather and the time in Oslo?"}
    answer = post(http, question["content"], tools=TOOLS).json()
    calls = answer["content"]
    assert answer["stop_reason"] == "tool_use"
    assert [(call["type"], call["name"], call["input"]) for call in calls] == [
        ("tool_use", "get_weather", {"city": "Oslo"}),
        ("tool_use", "get_time", {"city": "Oslo"}),
    ]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "12 and fine"} for call in calls]
    history = [question, {"role": "assistant", "content": calls}]
    final = post(http, "", tools=TOOLS, messages=[*history, {"role": "user", "content": results}]).json()
    assert "get_weather says: 12 and fine. get_time says: 12 and fine." in final["content"][0]["text"]

    late = [{"type": "text", "text": "Here you are"}, *results]
    for turn, complaint in ((late, "without `tool_result`"), (results[:1], calls[1]["id"])):
        messages = [*history, {"role": "user", "content": turn}]
        assert complaint in refused(post(http, "", tools=TOOLS, messages=messages))
    assert "unexpected `tool_use_id`" in refused(post(http, results, tools=TOOLS))


def test_tool_choice_decides_which_tools_are_called(http: httpx.Client) -> None:
    def called(prompt: str, **choice: Any) -> list[str]:
        content = post(http, prompt, tools=TOOLS, tool_choice=choice).json()["content"]
        return [block["name"] for block in content if block["type"] == "tool_use"]

    both = "The weather and the time in Oslo?"
    assert called(both, type="auto") == ["get_weather", "get_time"]
    assert called(both, type="auto", disable_parallel_tool_use=True) == ["get_weather"]
    assert called(both, type="none") == []
    assert called("Good morning", type="any") == ["get_weather"]
    assert called("Good morning", type="tool", name="get_time") == ["get_time"]


def test_a_streamed_call_says_its_input_in_several_deltas(http: httpx.Client) -> None:
    parsed = events(post(http, "The weather in Oslo?", tools=TOOLS, stream=True))
    (opened,) = [event["content_block"] for event in parsed if event["type"] == "content_block_start"]
    assert (opened["type"], opened["name"], opened["input"]) == ("tool_use", "get_weather", {})
    pieces = [delta["partial_json"] for delta in deltas(parsed, "input_json_delta")]
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"city": "Oslo"}
    bare = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    parsed = events(post(http, "The weather?", tools=bare, stream=True))
    assert "".join(delta["partial_json"] for delta in deltas(parsed, "input_json_delta")) == ""


# ---------------------------------------------------------------- thinking
@pytest.mark.parametrize(
    "asked",
    [{"thinking": {"type": "adaptive"}}, {"output_config": {"effort": "low"}}, {"thinking": {"type": "between_tools"}}],
)
def test_thinking_comes_first_when_asked_for(http: httpx.Client, asked: dict[str, Any]) -> None:
    answer = post(http, "Why?", **asked).json()
    thought, said = answer["content"]
    assert (thought["type"], said["type"]) == ("thinking", "text")
    assert answer["usage"]["output_tokens_details"]["thinking_tokens"] == tokens.count(thought["thinking"]) > 0
    counted = tokens.count(thought["thinking"]) + tokens.count(said["text"])
    assert answer["usage"]["output_tokens"] == counted
    parsed = events(post(http, "Why?", stream=True, **asked))
    assert "".join(delta["thinking"] for delta in deltas(parsed, "thinking_delta")) == thought["thinking"]
    assert deltas(parsed, "signature_delta") == [{"type": "signature_delta", "signature": thought["signature"]}]
    stops = [event["index"] for event in parsed if event["type"] == "content_block_stop"]
    assert stops == [0, 1]


@pytest.mark.parametrize("more", [{}, {"thinking": {"type": "disabled"}}, {"output_config": {"effort": "none"}}])
def test_nobody_thinks_unasked(http: httpx.Client, more: dict[str, Any]) -> None:
    assert [block["type"] for block in post(http, "Why?", **more).json()["content"]] == ["text"]


def test_a_thought_must_come_back_as_it_was(http: httpx.Client) -> None:
    thought = thinking_block(http)

    def echoed(**changed: Any) -> httpx.Response:
        turn = [thought | changed, {"type": "text", "text": "So."}]
        first, last = {"role": "user", "content": "Why?"}, {"role": "user", "content": "And then?"}
        return post(http, "", messages=[first, {"role": "assistant", "content": turn}, last])

    assert echoed().status_code == 200
    for changed in ({"signature": "c2lnbmVk"}, {"thinking": "Something else"}, {"signature": None}):
        assert "Invalid `signature`" in refused(echoed(**changed))


# ---------------------------------------------------------------- caching
def test_a_prefix_is_written_once_and_then_read(http: httpx.Client) -> None:
    def cached(*ttls: str, question: str = "Hello") -> tuple[int, int, int, int]:
        system = [
            {"type": "text", "text": f"Rule {number}.", "cache_control": {"type": "ephemeral", "ttl": ttl}}
            for number, ttl in enumerate(ttls)
        ]
        usage = post(http, question, system=system).json()["usage"]
        total = sum(usage[name] for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"))
        assert total == tokens.count_messages(
            [{"role": "system", "content": [{"text": block["text"]} for block in system]}, {"content": question}]
        )
        return (
            usage["cache_read_input_tokens"],
            usage["cache_creation_input_tokens"],
            usage["cache_creation"]["ephemeral_5m_input_tokens"],
            usage["cache_creation"]["ephemeral_1h_input_tokens"],
        )

    rule = tokens.count("Rule 0.")
    assert cached("5m") == (0, rule, rule, 0)
    assert cached("5m", question="Good morning") == (rule, 0, 0, 0)
    assert cached("5m", "1h") == (rule, rule, 0, rule)
    assert cached("5m", "1h") == (2 * rule, 0, 0, 0)
    http.post("/stats/reset")
    assert cached("1h", "5m") == (0, 2 * rule, rule, rule)


def test_a_conversation_reads_what_its_last_turn_wrote(http: httpx.Client) -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    first = post(http, [{"type": "text", "text": "Tell me about rivers", **marked}]).json()["usage"]
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Tell me about rivers"}]},
        {"role": "assistant", "content": "They are long."},
        {"role": "user", "content": [{"type": "text", "text": "And lakes?", **marked}]},
    ]
    second = post(http, "", messages=turns).json()["usage"]
    assert (
        second["cache_read_input_tokens"]
        == first["cache_creation_input_tokens"]
        == tokens.count("Tell me about rivers")
    )
    assert second["cache_creation_input_tokens"] == tokens.count("They are long.") + tokens.count("And lakes?")
    automatic = post(http, "", messages=[*turns[:2], {"role": "user", "content": "And lakes?"}], **marked)
    assert automatic.json()["usage"]["cache_creation_input_tokens"] == 0


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"model": None}, "model: Field required"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "'image_url'"),
        ({"n": 2}, "n: Extra inputs are not permitted"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
        ({"temperature": 0.5, "thinking": {"type": "adaptive"}}, "may only be set to 1"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "`max_tokens` must be greater"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.custom.name"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type"),
        ({"tool_choice": {"type": "any"}}, "while providing tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "fly"}}, "not found"),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}]}, "ttl"),
        ({"model": "claude-sonnet-5-5", "temperature": 1}, "temperature: Extra inputs"),
        ({"model": "claude-haiku-5-5", "top_k": 3}, "top_k: Extra inputs"),
        ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, "cannot be disabled"),
        ({"model": "claude-opus-5-5", "tools": TOOLS, "tool_choice": {"type": "any"}}, "forces tool use"),
    ],
)
def test_what_anthropic_refuses_is_refused(http: httpx.Client, change: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(post(http, "Hello", **change))
    assert log(http)["status"] == 400


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.5},
        {"model": "claude-haiku-4-5", "temperature": 0.5},
        {"model": "claude-haiku-5-5", "thinking": {"type": "disabled"}, "tools": TOOLS, "tool_choice": {"type": "any"}},
        {"model": "echo", "temperature": 0.5},
    ],
)
def test_what_anthropic_takes_is_taken(http: httpx.Client, more: dict[str, Any]) -> None:
    assert post(http, "Hello", **more).status_code == 200


def test_an_answer_is_begun_for_the_model_only_before_4_6(http: httpx.Client) -> None:
    begun = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Well"}]
    assert "prefill" in refused(post(http, "", messages=begun))
    assert post(http, "", messages=begun, model="claude-haiku-4-5").status_code == 200


def test_the_version_is_required_and_decides(http: httpx.Client) -> None:
    def status(version: str | None, **more: Any) -> int:
        headers = {} if version is None else {"anthropic-version": version}
        return http.post(PATH, json=body("Hello", **more), headers=headers).status_code

    assert (status(None), status("2020-01-01"), status("2026-10-21")) == (400, 400, 200)
    assert (status("2026-10-21", temperature=1), status("2023-06-01", temperature=1)) == (400, 200)


def test_errors_come_in_anthropics_envelope(http: httpx.Client) -> None:
    for path in (PATH, "/anthropic/v1/nothing"):
        response = http.get(path)
        assert (response.json()["type"], set(response.json())) == ("error", {"type", "error", "request_id"})
        assert response.headers["request-id"] == response.json()["request_id"]
    assert response.json()["error"]["type"] == "not_found_error"
    assert "'nonsense'" in refused(post(http, "[[sandbox: nonsense]]"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(("user", "text", "tool_use", "ephemeral", "")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("type", "role", "content", "text", "source", "input", "id", "name", "cache_control", "ttl", "thinking")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    content=JSON,
    more=st.dictionaries(
        st.sampled_from(
            (
                "messages",
                "system",
                "tools",
                "tool_choice",
                "thinking",
                "output_config",
                "cache_control",
                "stop_sequences",
            )
        ),
        JSON,
    ),
)
def test_no_body_is_too_strange_to_be_answered_or_refused(content: Any, more: dict[str, Any]) -> None:
    wire = AnthropicWire(PromptCache())
    try:
        request = wire.read(Call(PATH, {}, HEADERS, body(content, **more)))
    except Refusal as refusal:
        assert refusal.status == 400
        return
    choices = replies.choices_for(request)
    assert wire.envelope(request).completion(choices, replies.measure(replies.pieces_of(choices)))


# ---------------------------------------------------------------- directives
@pytest.mark.parametrize(
    ("directive", "status", "kind"),
    [
        ("fail 500", 500, "api_error"),
        ("fail 529", 529, "overloaded_error"),
        ("429", 429, "rate_limit_error"),
        ("status 401", 401, "authentication_error"),
        ("status 402", 402, "billing_error"),
        ("status 403", 403, "permission_error"),
    ],
)
def test_failures_have_anthropics_names(http: httpx.Client, directive: str, status: int, kind: str) -> None:
    response = post(http, f"[[sandbox: {directive}]]", stream=True)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)


def test_a_stream_breaks_off_as_directed(http: httpx.Client) -> None:
    *_, last = events(post(http, "[[sandbox: error-after 3]]", stream=True))
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert post(http, "[[sandbox: error-after 3]]").status_code == 500
    *_, last = events(post(http, "[[sandbox: no-done]]", stream=True))
    assert last["type"] == "message_delta"
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, "[[sandbox: fail-after 3]]", stream=True)
    assert log(http)["completion_tokens"] == 3
    for directive in ("hang", "hang-after 3"):
        with pytest.raises(httpx.ReadTimeout):
            http.post(PATH, json=body(f"[[sandbox: {directive}]]", stream=True), headers=HEADERS, timeout=0.3)
    eventually(lambda: http.get("/stats").json()["open"] == 0)


def test_usage_is_reported_in_anthropics_meaning(http: httpx.Client) -> None:
    def reported(directive: str) -> list[Any]:
        prompt = f"[[sandbox: usage {directive}]]"
        *_, ended, _ = events(post(http, prompt, stream=True))
        return [post(http, prompt).json().get("usage", "absent"), ended.get("usage", "absent")]

    assert reported("none") == ["absent", "absent"]
    assert reported("null") == [None, None]
    for usage in reported("100,20,cached=60,write=30,write1h=10,reasoning=5"):
        assert usage["input_tokens"] == 100 - 60 - 30
        assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (60, 30)
        assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}
        assert (usage["output_tokens"], usage["output_tokens_details"]) == (20, {"thinking_tokens": 5})


def test_reasoning_html_big_line_and_the_model_work_here_too(http: httpx.Client) -> None:
    usage = post(http, "[[sandbox: reasoning 9; tokens 5]]").json()["usage"]
    assert (usage["output_tokens"], usage["output_tokens_details"]) == (14, {"thinking_tokens": 9})
    assert post(http, "[[sandbox: html]]").headers["content-type"] == "text/html; charset=utf-8"
    assert max(map(len, post(http, "[[sandbox: big-line 300000]]", stream=True).text.splitlines())) == 300_000
    assert len(post(http, "[[sandbox: big-line 300000]]").content) == 300_000
    assert post(http, "[[sandbox: wrong-model]]").json()["model"] != MODEL
