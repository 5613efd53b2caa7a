"""Chat completions through Gemini's native API: what goes out, what comes back, and what its refusals mean."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.meters import TOKENS_MAX, Usage
from gateway.dialects import chat_google
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
from gateway.upstreams import google, registry
from gateway.upstreams.registry import Upstream

type Json = dict[str, Any]

MODEL, OLD_MODEL = "gemini-3.8-flash", "gemini-2.5-pro"
SUPPORTS = {"sampling_params": True, "reasoning": True}
PIXEL = "iVBORw0KGgo="
SIGNATURE = base64.b64encode(bytes(range(250, 256)) * 3 + b"s").decode()  # holds "+", "/" and padding
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": {"type": "object"}}}
ASK = {"role": "user", "content": "hi"}


def translated(*messages: Json, model: str = MODEL, supports: Json = SUPPORTS, **fields: Any) -> Json:
    body = {"messages": list(messages or (ASK,)), **fields}
    return chat_google.request(body, upstream_model=model, stream=False, output_tokens_max=1000, supports=supports)


def config(*, model: str = MODEL, supports: Json = SUPPORTS, **fields: Any) -> Json:
    return translated(model=model, supports=supports, **fields)["generationConfig"]


def tool_call(id_: str, name: str = "weather", arguments: str = '{"city":"Oslo"}') -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


# ---------------------------------------------------------------- request: messages


def test_system_and_developer_messages_become_the_system_instruction() -> None:
    body = translated(
        {"role": "system", "content": "a"}, ASK, {"role": "developer", "content": [{"type": "text", "text": "b"}]}
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]


def test_a_system_message_alone_is_asked_as_a_user() -> None:
    body = translated({"role": "system", "content": "say hi"})
    assert body["contents"] == [{"role": "user", "parts": [{"text": "say hi"}]}]
    assert "systemInstruction" not in body


def test_turns_of_one_role_are_merged_and_empty_ones_left_out() -> None:
    body = translated(
        ASK,
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": "well"},
        {"role": "user", "content": "so?"},
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "again"}]},
        {"role": "model", "parts": [{"text": "no"}, {"text": "well"}]},
        {"role": "user", "parts": [{"text": "so?"}]},
    ]


def test_messages_without_any_content_are_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        translated({"role": "user", "content": ""})
    assert refusal.value.param == "messages"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
            {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/x.y/cat.PNG?size=1#top"}},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/x.y/cat.PNG?size=1#top"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/cat"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/cat"}},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
            {"inlineData": {"mimeType": "application/pdf", "data": PIXEL}},
        ),
        (
            {"type": "file", "file": {"file_url": "https://a.example/report"}},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.example/report"}},
        ),
        ({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, {"text": "t"}),
    ],
)
def test_each_content_part_has_its_gemini_part(part: Json, expected: Json) -> None:
    assert translated({"role": "user", "content": [part]})["contents"][0]["parts"] == [expected]


@pytest.mark.parametrize(
    ("part", "fault", "param"),
    [
        ({"type": "input_audio", "input_audio": {}}, Unsupported, "messages[0].content[0].type"),
        ({"type": "file", "file": {"file_id": "file-1"}}, Unsupported, "messages[0].content[0].file"),
        ({"type": "file", "file": {"file_data": PIXEL}}, Invalid, "messages[0].content[0].file"),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png,raw"}},
            Invalid,
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_content_that_gemini_cannot_take_is_refused_by_name(part: Json, fault: type[ValueError], param: str) -> None:
    with pytest.raises(fault) as refusal:
        translated({"role": "user", "content": [part]})
    assert vars(refusal.value)["param"] == param


# ---------------------------------------------------------------- request: tools


def test_parallel_calls_and_their_results_make_one_turn_each() -> None:
    contents = translated(
        ASK,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [tool_call("call_a"), tool_call("call_b", "time", "")],
        },
        {"role": "tool", "tool_call_id": "call_b", "content": "noon"},
        {
            "role": "tool",
            "tool_call_id": "call_a",
            "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}],
        },
    )["contents"]
    assert contents[1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {
                    "functionCall": {"id": "a", "name": "weather", "args": {"city": "Oslo"}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"id": "b", "name": "time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "b", "name": "time", "response": {"result": "noon"}}},
                {"functionResponse": {"id": "a", "name": "weather", "response": {"result": "42"}}},
            ],
        },
    ]


def test_before_gemini_3_calls_have_neither_ids_nor_dummy_signatures() -> None:
    contents = translated(
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [tool_call("call_a")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "42"},
        model=OLD_MODEL,
    )["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "weather", "response": {"result": "42"}}}]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MODEL, [{"functionResponse": {"id": "a", "parts": "IMAGE"}}]),
        (OLD_MODEL, [{"functionResponse": {}}, "IMAGE"]),
    ],
)
def test_images_in_tool_results_go_where_the_model_looks(model: str, expected: list[Any]) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    parts = translated(
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [tool_call("call_a")]},
        {"role": "tool", "tool_call_id": "call_a", "content": [{"type": "text", "text": "seen"}, image]},
        model=model,
    )["contents"][2]["parts"]
    inline = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    base: Json = {"name": "weather", "response": {"result": "seen"}}
    wanted: list[Json] = [
        inline if part == "IMAGE" else {"functionResponse": base | part["functionResponse"]} for part in expected
    ]
    if "parts" in wanted[0]["functionResponse"]:
        wanted[0]["functionResponse"]["parts"] = [inline]
    assert parts == wanted


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        translated(ASK, {"role": "tool", "tool_call_id": "call_gone", "content": "42"})
    assert refusal.value.param == "messages[1].tool_call_id"


@pytest.mark.parametrize("arguments", ["{", "[]", '"text"'])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(Invalid) as refusal:
        translated(
            ASK, {"role": "assistant", "content": None, "tool_calls": [tool_call("call_a", arguments=arguments)]}
        )
    assert refusal.value.param == "messages[1].tool_calls"


def test_tools_become_function_declarations() -> None:
    bare = {"type": "function", "function": {"name": "bare"}}
    body = translated(tools=[WEATHER, bare])
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Now", "parametersJsonSchema": {"type": "object"}},
                {"name": "bare"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "weather"}}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_each_tool_choice_has_its_mode(choice: Any, expected: Json) -> None:
    assert translated(tools=[WEATHER], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


# ---------------------------------------------------------------- request: parameters


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_p": 0.9}, {"topP": 0.9}),
        ({"presence_penalty": 1, "frequency_penalty": -1}, {"presencePenalty": 1, "frequencyPenalty": -1}),
        ({"logprobs": True, "top_logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"seed": 7}, {"seed": 7}),
        ({"seed": 2**40 + 7}, {"seed": 7}),
        ({"seed": -1}, {"seed": 2**31 - 1}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stopSequences": ["a", "b"]}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        ),
        (
            {
                "user": "u",
                "safety_identifier": "s",
                "prompt_cache_key": "k",
                "logit_bias": {"1": 1},
                "verbosity": "low",
            },
            {},
        ),
    ],
)
def test_each_parameter_has_its_row(fields: Json, expected: Json) -> None:
    assert config(**fields) == {"maxOutputTokens": 1000, "thinkingConfig": {"includeThoughts": True}, **expected}


def test_a_model_without_sampling_gets_none_and_says_so() -> None:
    fields: Json = {
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "logprobs": True,
        "top_logprobs": 1,
    }
    supports = {"sampling_params": False, "reasoning": True}
    assert config(supports=supports, **fields) == {"maxOutputTokens": 1000, "thinkingConfig": {"includeThoughts": True}}
    assert chat_google.dropped(fields, upstream_model=MODEL, supports=supports) == list(fields)
    assert chat_google.dropped(fields, upstream_model=MODEL, supports=SUPPORTS) == []


def test_a_model_that_does_not_reason_is_not_told_to() -> None:
    supports = {"sampling_params": True}
    assert config(supports=supports, reasoning_effort="high") == {"maxOutputTokens": 1000}
    body = {"reasoning_effort": "high"}
    assert chat_google.dropped(body, upstream_model=MODEL, supports=supports) == ["reasoning_effort"]


LEVELS_WITH_MINIMAL = {
    "none": ("MINIMAL", False), "minimal": ("MINIMAL", True), "low": ("LOW", True), "medium": ("MEDIUM", True),
    "high": ("HIGH", True), "xhigh": ("HIGH", False), "max": ("HIGH", False),
}  # fmt: skip
LEVELS = LEVELS_WITH_MINIMAL | {"none": ("LOW", False), "minimal": ("LOW", False)}
BUDGETS_FLASH = {
    "none": (0, True), "minimal": (1024, True), "low": (1024, True), "medium": (8192, True),
    "high": (24576, True), "xhigh": (24576, False), "max": (24576, False),
}  # fmt: skip
BUDGETS_PRO = BUDGETS_FLASH | {"none": (128, False), "xhigh": (32768, False), "max": (32768, False)}
EFFORTS: list[tuple[str, str, Json]] = [
    *[
        (model, "thinkingLevel", LEVELS)
        for model in (MODEL, "gemini-3.1-pro-preview", "gemini-4-argon", "gemini-flash-latest")
    ],
    *[
        (model, "thinkingLevel", LEVELS_WITH_MINIMAL)
        for model in ("gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3-flash")
    ],
    (OLD_MODEL, "thinkingBudget", BUDGETS_PRO),
    ("gemini-2.5-flash", "thinkingBudget", BUDGETS_FLASH),
]


@pytest.mark.parametrize(
    ("model", "key", "effort", "value", "is_exact"),
    [(model, key, effort, *row) for model, key, rows in EFFORTS for effort, row in rows.items()],
)
def test_each_effort_is_the_nearest_that_the_model_takes(
    model: str, key: str, effort: str, value: Any, is_exact: bool
) -> None:
    expected = {key: value, "includeThoughts": effort != "none"}
    assert config(model=model, reasoning_effort=effort)["thinkingConfig"] == expected
    named = chat_google.dropped({"reasoning_effort": effort}, upstream_model=model, supports=SUPPORTS)
    assert named == ([] if is_exact else ["reasoning_effort"])


def test_what_gemini_has_no_word_for_is_named() -> None:
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    body = {
        "logit_bias": {},
        "verbosity": "low",
        "parallel_tool_calls": False,
        "tools": [strict],
        "user": "u",
        "seed": 1,
    }
    names = chat_google.dropped(body, upstream_model=MODEL, supports=SUPPORTS)
    assert names == ["logit_bias", "verbosity", "parallel_tool_calls", "tools.strict"]
    assert (
        chat_google.dropped({"parallel_tool_calls": True, "tools": [WEATHER]}, upstream_model=MODEL, supports=SUPPORTS)
        == []
    )


# ---------------------------------------------------------------- answers, as recorded

CALLING: Json = {
    "responseId": "resp-1",
    "modelVersion": MODEL,
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Two cities", "thought": True},
                    {"text": "Looking."},
                    {"functionCall": {"id": "fc-x1", "name": "weather", "args": {"city": "Zürich"}}, "thoughtSignature": SIGNATURE},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
                ],
            },
            "safetyRatings": [],
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30, "totalTokenCount": 157, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
    },
}  # fmt: skip
CALLING_USAGE = Usage(input_tokens=107, cached_input_tokens=40, output_tokens=50, reasoning_tokens=30)


def answer(*parts: Json, reason: str | None = "STOP", index: int | None = None, **fields: Any) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}}
    candidate |= {} if reason is None else {"finishReason": reason}
    candidate |= {} if index is None else {"index": index}
    return {"candidates": [candidate], **fields}


def streamed(*answers: Any, newline: bytes = b"\r\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + newline * 2 for one in answers)


def read(data: bytes, cut: int = 0) -> tuple[list[Json], chat_google.Stream]:
    framer, stream = Framer(), chat_google.Stream()
    chunks = [
        chunk for piece in (data[:cut], data[cut:]) for event in framer.feed(piece) for chunk in stream.feed(event)
    ]
    return chunks + stream.feed(framer.rest), stream


def joined(chunks: list[Json]) -> Json:
    """What a client of ours makes of the chunks of one choice."""
    message: Json = {"content": "", "reasoning_content": "", "tool_calls": []}
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        for key in ("content", "reasoning_content"):
            message[key] += delta.get(key, "")
        message["tool_calls"] += delta.get("tool_calls", [])
    return message


def test_a_plain_answer_with_thoughts_text_and_parallel_calls() -> None:
    choices, usage = chat_google.complete(CALLING)
    assert usage == CALLING_USAGE
    signature = SIGNATURE.replace("+", "-").replace("/", "_").rstrip("=")
    assert "~" not in signature and signature != SIGNATURE
    assert choices == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Looking.",
                "refusal": None,
                "reasoning_content": "Two cities",
                "tool_calls": [
                    tool_call(f"call_fc-x1~{signature}", arguments='{"city":"Zürich"}'),
                    tool_call("call_resp-1_0_1"),
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]


def test_calls_alone_leave_content_null_and_no_parts_leave_it_empty() -> None:
    choices, usage = chat_google.complete(answer({"functionCall": {"name": "now"}}))
    assert usage is None
    assert choices[0]["message"]["content"] is None
    assert choices[0]["message"]["tool_calls"] == [tool_call("call__0_0", "now", "{}")]
    choices, _ = chat_google.complete({"candidates": [{"finishReason": "SAFETY"}]})
    assert choices[0]["message"] == {"role": "assistant", "content": "", "refusal": None}


def test_several_candidates_are_several_choices() -> None:
    both = (
        answer({"text": "a"}, index=0)["candidates"] + answer({"text": "b"}, reason="MAX_TOKENS", index=1)["candidates"]
    )
    choices, _ = chat_google.complete({"candidates": both})
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]


LOGPROBS = {
    "chosenCandidates": [{"token": "ä", "tokenId": 1, "logProbability": -0.5}, {"token": "b", "logProbability": -1}],
    "topCandidates": [{"candidates": [{"token": "ä", "logProbability": -0.5}, {"token": "x", "logProbability": -2}]}],
}


def test_logprobs_come_in_openai_shape() -> None:
    said = answer({"text": "äb"})
    said["candidates"][0]["logprobsResult"] = LOGPROBS
    first = {"token": "ä", "logprob": -0.5, "bytes": [195, 164]}
    expected = {
        "content": [
            {**first, "top_logprobs": [first, {"token": "x", "logprob": -2, "bytes": [120]}]},
            {"token": "b", "logprob": -1, "bytes": [98], "top_logprobs": []},
        ],
        "refusal": None,
    }
    assert chat_google.complete(said)[0][0]["logprobs"] == expected
    chunks, _ = read(streamed(said))
    assert [chunk["choices"][0].get("logprobs") for chunk in chunks] == [expected, None]


FINISH_REASONS = {
    "stop": ["STOP", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
             "MALFORMED_RESPONSE", "FINISH_REASON_UNSPECIFIED", "NOT_KNOWN_YET"],
    "length": ["MAX_TOKENS", "CONTINUATION"],
    "content_filter": ["SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "NO_IMAGE",
                       "ESCALATION", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ours, theirs) for ours, rows in FINISH_REASONS.items() for theirs in rows]
)
def test_every_finish_reason_is_told_plain_and_streamed(ours: str, theirs: str) -> None:
    said = answer({"text": "a"}, reason=theirs)
    assert chat_google.complete(said)[0][0]["finish_reason"] == ours
    chunks, stream = read(streamed(said))
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, ours]
    assert stream.finished and not stream.done


def test_a_call_cut_off_by_the_limit_is_a_matter_of_length() -> None:
    said = answer({"functionCall": {"name": "now"}}, reason="MAX_TOKENS")
    assert chat_google.complete(said)[0][0]["finish_reason"] == "length"
    assert read(streamed(said))[0][-1]["choices"][0]["finish_reason"] == "length"


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}


def test_a_blocked_prompt_is_one_filtered_choice() -> None:
    choices, usage = chat_google.complete(BLOCKED)
    assert usage == Usage(input_tokens=9)
    message = {"role": "assistant", "content": "", "refusal": None}
    assert choices == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "content_filter"}]
    chunks, stream = read(streamed(BLOCKED))
    assert chunks == [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]
    assert stream.finished and stream.usage == Usage(input_tokens=9)


@pytest.mark.parametrize(
    "body", [{}, {"usageMetadata": {"promptTokenCount": 1}}, {"error": {}}, {"candidates": ["text"]}, []]
)
def test_a_body_that_is_no_answer_is_told_apart(body: Any) -> None:
    with pytest.raises(ValueError, match=r"Gemini|candidates"):
        chat_google.complete(body)


# ---------------------------------------------------------------- streams

STREAM = streamed(
    answer(
        {"text": "Two ", "thought": True},
        reason=None,
        index=0,
        responseId="resp-1",
        usageMetadata={"promptTokenCount": 107},
    ),
    answer({"text": "cities", "thought": True}, {"text": "Look"}, reason=None, responseId="resp-1"),
    answer({"text": "ing – ü."}, reason=None, responseId="resp-1"),
    answer(*CALLING["candidates"][0]["content"]["parts"][2:], reason=None, responseId="resp-1"),
    answer({"text": ""}, reason="STOP", responseId="resp-1", usageMetadata=CALLING["usageMetadata"]),
)


def test_a_stream_is_the_same_wherever_it_is_cut() -> None:
    whole, stream = read(STREAM)
    message = joined(whole)
    plain = chat_google.complete(CALLING)[0][0]["message"]
    assert message["reasoning_content"] == "Two cities"
    assert message["content"] == "Looking – ü."
    assert message["tool_calls"] == [{"index": i, **call} for i, call in enumerate(plain["tool_calls"])]
    assert [chunk["choices"][0]["finish_reason"] for chunk in whole] == [None] * 6 + ["tool_calls"]
    assert [chunk["choices"][0]["delta"].get("role") for chunk in whole] == ["assistant"] + [None] * 6
    assert stream.usage == CALLING_USAGE and stream.finished and stream.error is None and not stream.done
    for cut in range(1, len(STREAM)):
        chunks, other = read(STREAM, cut)
        assert chunks == whole and other.usage == CALLING_USAGE, cut


def test_a_stream_without_a_finish_reason_is_not_finished() -> None:
    _, stream = read(streamed(answer({"text": "a"}, reason=None)))
    assert not stream.finished
    assert not chat_google.Stream().finished


def test_every_choice_must_end() -> None:
    stream = chat_google.Stream()
    events = [
        answer({"text": "a"}, reason=None, index=1),
        answer({"text": "b"}, index=0),
        answer(index=1),
        answer(index=1),
    ]
    chunks, finished = [], []
    for one in events:
        chunks += stream.feed(b"data: " + orjson.dumps(one))
        finished.append(stream.finished)
    assert finished == [False, False, True, True]
    assert [(c["choices"][0]["index"], c["choices"][0]["finish_reason"]) for c in chunks] == [
        (1, None), (0, None), (0, "stop"), (1, "stop"),
    ]  # fmt: skip


def test_the_last_usage_wins_also_when_it_comes_alone_after_the_end() -> None:
    early, late = {"promptTokenCount": 5, "candidatesTokenCount": 1}, {"promptTokenCount": 5, "candidatesTokenCount": 8}
    after = {"responseId": "r", "promptFeedback": {"safetyRatings": []}}
    chunks, stream = read(streamed(answer({"text": "a"}, usageMetadata=early), {"usageMetadata": late}, after))
    assert len(chunks) == 2
    assert stream.usage == Usage(input_tokens=5, output_tokens=8)


ERROR = {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}


@pytest.mark.parametrize(
    "last",
    [
        streamed({"error": ERROR}),
        streamed([{"error": ERROR}], newline=b"\n"),
        orjson.dumps({"error": ERROR}, option=orjson.OPT_INDENT_2),
        orjson.dumps([{"error": ERROR}], option=orjson.OPT_INDENT_2) + b"\n",
    ],
    ids=["event", "list event", "bare", "bare list"],
)
def test_an_error_mid_stream_is_kept_and_ends_it(last: bytes) -> None:
    chunks, stream = read(streamed(answer({"text": "a"}, reason=None)) + last)
    assert joined(chunks)["content"] == "a"
    assert stream.error == ERROR and not stream.finished
    assert stream.feed(streamed(answer({"text": "b"})).strip()) == []


@pytest.mark.parametrize(
    "payload", [b"{nonsense", b"[]", b"7", b'{"candidates":["text"]}', b'{"candidates":[{"content":7}]}']
)
def test_an_unreadable_event_is_an_error(payload: bytes) -> None:
    stream = chat_google.Stream()
    assert stream.feed(b"data: " + payload) == []
    assert stream.error == {"message": "unreadable event"}


def test_comments_and_bare_fields_say_nothing() -> None:
    stream = chat_google.Stream()
    assert stream.feed(b": ping") == stream.feed(b"event: x") == stream.feed(b"") == []
    assert stream.error is None


# ---------------------------------------------------------------- signatures over turns


def echoed(message: Json, model: str = MODEL) -> list[list[Json]]:
    """The parts of an assistant's turn and its results, when a client sends an answer back with results."""
    calls = [{key: call[key] for key in ("id", "type", "function")} for call in message["tool_calls"]]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in calls]
    turn = {"role": "assistant", "content": message["content"], "tool_calls": calls}
    return [content["parts"] for content in translated(ASK, turn, *results, model=model)["contents"][1:]]


def test_a_signature_comes_back_as_it_was_over_plain_and_streamed_turns() -> None:
    for message in (chat_google.complete(CALLING)[0][0]["message"], joined(read(STREAM)[0])):
        model_parts, user_parts = echoed(message)
        signed, unsigned = [part for part in model_parts if "functionCall" in part]
        original = CALLING["candidates"][0]["content"]["parts"][2]
        assert signed["thoughtSignature"] == SIGNATURE
        assert signed["functionCall"] == {**original["functionCall"], "id": signed["functionCall"]["id"]}
        assert "thoughtSignature" not in unsigned
        ids = [part["functionCall"]["id"] for part in (signed, unsigned)]
        assert [part["functionResponse"]["id"] for part in user_parts] == ids == ["fc-x1", "resp-1_0_1"]


@given(signature=st.binary(min_size=1, max_size=200), id_=st.text("abcXYZ019-_", max_size=12))
def test_any_signature_and_id_survive_a_turn(signature: bytes, id_: str) -> None:
    encoded = base64.b64encode(signature).decode()
    call: Json = {"functionCall": {"id": id_, "name": "now", "args": {}}, "thoughtSignature": encoded}
    message = chat_google.complete(answer(call, responseId="r"))[0][0]["message"]
    expected = call | {"functionCall": {"id": id_ or "r_0_0", "name": "now", "args": {}}}
    assert echoed(message)[0] == [expected]


@pytest.mark.parametrize("id_", ["call_foreign", "toolu_01", "call_x~", "call_x~not base64", "other~c2ln"])
def test_a_foreign_id_carries_no_signature(id_: str) -> None:
    (part,), (result,) = echoed({"content": None, "tool_calls": [tool_call(id_)]})
    assert part["thoughtSignature"] == "skip_thought_signature_validator"
    assert part["functionCall"]["id"] == result["functionResponse"]["id"] == id_.removeprefix("call_")


# ---------------------------------------------------------------- usage

counts = st.integers(min_value=0, max_value=10_000_000)


@given(prompt=counts, tool_use=counts, cached=counts, answer_=counts, thoughts=counts, exclusive=st.booleans())
def test_no_token_is_lost_or_counted_twice(
    prompt: int, tool_use: int, cached: int, answer_: int, thoughts: int, exclusive: bool
) -> None:
    """Whether or not the model counts its thoughts among the candidates' tokens, input + output is the vendor's total."""
    total = prompt + tool_use + answer_ + thoughts
    reported = {
        "promptTokenCount": prompt, "toolUsePromptTokenCount": tool_use, "cachedContentTokenCount": min(cached, prompt),
        "candidatesTokenCount": answer_ if exclusive else answer_ + thoughts, "thoughtsTokenCount": thoughts, "totalTokenCount": total,
    }  # fmt: skip
    without_zeros = {name: count for name, count in reported.items() if count} or reported
    usage = chat_google.usage_of(without_zeros)
    assert usage == Usage(
        input_tokens=prompt + tool_use,
        cached_input_tokens=min(cached, prompt),
        output_tokens=answer_ + thoughts,
        reasoning_tokens=thoughts,
    )


wild = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=1))
NAMES = [
    "promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "totalTokenCount",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), wild, min_size=1))
def test_whatever_is_reported_the_parts_stay_inside_their_wholes(reported: Json) -> None:
    usage = chat_google.usage_of(reported)
    said = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")
    assert (usage is None) == (not any(type(reported.get(name)) is int for name in said))
    if usage is None:
        return
    assert 0 <= usage.cached_input_tokens <= usage.input_tokens <= TOKENS_MAX
    assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= TOKENS_MAX


@pytest.mark.parametrize("nothing", [None, {}, [], "12"])
def test_no_counts_are_not_zero_counts(nothing: Any) -> None:
    assert chat_google.usage_of(nothing) is None


# ---------------------------------------------------------------- the way out, and refusals

KEY = "AIzaSyTestKey"
UPSTREAM = Upstream("google", "https://a.example/v1beta", "google", registry.key_headers("google", KEY))


def refusal(status: int, grpc_status: str, message: str = "no", *details: Json) -> bytes:
    return orjson.dumps(
        {"error": {"code": status, "message": message, "status": grpc_status, "details": list(details)}}
    )


def test_plain_and_streamed_calls_have_their_paths_and_the_key_its_header() -> None:
    assert google.path(MODEL, stream=False) == "/models/gemini-3.8-flash:generateContent"
    assert google.path(MODEL, stream=True) == "/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert registry.key_headers("google", KEY) == (("x-goog-api-key", KEY),)


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, refusal(400, "INVALID_ARGUMENT"), InvalidRequest),
        (413, b"<html>too large</html>", InvalidRequest),
        (400, refusal(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), NoUpstreamAvailable),
        (400, refusal(400, "FAILED_PRECONDITION", "User location is not supported."), NoUpstreamAvailable),
        (401, refusal(401, "UNAUTHENTICATED"), NoUpstreamAvailable),
        (402, refusal(402, "RESOURCE_EXHAUSTED"), NoUpstreamAvailable),
        (403, refusal(403, "PERMISSION_DENIED"), NoUpstreamAvailable),
        (404, refusal(404, "NOT_FOUND"), NoUpstreamAvailable),
        (429, refusal(429, "RESOURCE_EXHAUSTED"), RateLimitExceeded),
        (500, refusal(500, "INTERNAL"), UpstreamError),
        (503, refusal(503, "UNAVAILABLE"), UpstreamError),
        (499, b"", UpstreamError),
        (408, b"", UpstreamTimeout),
        (504, refusal(504, "DEADLINE_EXCEEDED"), UpstreamTimeout),
    ],
)
def test_each_refusal_has_its_meaning_also_inside_a_list(status: int, body: bytes, expected: type[Exception]) -> None:
    for wrapped in (body, b"[" + body + b"]"):
        assert type(google.error_of(UPSTREAM, status, {}, wrapped)) is expected


def test_a_prompt_beyond_the_window_is_told_apart() -> None:
    message = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
    error = google.error_of(UPSTREAM, 400, {}, refusal(400, "INVALID_ARGUMENT", message))
    assert type(error) is ContextLengthExceeded
    assert (error.message, error.param) == (message, "messages")


def test_a_refusal_reaches_the_client_without_key_or_host() -> None:
    message = f"Bad request with {KEY} to https://generativelanguage.googleapis.com/x"
    error = google.error_of(UPSTREAM, 400, {}, refusal(400, "INVALID_ARGUMENT", message))
    assert error.message == "Bad request with … to …"
    empty = google.error_of(UPSTREAM, 400, {}, b"")
    assert empty.message == "The model refused this request."


@pytest.mark.parametrize(
    ("delay", "header", "expected"),
    [
        ("12s", "", "12"),
        ("3.2s", "9", "4"),
        ("0s", "", "1"),
        ("86400s", "", "120"),
        ("soon", "9", "9"),
        (None, "", "1"),
        (7, "", "1"),
    ],
)
def test_a_busy_vendor_says_when_to_come_back(delay: Any, header: str, expected: str) -> None:
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    body = refusal(429, "RESOURCE_EXHAUSTED", "quota", quota, retry)
    assert google.error_of(UPSTREAM, 429, {"retry-after": header}, body).headers == {"retry-after": expected}
    assert google.error_of(UPSTREAM, 503, {"retry-after": header}, body).headers == {"retry-after": expected}


@pytest.mark.parametrize("details", [None, "text", ["text", None], [{}]])
def test_odd_details_are_passed_over(details: Any) -> None:
    body = orjson.dumps({"error": {"message": "no", "details": details}})
    assert type(google.error_of(UPSTREAM, 400, {}, body)) is InvalidRequest
