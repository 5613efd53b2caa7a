"""OpenAI-shaped vendors and the words of their own that they have."""

import dataclasses
from typing import Any

import orjson
import pytest

from billing.meters import Usage
from gateway import faces
from gateway.adapters import ADAPTERS, ChatEvents
from gateway.parameters import chat_request
from gateway.plain import PlainAnswer
from gateway.stream import ChatStream
from gateway.upstreams import openai
from gateway.upstreams.registry import UPSTREAMS

ADAPTER = ADAPTERS["openai"]
ASK: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
}


def sent(vendor: str, **more: Any) -> tuple[dict[str, Any], list[str]]:
    request = chat_request(ASK | more)
    upstream = UPSTREAMS[vendor]
    ADAPTER.check(request, upstream, "their-model", {})
    return orjson.loads(ADAPTER.body(request, upstream, "their-model", {}, 77)), request.adjusted


@pytest.mark.parametrize(
    ("vendor", "bound"),
    [("openai", "max_completion_tokens"), ("xai", "max_completion_tokens"), ("deepseek", "max_tokens"), ("moonshot", "max_tokens"),
     ("zhipu", "max_tokens"), ("minimax", "max_tokens"), ("dashscope", "max_completion_tokens"), ("ark", "max_tokens"), ("mimo", "max_completion_tokens")],
)  # fmt: skip
def test_the_output_bound_goes_by_the_vendors_own_name(vendor: str, bound: str) -> None:
    body, _ = sent(vendor)
    assert body["model"] == "their-model"
    assert {name: body[name] for name in body if name.startswith("max_")} == {bound: 77}


def test_only_openai_knows_developers() -> None:
    assert sent("openai")[0]["messages"][0]["role"] == "developer"
    for vendor in ("xai", "dashscope", "zhipu", "minimax", "mimo", "moonshot", "deepseek", "ark"):
        assert sent(vendor)[0]["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("vendor", "more", "kept", "adjusted"),
    [
        ("zhipu", {"temperature": 0}, {}, []),  # test_quirks: do_sample
        ("zhipu", {"temperature": 0.001}, {"temperature": 0.01}, ["temperature"]),
        ("zhipu", {"temperature": 1.5}, {"temperature": 0.99}, ["temperature"]),
        ("minimax", {"temperature": 2}, {"temperature": 1.0, "reasoning_split": True}, ["temperature"]),
        ("moonshot", {"temperature": 0.5}, {}, ["temperature"]),
        ("xai", {"frequency_penalty": 1, "presence_penalty": 1}, {}, ["presence_penalty", "frequency_penalty"]),
        ("openai", {"temperature": 1.5}, {"temperature": 1.5}, []),
    ],
)
def test_what_a_vendor_lacks_is_clamped_or_dropped_and_named(
    vendor: str, more: dict[str, Any], kept: dict[str, Any], adjusted: list[str]
) -> None:
    body, named = sent(vendor, **more)
    names = ("temperature", "frequency_penalty", "presence_penalty", "reasoning_split")
    assert {name: body[name] for name in names if name in body} == kept
    assert named == adjusted


def test_dashscope_has_its_chat_below_the_origin() -> None:
    upstream = dataclasses.replace(UPSTREAMS["dashscope"], base_url="https://a.example")
    assert ADAPTER.url(upstream, "m", False) == "https://a.example/compatible-mode/v1/chat/completions"


def test_reasoning_goes_back_to_those_who_want_it_and_ids_are_plain() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
         "tool_calls": [{"id": "call_1~c2ln", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1~c2ln", "content": "42"},
    ]  # fmt: skip
    for vendor, keeps in (("openai", False), ("deepseek", True), ("moonshot", True), ("mimo", True), ("xai", False)):
        messages = sent(vendor, messages=turns)[0]["messages"]
        assert ("reasoning_content" in messages[1]) is keeps
        assert "reasoning_details" not in messages[1]
        assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == "call_1"


def test_usage_in_each_vendors_words_is_the_same_usage() -> None:
    same = Usage(input_tokens=100, cached_input_tokens=40, output_tokens=30, reasoning_tokens=20)
    reasoning = {"completion_tokens_details": {"reasoning_tokens": 20}}
    base = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130, **reasoning}
    assert openai.usage_of({**base, "prompt_tokens_details": {"cached_tokens": 40}}) == same
    assert openai.usage_of({**base, "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60}) == same  # DeepSeek
    assert openai.usage_of({**base, "cached_tokens": 40}) == same  # Moonshot
    xai = {**base, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
    assert openai.usage_of(xai) == same  # reasoning beside the answer, in the total alone
    assert openai.usage_of({}) is None and openai.usage_of(None) is None


# ---------------------------------------------------------------- how answers end


def plain(fields: dict[str, Any]) -> PlainAnswer:
    return PlainAnswer(faces.CHAT, ADAPTER, chat_request(ASK), orjson.dumps(fields))


def answer(finish_reason: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "model": "y",
        "choices": [{"index": 0, "message": {"role": "assistant", **more}, "finish_reason": finish_reason}],
    }


ENDS = [
    ("stop", "stop"), ("sensitive", "content_filter"), ("model_context_window", "length"), ("model_context_window_exceeded", "length"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), ENDS)
def test_plain_ends_are_in_openais_words(theirs: str, ours: str) -> None:
    body = orjson.loads(plain(answer(theirs, content="Hi")).body("gen-1", "a/b", Usage(), 0))
    assert body["choices"][0]["finish_reason"] == ours


def test_an_empty_word_after_tool_calls_means_tool_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = orjson.loads(plain(answer("", tool_calls=[call])).body("gen-1", "a/b", Usage(), 0))
    assert body["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        answer("network_error"),
        answer("insufficient_system_resource"),
        answer("stop") | {"base_resp": {"status_code": 1002}},
    ],
)
def test_a_200_that_failed_is_no_answer(fields: dict[str, Any]) -> None:
    with pytest.raises(openai.Failed):
        plain(fields)


class NoSink:
    has_left = False

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def end(self, data: bytes) -> None: ...


def chunk(content: str | None, finish_reason: Any, **more: Any) -> bytes:
    delta = {"content": content} if content is not None else {}
    fields = {
        "id": "x",
        "model": "y",
        "created": 1,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def stream(*events: bytes) -> tuple[ChatStream, bytes]:
    passed = ChatStream(NoSink(), [], generation_id="gen-1", model="a/b", include_usage=False)
    return passed, b"".join(passed.feed(event) for event in events)


@pytest.mark.parametrize(("theirs", "ours"), ENDS)
def test_streamed_ends_are_in_openais_words(theirs: str, ours: str) -> None:
    passed, out = stream(chunk("Hi", None), chunk(None, theirs))
    assert b'"finish_reason":"%b"' % ours.encode() in out and passed.is_complete


def test_an_empty_word_mid_stream_ends_nothing() -> None:
    passed, _ = stream(chunk("Hi", ""), chunk(" there", ""))
    assert not passed.is_complete and passed.error is None and passed.text() == "Hi there"


@pytest.mark.parametrize(
    "last",
    [
        chunk(None, "network_error"),
        chunk(None, "insufficient_system_resource"),
        chunk("x", None, base_resp={"status_code": 1013}),
    ],
)
def test_a_stream_that_failed_is_not_complete(last: bytes) -> None:
    passed, _ = stream(chunk("Hi", None), last)
    assert passed.error is not None and not passed.is_complete
    events = ChatEvents()
    for event in (chunk("Hi", None), last):
        list(events.feed(event.rstrip()))
    assert events.error is not None
