"""Every vendor of the registry, both ways: what it is asked, and what is made of its plain and streamed answers."""

import pathlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from billing.meters import Usage
from gateway import faces
from gateway.adapters import ADAPTERS
from gateway.parameters import chat_request
from gateway.plain import PlainAnswer
from gateway.stream import AnswerStream, ChatStream, NativeMessagesStream, TranslatedStream
from gateway.upstreams.registry import UPSTREAMS
from tokenhub.errors import TokenHubError

type Json = dict[str, Any]

RECORDINGS = pathlib.Path(__file__).parent / "recordings"
VENDORS = [name for name, row in UPSTREAMS.items() if row.dialect is not None]
KIN = [name for name in VENDORS if UPSTREAMS[name].dialect == "openai"]

# what every recording says
TEXT, THOUGHT, ARGUMENTS = "Grüße 🙂", "Hm, ü?", '{"ort":"Köln"}'
USAGE = Usage(input_tokens=100, cached_input_tokens=40, output_tokens=30, reasoning_tokens=20)


def recorded(vendor: str, ending: str) -> bytes:
    return (RECORDINGS / f"{vendor}.{ending}").read_bytes()


def expected(vendor: str) -> Json:
    return {
        "content": TEXT,
        "reasoning": "" if vendor == "openai" else THOUGHT,
        "calls": [("call_1", "wetter", {"ort": "Köln"})],
        "finish_reason": "tool_calls",
    }


def heard(choices: list[Json]) -> Json:
    """What an answer says, be it one message or many deltas."""
    said: Json = {"content": "", "reasoning": "", "calls": [], "finish_reason": None}
    calls: dict[int, list[str]] = {}
    for choice in choices:
        part = choice.get("message") or choice.get("delta") or {}
        said["content"] += part.get("content") or ""
        details = "".join(detail.get("text", "") for detail in part.get("reasoning_details") or ())
        said["reasoning"] += part.get("reasoning_content") or details
        for i, call in enumerate(part.get("tool_calls") or ()):
            whole = calls.setdefault(call.get("index", i), ["", "", ""])
            function = call.get("function") or {}
            for place, piece in enumerate((call.get("id"), function.get("name"), function.get("arguments"))):
                whole[place] += piece or ""
        said["finish_reason"] = choice.get("finish_reason") or said["finish_reason"]
    said["calls"] = [(id_, name, orjson.loads(arguments)) for id_, name, arguments in calls.values()]
    return said


# ---------------------------------------------------------------- what a vendor is asked

TOOL: Json = {
    "type": "function",
    "function": {"name": "wetter", "description": "Wetter", "parameters": {"type": "object"}},
}
CALL: Json = {"id": "call_0", "type": "function", "function": {"name": "wetter", "arguments": ARGUMENTS}}
ASK: Json = {
    "model": "any/model",
    "messages": [
        {"role": "developer", "content": "Sei knapp."},
        {"role": "user", "content": [{"type": "text", "text": "Wie"}, {"type": "text", "text": "ist es?"}]},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_0", "content": "5 °C"},
    ],
    "tools": [TOOL],
    "temperature": 0.5,
    "stop": ["ENDE"],
    "max_tokens": 900,
}
PARTS = [{"type": "text", "text": "Wie"}, {"type": "text", "text": "ist es?"}]


def turns(system: str = "system", *, user: Any = PARTS, keeps_reasoning: bool = False) -> list[Json]:
    thought = {"reasoning_content": "Hm."} if keeps_reasoning else {}
    return [
        {"role": system, "content": "Sei knapp."},
        {"role": "user", "content": user},
        {"role": "assistant", "content": None, **thought, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_0", "content": "5 °C"},
    ]


ALL: Json = {"model": "m-1", "tools": [TOOL], "stop": ["ENDE"]}
WARM: Json = {"temperature": 0.5}
ASKED: dict[str, Json] = {
    "openai": {**ALL, **WARM, "messages": turns("developer"), "store": False, "max_completion_tokens": 900},
    "xai": {
        **{name: value for name, value in ALL.items() if name != "stop"}, **WARM, "messages": turns(), "max_completion_tokens": 900,
    },
    "dashscope": {**ALL, **WARM, "messages": turns(), "max_completion_tokens": 900},
    "zhipu": {**ALL, **WARM, "messages": turns(), "max_tokens": 900},
    "minimax": {**ALL, **WARM, "messages": turns(), "reasoning_split": True, "max_tokens": 900},
    "mimo": {**ALL, **WARM, "messages": turns(keeps_reasoning=True), "max_completion_tokens": 900},
    "moonshot": {**ALL, "messages": turns(user="Wie\nist es?", keeps_reasoning=True), "max_tokens": 900},
    "deepseek": {**ALL, "messages": turns(keeps_reasoning=True), "max_tokens": 900},
    "ark": {**ALL, **WARM, "messages": turns(), "max_tokens": 900},
    "anthropic": {
        "model": "m-1", "max_tokens": 900, "stop_sequences": ["ENDE"],
        "system": [{"type": "text", "text": "Sei knapp."}],
        "messages": [
            {"role": "user", "content": PARTS},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_0", "name": "wetter", "input": {"ort": "Köln"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_0", "content": [{"type": "text", "text": "5 °C"}]}
            ]},
        ],
        "tools": [{"name": "wetter", "description": "Wetter", "input_schema": {"type": "object"}}],
    },
    "google": {
        "systemInstruction": {"parts": [{"text": "Sei knapp."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Wie"}, {"text": "ist es?"}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "0", "name": "wetter", "args": {"ort": "Köln"}},
                 "thoughtSignature": "skip_thought_signature_validator"},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "0", "name": "wetter", "response": {"result": "5 °C"}}}
            ]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "wetter", "description": "Wetter", "parametersJsonSchema": {"type": "object"}}
        ]}],
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 900, "stopSequences": ["ENDE"]},
    },
}  # fmt: skip
PATHS = {
    "anthropic": "/messages",
    "google": "/models/m-1:generateContent",
    "dashscope": "/compatible-mode/v1/chat/completions",
}
#: refused by this vendor, so it is asked without
UNSPEAKABLE = {"xai": {"stop"}}
SAID_TO_STREAMS = {"zhipu": {"tool_stream": True}}


def asked(vendor: str, **more: Any) -> Json:
    upstream = UPSTREAMS[vendor]
    adapter = ADAPTERS[upstream.dialect or ""]
    ask = {name: value for name, value in ASK.items() if name not in UNSPEAKABLE.get(vendor, ())}
    request = chat_request(ask | more)
    adapter.check(request, upstream, "m-1", {})
    body: Json = orjson.loads(adapter.body(request, upstream, "m-1", {}, 900))
    return body


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_call_is_put_in_the_vendors_words(vendor: str) -> None:
    assert asked(vendor) == ASKED[vendor]
    upstream = UPSTREAMS[vendor]
    url = ADAPTERS[upstream.dialect or ""].url(upstream, "m-1", stream=False)
    assert url == upstream.base_url + PATHS.get(vendor, "/chat/completions")


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_streamed_call_is_put_in_the_vendors_words(vendor: str) -> None:
    streams: Json = {"stream": True} if vendor != "google" else {}
    usage: Json = {"stream_options": {"include_usage": True}} if vendor in KIN else {}
    assert asked(vendor, stream=True) == ASKED[vendor] | streams | usage | SAID_TO_STREAMS.get(vendor, {})
    url = ADAPTERS["google"].url(UPSTREAMS["google"], "m-1", stream=True)
    assert url.endswith("/models/m-1:streamGenerateContent?alt=sse")


# ---------------------------------------------------------------- plain answers


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_plain_answer_is_read_from_every_wire(vendor: str) -> None:
    choices, usage = ADAPTERS[UPSTREAMS[vendor].dialect or ""].complete(recorded(vendor, "json"))
    assert heard(choices) == expected(vendor)
    assert usage == USAGE


@pytest.mark.parametrize("vendor", KIN)
def test_a_plain_answer_reaches_a_chat_client_with_our_id_model_and_counts(vendor: str) -> None:
    answer = PlainAnswer(faces.CHAT, ADAPTERS["openai"], chat_request(ASK), recorded(vendor, "json"))
    assert answer.usage == USAGE
    body = orjson.loads(answer.body("gen-1", "a/b", USAGE, 1_500_000_000))
    assert (body["id"], body["model"], body["usage"]["cost"]) == ("gen-1", "a/b", 1.5)
    assert heard(body["choices"]) == expected(vendor)


# ---------------------------------------------------------------- streams


class NoSink:
    has_left = False

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def end(self, data: bytes) -> None: ...


class Chunks:
    """A client that is given canonical chunks as they are."""

    def start(self) -> bytes:
        return b""

    def feed(self, chunk: Json) -> bytes:
        return orjson.dumps(chunk) + b"\n"

    def finish(self, usage: Usage, cost_nanos: int) -> bytes:
        return b""

    def error(self, error: TokenHubError) -> bytes:
        return b""


def translated(vendor: str) -> AnswerStream:
    events = ADAPTERS[UPSTREAMS[vendor].dialect or ""].events()
    return TranslatedStream(NoSink(), [], upstream=events, client=Chunks())


def passed(vendor: str) -> AnswerStream:
    if vendor == "anthropic":
        return NativeMessagesStream(NoSink(), [], generation_id="gen-1", model="a/b", failure=lambda error: b"")
    return ChatStream(NoSink(), [], generation_id="gen-1", model="a/b", include_usage=False)


def fed(stream: AnswerStream, *pieces: bytes) -> tuple[bytes, Usage | None, bool, str]:
    out = b"".join(stream.feed(piece) for piece in pieces) + stream.feed_rest()
    assert stream.error is None
    return out, stream.usage, stream.is_complete, stream.text()


def cut_everywhere(wire: bytes) -> list[list[bytes]]:
    two = [[wire[:at], wire[at:]] for at in range(1, len(wire))]
    return [*two, [wire[at : at + 1] for at in range(len(wire))]]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_streamed_answer_is_read_from_every_wire(vendor: str) -> None:
    out, usage, is_complete, text = fed(translated(vendor), recorded(vendor, "sse"))
    choices = [choice for line in out.splitlines() for choice in orjson.loads(line)["choices"]]
    assert heard(choices) == expected(vendor)
    assert (usage, is_complete) == (USAGE, True)
    assert TEXT in text and "wetter" in text  # it can be counted here, too


@pytest.mark.parametrize("vendor", KIN)
def test_a_streamed_answer_passes_to_a_chat_client_under_our_name(vendor: str) -> None:
    out, usage, is_complete, _ = fed(passed(vendor), recorded(vendor, "sse"))
    chunks = [orjson.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n") if event]
    assert {(chunk["id"], chunk["model"]) for chunk in chunks} == {("gen-1", "a/b")}
    assert heard([choice for chunk in chunks for choice in chunk["choices"]]) == expected(vendor)
    assert (usage, is_complete) == (USAGE, True)
    assert not any(chunk.get("usage") for chunk in chunks)  # the client did not ask for it


def test_anthropics_stream_passes_to_a_messages_client_under_our_name() -> None:
    stream = passed("anthropic")
    out, usage, is_complete, text = fed(stream, recorded("anthropic", "sse"))
    assert (usage, is_complete) == (USAGE, True) and TEXT in text
    start = orjson.loads(out.split(b"\n")[1].removeprefix(b"data: "))
    assert (start["message"]["id"], start["message"]["model"]) == ("gen-1", "a/b")


#: Gemini's bytes pass to nobody
WAYS = [(vendor, way) for vendor in VENDORS for way in (translated, passed) if (vendor, way) != ("google", passed)]


@pytest.mark.parametrize(("vendor", "way"), WAYS)
def test_a_stream_is_the_same_wherever_it_is_cut(vendor: str, way: Callable[[str], AnswerStream]) -> None:
    wire = recorded(vendor, "sse")
    whole = fed(way(vendor), wire)
    for pieces in cut_everywhere(wire):
        assert fed(way(vendor), *pieces) == whole, pieces[0][-20:]


def _lines(wire: bytes, newline: bytes) -> bytes:
    return wire.replace(b"\r\n", b"\n").replace(b"\n", newline)


SPELLINGS = {
    "crlf": lambda wire: _lines(wire, b"\r\n"),
    "cr": lambda wire: _lines(wire, b"\r"),
    "no space": lambda wire: wire.replace(b"data: ", b"data:"),
    "comments": lambda wire: b": hello\n\n" + _lines(wire, b"\n").replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "comment in event": lambda wire: _lines(wire, b"\n").replace(b"data: ", b": keep-alive\ndata: "),
    "other fields": lambda wire: _lines(wire, b"\n").replace(b"data: ", b"id: 7\nretry: 100\ndata: "),
    "blank lines": lambda wire: b"\n\n" + _lines(wire, b"\n").replace(b"\n\n", b"\n\n\n"),
    "no final blank line": lambda wire: wire.rstrip(b"\r\n"),
    "one final newline": lambda wire: wire.rstrip(b"\r\n") + b"\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_stream_is_the_same_however_it_is_spelled(vendor: str, spelling: str) -> None:
    wire = recorded(vendor, "sse")
    spelled = SPELLINGS[spelling](wire)
    assert spelled != wire or (vendor, spelling) == ("google", "crlf")
    for way in [way for one, way in WAYS if one == vendor]:
        if way is passed and vendor == "anthropic":
            continue  # its bytes pass as they are spelled
        whole = fed(way(vendor), wire)
        assert fed(way(vendor), spelled) == whole
        for at in range(1, len(spelled), 7):
            assert fed(way(vendor), spelled[:at], spelled[at:]) == whole, at


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_stream_that_breaks_off_anywhere_is_never_complete(vendor: str) -> None:
    """Before the event that ends the answer, nothing looks like its end; and half an event is no event."""
    wire = recorded(vendor, "sse")
    end = {"anthropic": b'"message_delta"', "google": b'"finishReason"'}.get(vendor, b'"tool_calls"}')
    if vendor in KIN:
        end = b'"finish_reason": "tool_calls"' if vendor == "mimo" else b'"finish_reason":"tool_calls"'
    assert wire.count(end) >= 1
    for at in range(wire.index(end)):
        stream = translated(vendor)
        stream.feed(wire[:at])
        assert not stream.is_complete
