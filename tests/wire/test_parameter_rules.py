"""The parameter rules in all three dialects: accepted, dropped and named, or refused with the right code under the caller's own name."""

from typing import Any

import orjson
import pytest

from gateway import faces, parameters
from gateway.adapters import ADAPTERS
from gateway.catalogue import load_files
from gateway.errors import InvalidRequest
from gateway.parameters import ChatRequest
from gateway.upstreams.registry import UPSTREAMS
from tokenhub.errors import TokenHubError

type Json = dict[str, Any]

FACES: dict[str, faces.Face] = {"chat": faces.CHAT, "messages": faces.MESSAGES, "responses": faces.RESPONSES}
MODELS = {entry.slug: entry for entry in load_files().models if entry.columns["kind"] == "chat"}
GPT, GPT_6 = "openai/gpt-4.1", "openai/gpt-6-luna"
CLAUDE, CLAUDE_5, GEMINI = "anthropic/claude-sonnet-4-6", "anthropic/claude-opus-5-5", "google/gemini-3.8-flash"

FUNCTION = {"name": "f", "parameters": {"type": "object"}}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
MESSAGES_TOOL = {"name": "f", "input_schema": {"type": "object"}}
RESPONSES_TOOL = {"type": "function", **FUNCTION}
SCHEMA = {"type": "object"}
PNG = "data:image/png;base64,AA=="
PDF = "data:application/pdf;base64,AA=="


def base(dialect: str) -> Json:
    match dialect:
        case "chat":
            return {"messages": [{"role": "user", "content": "hi"}]}
        case "messages":
            return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    return {"input": "hi"}


def said(dialect: str, *parts: Json) -> Json:
    return {"input" if dialect == "responses" else "messages": [{"role": "user", "content": [*parts]}]}


def judged(dialect: str, slug: str, fields: Json) -> tuple[ChatRequest, Json]:
    """The checked request and what goes upstream; raises what the caller would be answered."""
    entry = MODELS[slug]
    columns, upstream = entry.columns, UPSTREAMS[slug.partition("/")[0]]
    adapter = ADAPTERS[upstream.dialect or ""]
    request = FACES[dialect].read({"model": slug, **base(dialect), **fields})
    parameters.fit(request, columns["supports"], tuple(columns["input_modalities"]))
    name = slug.partition("/")[2]
    adapter.check(request, upstream, name, columns["supports"])
    body: Json = orjson.loads(adapter.body(request, upstream, name, columns["supports"], 100))
    return request, body


def refused(dialect: str, slug: str, fields: Json) -> Json:
    with pytest.raises(TokenHubError) as fault:
        judged(dialect, slug, fields)
    assert fault.value.status == 400
    body: Json = orjson.loads(orjson.dumps(FACES[dialect].error_body(fault.value, "req-1")))
    return body["error"]


# ---------------------------------------------------------------- accepted

ACCEPTED: list[tuple[str, str, Json, Json]] = [
    ("chat", GPT, {"temperature": 1.5}, {"temperature": 1.5}),
    ("chat", GPT, {"top_p": 0.5}, {"top_p": 0.5}),
    ("chat", GPT, {"presence_penalty": 1}, {"presence_penalty": 1}),
    ("chat", GPT, {"frequency_penalty": -1}, {"frequency_penalty": -1}),
    ("chat", GPT, {"seed": 7}, {"seed": 7}),
    ("chat", GPT, {"logit_bias": {"50": -100}}, {"logit_bias": {"50": -100}}),
    ("chat", GPT, {"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ("chat", GPT, {"n": 2}, {"n": 2}),
    ("chat", GPT, {"stop": "END"}, {"stop": "END"}),
    ("chat", GPT, {"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
    ("chat", GPT, {"max_tokens": 5}, {"max_completion_tokens": 100}),
    ("chat", GPT, {"max_completion_tokens": 5}, {"max_completion_tokens": 100}),
    ("chat", GPT, {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    ("chat", GPT, {"tools": [CHAT_TOOL], "tool_choice": "required"}, {"tools": [CHAT_TOOL], "tool_choice": "required"}),
    ("chat", GPT, {"tools": [CHAT_TOOL], "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ("chat", GPT, {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ("chat", GPT, {"modalities": ["text"]}, {}),
    ("chat", GPT_6, {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    ("chat", GPT_6, {"verbosity": "low"}, {"verbosity": "low"}),
    ("chat", GPT, {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}, {"user": "u"}),
    ("chat", GPT, {"store": True}, {"store": False}),
    ("chat", GPT, {"metadata": {"a": "b"}}, {}),
    ("chat", GPT, {"temperature": None, "tools": None, "stop": None}, {}),
    ("messages", GPT, {"temperature": 1, "top_p": 0.5}, {"temperature": 1, "top_p": 0.5}),
    ("messages", GPT, {"stop_sequences": ["END"]}, {"stop": ["END"]}),
    ("messages", GPT, {"metadata": {"user_id": "u"}}, {"user": "u"}),
    ("messages", GPT, {"service_tier": "auto"}, {}),
    ("messages", GPT, {"service_tier": "standard_only"}, {}),
    ("messages", GPT, {"tools": [MESSAGES_TOOL], "tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
    ("messages", GPT_6, {"output_config": {"effort": "high"}}, {"reasoning_effort": "high"}),
    ("messages", GPT_6, {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
    ("messages", CLAUDE, {"top_k": 5}, {"top_k": 5}),
    ("messages", CLAUDE, {"stop_sequences": ["END"]}, {"stop_sequences": ["END"]}),
    ("responses", GPT, {"temperature": 1.5, "top_p": 0.5}, {"temperature": 1.5, "top_p": 0.5}),
    ("responses", GPT, {"max_output_tokens": 5}, {"max_completion_tokens": 100}),
    ("responses", GPT, {"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ("responses", GPT, {"store": True}, {"store": False}),
    ("responses", GPT, {"store": False, "background": False, "truncation": "disabled"}, {}),
    ("responses", GPT, {"metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"]}, {}),
    ("responses", GPT, {"tools": [RESPONSES_TOOL], "tool_choice": "required"}, {"tool_choice": "required"}),
    ("responses", GPT_6, {"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
    ("responses", GPT_6, {"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ("responses", GPT, {"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
]


@pytest.mark.parametrize(("dialect", "slug", "fields", "upstream"), ACCEPTED)
def test_accepted_and_sent_on_in_the_vendors_words(dialect: str, slug: str, fields: Json, upstream: Json) -> None:
    request, body = judged(dialect, slug, fields)
    assert {name: body.get(name) for name in upstream} == upstream
    assert request.adjusted == []
    ours_alone = {"metadata", "modalities", "service_tier", "background", "truncation", "include", "max_tokens"}
    assert body.get("store") is not True
    assert not ours_alone & body.keys() or (dialect == "messages" and slug == CLAUDE)


# ---------------------------------------------------------------- dropped and named

SAMPLING = {"temperature": 0.5, "top_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1, "logprobs": True,
            "top_logprobs": 2, "logit_bias": {"5": 1}}  # fmt: skip
DROPPED: list[tuple[str, str, Json, list[str]]] = [
    *[("chat", GPT_6, {name: value}, [name]) for name, value in SAMPLING.items()],
    *[("chat", GEMINI, {name: value}, [name]) for name, value in SAMPLING.items()],
    *[("chat", CLAUDE_5, {name: value}, [name]) for name, value in SAMPLING.items()],
    ("chat", CLAUDE, {"seed": 0}, ["seed"]),
    ("chat", CLAUDE, {"temperature": 1.5}, ["temperature"]),
    ("chat", CLAUDE, {"verbosity": "low"}, ["verbosity"]),
    ("chat", GEMINI, {"verbosity": "low"}, ["verbosity"]),
    ("chat", GPT, {"reasoning_effort": "high"}, ["reasoning_effort"]),
    ("chat", GEMINI, {"tools": [CHAT_TOOL], "parallel_tool_calls": False}, ["parallel_tool_calls"]),
    ("messages", GPT_6, {"temperature": 0.5}, ["temperature"]),
    (
        "messages",
        GPT,
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        ["reasoning_effort"],
    ),
    ("messages", CLAUDE_5, {"temperature": 0.5}, ["temperature"]),
    ("responses", GPT_6, {"temperature": 0.5, "top_p": 0.5}, ["temperature", "top_p"]),
    ("responses", GPT, {"reasoning": {"effort": "low"}}, ["reasoning_effort"]),
    ("responses", CLAUDE, {"text": {"verbosity": "low"}}, ["verbosity"]),
]


@pytest.mark.parametrize(("dialect", "slug", "fields", "names"), DROPPED)
def test_dropped_or_clamped_and_named(dialect: str, slug: str, fields: Json, names: list[str]) -> None:
    request, body = judged(dialect, slug, fields)
    assert request.adjusted == names
    for name in {*names} - {"temperature"}:
        assert name not in body
    assert body.get("temperature", 0) <= 1


# ---------------------------------------------------------------- refused

UNSUPPORTED, UNKNOWN, VALUE = "unsupported_parameter", "unknown_parameter", "invalid_value"
URL = "url_not_allowed"


def image(dialect: str, url: str) -> Json:
    match dialect:
        case "chat":
            return {"type": "image_url", "image_url": {"url": url}}
        case "messages":
            return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "input_image", "image_url": url}


PRIVATE = "https://169.254.169.254/latest"
RESPONSES_SCHEMA = {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}
FORCED = {"tools": [CHAT_TOOL], "tool_choice": "required"}
REFUSED: list[tuple[str, str, Json, str, str]] = [
    # priced extras
    ("chat", GPT, {"service_tier": "flex"}, UNSUPPORTED, "service_tier"),
    ("chat", GPT, {"service_tier": "auto"}, UNSUPPORTED, "service_tier"),
    ("chat", GPT, {"web_search_options": {}}, UNSUPPORTED, "web_search_options"),
    ("chat", GPT, {"tools": [{"type": "web_search"}]}, UNSUPPORTED, "tools[0].type"),
    ("chat", GPT, {"tools": [CHAT_TOOL, {"type": "code_interpreter"}]}, UNSUPPORTED, "tools[1].type"),
    ("chat", GPT, {"audio": {"voice": "alloy", "format": "wav"}}, UNSUPPORTED, "audio"),
    ("chat", GPT, {"modalities": ["text", "audio"]}, UNSUPPORTED, "modalities"),
    ("chat", GPT, {"prediction": {"type": "content", "content": "x"}}, UNSUPPORTED, "prediction"),
    ("messages", GPT, {"service_tier": "priority"}, UNSUPPORTED, "service_tier"),
    ("messages", CLAUDE, {"speed": "fast"}, UNSUPPORTED, "speed"),
    ("messages", CLAUDE, {"inference_geo": "us"}, UNSUPPORTED, "inference_geo"),
    ("messages", CLAUDE, {"mcp_servers": []}, UNSUPPORTED, "mcp_servers"),
    ("messages", CLAUDE, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, UNSUPPORTED, "tools[0].type"),
    ("messages", CLAUDE, {"tools": [{"type": "code_execution_20250825", "name": "x"}]}, UNSUPPORTED, "tools[0].type"),
    ("responses", GPT, {"service_tier": "priority"}, UNSUPPORTED, "service_tier"),
    ("responses", GPT, {"tools": [{"type": "web_search"}]}, UNSUPPORTED, "tools[0].type"),
    ("responses", GPT, {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, UNSUPPORTED, "tools[0].type"),
    ("responses", GPT, {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, UNSUPPORTED, "tools[0].type"),
    ("responses", GPT, {"prompt_cache_retention": "24h"}, UNSUPPORTED, "prompt_cache_retention"),
    # objects of the shared account
    ("chat", GPT, {"previous_response_id": "resp_1"}, UNSUPPORTED, "previous_response_id"),
    ("chat", GPT, {"conversation": "conv_1"}, UNSUPPORTED, "conversation"),
    ("chat", GPT, said("chat", {"type": "file", "file": {"file_id": "file-1"}}), UNSUPPORTED, "messages[0].content[0].file.file_id"),
    ("chat", GPT, said("chat", image("chat", "asset://1")), URL, "messages[0].content[0].image_url.url"),
    ("chat", GEMINI, {"cached_content": "cachedContents/1"}, UNKNOWN, "cached_content"),
    ("chat", GEMINI, {"extra_body": {"google": {"cached_content": "cachedContents/1"}}}, UNKNOWN, "extra_body"),
    ("chat", GPT, said("chat", image("chat", "ms://1")), URL, "messages[0].content[0].image_url.url"),
    ("messages", CLAUDE, {"container": "container_1"}, UNSUPPORTED, "container"),
    ("messages", CLAUDE, said("messages", {"type": "image", "source": {"type": "file", "file_id": "f"}}), UNSUPPORTED, "messages[0].content[0].source.type"),
    ("messages", CLAUDE, said("messages", {"type": "document", "source": {"type": "file", "file_id": "f"}}), UNSUPPORTED, "messages[0].content[0].source.type"),
    ("messages", CLAUDE, said("messages", {"type": "container_upload", "file_id": "f"}), UNSUPPORTED, "messages[0].content[0].type"),
    ("messages", GPT, said("messages", image("messages", "asset://1")), URL, "messages[0].content[0].source.url"),
    ("responses", GPT, {"previous_response_id": "resp_1"}, UNSUPPORTED, "previous_response_id"),
    ("responses", GPT, {"conversation": "conv_1"}, UNSUPPORTED, "conversation"),
    ("responses", GPT, {"prompt": {"id": "pmpt_1"}}, UNSUPPORTED, "prompt"),
    ("responses", GPT, {"background": True}, UNSUPPORTED, "background"),
    ("responses", GPT, {"input": [{"type": "item_reference", "id": "msg_1"}]}, UNSUPPORTED, "input[0]"),
    ("responses", GPT, said("responses", {"type": "input_file", "file_id": "f"}), UNSUPPORTED, "input[0].content[0].file_id"),
    ("responses", GPT, said("responses", image("responses", "asset://1")), URL, "input[0].content[0].image_url"),
    # addresses
    ("chat", GPT, said("chat", image("chat", PRIVATE)), URL, "messages[0].content[0].image_url.url"),
    ("messages", GPT, said("messages", image("messages", PRIVATE)), URL, "messages[0].content[0].source.url"),
    ("messages", CLAUDE, said("messages", image("messages", PRIVATE)), URL, "messages[0].content[0].source.url"),
    ("responses", GPT, said("responses", image("responses", PRIVATE)), URL, "input[0].content[0].image_url"),
    ("messages", CLAUDE, said("messages", {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}), UNSUPPORTED, "messages[0].content[0].source.url"),
    ("responses", GPT, said("responses", {"type": "input_file", "file_url": "https://example.com/a.pdf"}), UNSUPPORTED, "input[0].content[0].file_url"),
    # what a model cannot do
    ("chat", CLAUDE, {"n": 2}, UNSUPPORTED, "n"),
    ("chat", CLAUDE, {"stop": "\n"}, UNSUPPORTED, "stop"),
    ("chat", CLAUDE_5, FORCED, UNSUPPORTED, "tool_choice"),
    ("messages", CLAUDE_5, {"tools": [MESSAGES_TOOL], "tool_choice": {"type": "any"}}, UNSUPPORTED, "tool_choice"),
    ("responses", CLAUDE_5, {"tools": [RESPONSES_TOOL], "tool_choice": "required"}, UNSUPPORTED, "tool_choice"),
    ("chat", "deepseek/deepseek-v4-pro", {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, UNSUPPORTED, "response_format"),
    ("messages", "deepseek/deepseek-v4-pro", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, UNSUPPORTED, "output_config.format"),
    ("responses", "deepseek/deepseek-v4-pro", {"text": RESPONSES_SCHEMA}, UNSUPPORTED, "text.format"),
    ("chat", "deepseek/deepseek-v4-pro", said("chat", image("chat", PNG)), UNSUPPORTED, "messages"),
    ("messages", "deepseek/deepseek-v4-pro", said("messages", image("messages", "https://example.com/a.png")), UNSUPPORTED, "messages"),
    ("responses", "deepseek/deepseek-v4-pro", said("responses", image("responses", PNG)), UNSUPPORTED, "input"),
    ("chat", "deepseek/deepseek-v4-pro", said("chat", {"type": "file", "file": {"file_data": PDF}}), UNSUPPORTED, "messages"),
    ("responses", "deepseek/deepseek-v4-pro", said("responses", {"type": "input_file", "file_data": PDF}), UNSUPPORTED, "input"),
    ("chat", GPT, said("chat", {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}), UNSUPPORTED, "messages[0].content[0].type"),
    ("chat", GEMINI, said("chat", {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}), UNSUPPORTED, "messages[0].content[0].type"),
    ("messages", "xai/grok-4.7", {"stop_sequences": ["END"]}, UNSUPPORTED, "stop_sequences"),
    ("chat", "xai/grok-4.7", {"stop": "END"}, UNSUPPORTED, "stop"),
    # unknown
    ("chat", GPT, {"frobnicate": 1}, UNKNOWN, "frobnicate"),
    ("chat", GPT, {"top_k": 5}, UNKNOWN, "top_k"),
    ("chat", GPT, {"thinking": {"type": "enabled"}}, UNKNOWN, "thinking"),
    ("messages", GPT, {"frobnicate": 1}, UNKNOWN, "frobnicate"),
    ("messages", GPT, {"stop": "END"}, UNKNOWN, "stop"),
    ("messages", GPT, {"n": 2}, UNKNOWN, "n"),
    ("responses", GPT, {"frobnicate": 1}, UNKNOWN, "frobnicate"),
    ("responses", GPT, {"max_tokens": 5}, UNKNOWN, "max_tokens"),
    ("responses", GPT, {"messages": []}, UNKNOWN, "messages"),
    ("responses", GPT, {"stop": "END"}, UNKNOWN, "stop"),
    # wrong values
    ("chat", GPT, {"temperature": 3}, VALUE, "temperature"),
    ("chat", GPT, {"response_format": {"type": "xml"}}, VALUE, "response_format.type"),
    ("messages", GPT, {"temperature": 1.5}, VALUE, "temperature"),
    ("messages", GPT, {"max_tokens": 0}, VALUE, "max_tokens"),
    ("messages", GPT, {"stop_sequences": "END"}, VALUE, "stop_sequences"),
    ("messages", GPT, {"tools": [{"name": "f" * 129, "input_schema": {}}]}, VALUE, "tools[0].name"),
    ("responses", GPT, {"temperature": 3}, VALUE, "temperature"),
    ("responses", GPT, {"max_output_tokens": 0}, VALUE, "max_output_tokens"),
    ("responses", GPT, {"text": {"format": {"type": "xml"}}}, VALUE, "text.format.type"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "slug", "fields", "code", "param"), REFUSED)
def test_refused_under_the_callers_own_name(dialect: str, slug: str, fields: Json, code: str, param: str) -> None:
    error = refused(dialect, slug, fields)
    if dialect == "messages":  # Anthropic's envelope has no place for it: the words name it
        assert (error["type"], error["details"]["error_code"]) == ("invalid_request_error", code)
        assert param in error["message"]
    else:
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


@pytest.mark.parametrize(
    ("param", "messages", "responses"),
    [
        ("stop", "stop_sequences", "stop"),
        ("messages", "messages", "input"),
        ("messages[3].content[1].type", "messages[3].content[1].type", "input"),
        ("max_completion_tokens", "max_tokens", "max_output_tokens"),
        ("response_format.json_schema.schema", "output_config.format.schema", "text.format.schema"),
        ("reasoning_effort", "output_config.effort", "reasoning.effort"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use", "parallel_tool_calls"),
        ("tools[2].function.parameters", "tools[2].input_schema", "tools[2].parameters"),
        ("tools[2].function.name", "tools[2].name", "tools[2].name"),
        ("model", "model", "model"),
    ],
)
def test_a_vendors_fault_names_the_field_that_the_caller_wrote(param: str, messages: str, responses: str) -> None:
    fault = InvalidRequest(f"`{param}` is wrong.", param=param)
    told = faces.RESPONSES.error_body(fault, "req-1")["error"]
    assert (told["param"], told["message"]) == (responses, f"`{responses}` is wrong.")
    assert faces.MESSAGES.error_body(fault, "req-1")["error"]["message"] == f"`{messages}` is wrong."
    assert faces.CHAT.error_body(fault, "req-1")["error"]["param"] == param
