"""The sandbox on Gemini's wire: what its generateContent answers, streams, demands back and refuses."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import tokens
from gateway.sandbox import replies
from gateway.sandbox.gemini_wire import GeminiWire
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.wires import Call
from tests import servers
from tests.gateway.sandbox_calls import client, eventually, log, text

MODEL = "gemini-3.8-flash"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Current weather of a city", "parametersJsonSchema": SCHEMA}
TIME = {
    "name": "get_time",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}
TOOLS = [{"functionDeclarations": [WEATHER, TIME]}]
BOTH = "The weather and the time in Oslo?"


@pytest.fixture
def http(sandbox: servers.Server) -> Iterator[httpx.Client]:
    with client(sandbox.url) as http:
        yield http


def path(method: str, model: str = MODEL) -> str:
    return f"/google/v1beta/models/{model}:{method}"


def user(prompt: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": prompt}]}


def post(http: httpx.Client, prompt: str, model: str = MODEL, **more: Any) -> httpx.Response:
    return http.post(path("generateContent", model), json={"contents": [user(prompt)], **more})


def stream(http: httpx.Client, prompt: str, **more: Any) -> httpx.Response:
    return http.post(f"{path('streamGenerateContent')}?alt=sse", json={"contents": [user(prompt)], **more})


def frames(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(frame.removeprefix("data: ")) for frame in response.text.split("\r\n\r\n")[:-1]]


def parts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for one in answer["candidates"] for part in one.get("content", {}).get("parts", [])]


def refused(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"
    return response.json()["error"]["message"]


# ---------------------------------------------------------------- answers
def test_an_answer_says_what_openais_wire_would_say(http: httpx.Client) -> None:
    prompt = "What is the capital of France?"
    answer = post(http, prompt).json()
    said = text(http, prompt, model=MODEL)
    assert answer["candidates"] == [
        {"content": {"parts": [{"text": said}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
    assert answer["modelVersion"] == MODEL
    counted = tokens.count(prompt) + 6
    assert answer["usageMetadata"] == {
        "promptTokenCount": counted,
        "candidatesTokenCount": tokens.count(said),
        "totalTokenCount": counted + tokens.count(said),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counted}],
    }
    assert (
        http.get("/stats").json()["log"][0] | {"wire": "google", "model": MODEL, "stream": False}
        == (http.get("/stats").json()["log"][0])
    )


def test_instructions_and_media_count_as_prompt(http: httpx.Client) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    video = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}}
    contents = [{"role": "user", "parts": [image, video, {"text": "Hello"}]}]
    full = post(http, "", contents=contents, systemInstruction={"parts": [{"text": "Be brief."}]}).json()
    alone = post(http, "Hello").json()
    added = full["usageMetadata"]["promptTokenCount"] - alone["usageMetadata"]["promptTokenCount"]
    assert added == 2 * tokens.MEDIA_TOKENS + tokens.MESSAGE_OVERHEAD_TOKENS + tokens.count("Be brief.")


def test_a_stream_is_a_row_of_answers_the_last_of_which_counts(http: httpx.Client) -> None:
    plain = post(http, "Tell me about rivers").json()
    *middle, last = frames(stream(http, "Tell me about rivers"))
    assert "".join(part["text"] for one in middle for part in parts(one)) == parts(plain)[0]["text"]
    assert len(middle) == plain["usageMetadata"]["candidatesTokenCount"]
    assert not any("finishReason" in one["candidates"][0] for one in middle)
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == plain["usageMetadata"]
    assert {one["responseId"] for one in middle} == {last["responseId"]}
    unsupported = http.post(path("streamGenerateContent"), json={"contents": [user("Hello")]})
    assert "alt=sse" in refused(unsupported)


def test_each_end_has_its_reason(http: httpx.Client) -> None:
    def reason(prompt: str, **config: Any) -> Any:
        plain = post(http, prompt, generationConfig=config).json()["candidates"][0].get("finishReason")
        *_, last = frames(stream(http, prompt, generationConfig=config))
        ends = [one.get("finishReason") for one in last.get("candidates", [{}])]
        assert ends == [plain]
        return plain

    assert reason("Tell me about rivers", maxOutputTokens=7) == "MAX_TOKENS"
    assert reason("Tell me about rivers", stopSequences=["rivers"]) == "STOP"
    assert reason("[[sandbox: refusal]]") == "SAFETY"
    assert reason("[[sandbox: stop malformed_function_call]]") == "MALFORMED_FUNCTION_CALL"
    assert reason("[[sandbox: stop none]]") is None


def test_a_blocked_prompt_has_no_candidates(http: httpx.Client) -> None:
    for answer in (post(http, "[[sandbox: blocked]]").json(), *frames(stream(http, "[[sandbox: blocked]]"))):
        assert answer["promptFeedback"] == {"blockReason": "SAFETY"}
        assert "candidates" not in answer
        assert answer["usageMetadata"]["totalTokenCount"] == answer["usageMetadata"]["promptTokenCount"]


def test_structured_output_and_several_candidates(http: httpx.Client) -> None:
    for schema in ({"responseJsonSchema": SCHEMA}, {"responseSchema": TIME["parameters"]}):
        config = {"responseMimeType": "application/json", **schema}
        assert json.loads(parts(post(http, "Go to Oslo", generationConfig=config).json())[0]["text"]) == {
            "city": "Oslo"
        }
    several = post(http, "Tell me about rivers", generationConfig={"candidateCount": 2}).json()
    assert [one["index"] for one in several["candidates"]] == [0, 1]


# ---------------------------------------------------------------- functions
def test_functions_are_called_and_their_results_are_told(http: httpx.Client) -> None:
    answer = post(http, BOTH, tools=TOOLS).json()
    first, second = parts(answer)
    assert answer["candidates"][0]["finishReason"] == "STOP"
    assert [(part["functionCall"]["name"], part["functionCall"]["args"]) for part in (first, second)] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_time", {"city": "Oslo"}),
    ]
    assert ("thoughtSignature" in first, "thoughtSignature" in second) == (True, False)
    streamed = [part for one in frames(stream(http, BOTH, tools=TOOLS)) for part in parts(one)]
    assert [part for part in streamed if "functionCall" in part] == [first, second]

    results = [{"functionResponse": {**part["functionCall"], "response": {"sky": "clear"}}} for part in (first, second)]
    for result in results:
        del result["functionResponse"]["args"]
    turns = [user(BOTH), {"role": "model", "parts": [first, second]}, {"role": "user", "parts": results}]
    said = parts(post(http, "", tools=TOOLS, contents=turns).json())[0]["text"]
    assert "get_weather says: sky: clear. get_time says: sky: clear." in said
    turns[-1] = {"role": "user", "parts": results[:1]}
    assert "number of function response parts" in refused(post(http, "", tools=TOOLS, contents=turns))


def test_the_calling_config_decides_which_functions_are_called(http: httpx.Client) -> None:
    def called(prompt: str, **config: Any) -> list[str]:
        answer = post(http, prompt, tools=TOOLS, toolConfig={"functionCallingConfig": config}).json()
        return [part["functionCall"]["name"] for part in parts(answer) if "functionCall" in part]

    assert called(BOTH, mode="AUTO") == called(BOTH, mode="VALIDATED") == ["get_weather", "get_time"]
    assert called(BOTH, mode="NONE") == []
    assert called("Good morning", mode="ANY") == ["get_weather"]
    assert called("Good morning", mode="ANY", allowedFunctionNames=["get_time"]) == ["get_time"]


def test_a_call_must_come_back_with_its_signature(http: httpx.Client) -> None:
    (call,) = parts(post(http, "The weather in Oslo?", tools=TOOLS).json())
    result = {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"result": "12"}}}]}

    def echoed(model: str = MODEL, after: tuple[dict[str, Any], ...] = (), **signature: Any) -> httpx.Response:
        part = {"functionCall": call["functionCall"], **signature}
        contents = [user("The weather in Oslo?"), {"role": "model", "parts": [part]}, result, *after]
        return post(http, "", model, contents=contents, tools=TOOLS)

    assert echoed(thoughtSignature=call["thoughtSignature"]).status_code == 200
    for stand_in in ("skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="):
        assert echoed(thoughtSignature=stand_in).status_code == 200
    assert "missing a thought_signature" in refused(echoed())
    assert "missing a thought_signature" in refused(echoed("gemini-4-argon"))
    assert "Corrupted" in refused(echoed(thoughtSignature="c2lnbmVk"))
    # older models do not ask for it, and newer ones only within the current turn
    assert echoed("gemini-2.5-pro").status_code == 200
    said = {"role": "model", "parts": [{"text": "It is 12."}]}
    assert echoed(after=(said, user("Thanks"))).status_code == 200


# ---------------------------------------------------------------- thoughts
def test_thoughts_are_told_and_counted_beside_the_answer(http: httpx.Client) -> None:
    config = {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"}}
    answer = post(http, "Why?", generationConfig=config).json()
    thought, said = parts(answer)
    assert (thought["thought"], "thought" in said) == (True, False)
    usage = answer["usageMetadata"]
    assert usage["thoughtsTokenCount"] == tokens.count(thought["text"]) > 0
    assert usage["candidatesTokenCount"] == tokens.count(said["text"])
    assert usage["totalTokenCount"] == sum(usage[f"{name}TokenCount"] for name in ("prompt", "candidates", "thoughts"))
    streamed = [part for one in frames(stream(http, "Why?", generationConfig=config)) for part in parts(one)]
    assert "".join(part["text"] for part in streamed if part.get("thought")) == thought["text"]
    directed = post(http, "[[sandbox: reasoning 9; tokens 5]]").json()["usageMetadata"]
    assert (directed["thoughtsTokenCount"], directed["candidatesTokenCount"]) == (9, 5)


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "oneof field 'data'"),
        ({"contents": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]}, 'Unknown name "type"'),
        ({"max_tokens": 5}, 'Unknown name "max_tokens"'),
        ({"generationConfig": {"n": 2}}, 'Unknown name "n"'),
        ({"generationConfig": {"maxOutputTokens": 0}}, "out of range"),
        ({"generationConfig": {"stopSequences": list("abcdef")}}, "up to 5"),
        ({"generationConfig": {"responseJsonSchema": SCHEMA}}, "needs application/json"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5}}}, "only one"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "SOME"}}}, "thinking_level"),
        ({"tools": [{"functionDeclarations": [WEATHER | TIME]}]}, "mutually exclusive"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}}, "subset"),
    ],
)
def test_what_google_refuses_is_refused(http: httpx.Client, change: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(post(http, "Hello", **change))
    assert log(http)["status"] == 400


def test_levels_are_for_newer_models_only(http: httpx.Client) -> None:
    level = {"thinkingConfig": {"thinkingLevel": "LOW"}}
    assert "not supported" in refused(post(http, "Hello", "gemini-2.5-pro", generationConfig=level))
    budget = {"thinkingConfig": {"thinkingBudget": 128}}
    assert post(http, "Hello", "gemini-2.5-pro", generationConfig=budget).status_code == 200


def test_errors_come_in_googles_envelope(http: httpx.Client) -> None:
    assert http.get("/google/v1beta/nothing").json()["error"]["status"] == "NOT_FOUND"
    assert http.get(path("generateContent")).json()["error"]["code"] == 405
    assert "'nonsense'" in refused(post(http, "[[sandbox: nonsense]]"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(("user", "model", "f", "ANY", "")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("role", "parts", "text", "functionCall", "functionResponse", "name", "args", "response", "inlineData")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig")


@settings(max_examples=200, deadline=None)
@given(parts=JSON, more=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_body_is_too_strange_to_be_answered_or_refused(parts: Any, more: dict[str, Any]) -> None:
    wire = GeminiWire()
    body = {"contents": [{"role": "user", "parts": parts}], **more}
    try:
        request = wire.read(Call(path("generateContent"), {}, {}, body))
    except Refusal as refusal:
        assert refusal.status == 400
        return
    choices = replies.choices_for(request)
    assert wire.envelope(request).completion(choices, replies.measure(replies.pieces_of(choices)))


# ---------------------------------------------------------------- directives
@pytest.mark.parametrize(
    ("directive", "code", "status"),
    [
        ("fail 500", 500, "INTERNAL"),
        ("fail 503", 503, "UNAVAILABLE"),
        ("429", 429, "RESOURCE_EXHAUSTED"),
        ("status 401", 401, "UNAUTHENTICATED"),
        ("status 402", 402, "RESOURCE_EXHAUSTED"),
        ("status 403", 403, "PERMISSION_DENIED"),
    ],
)
def test_failures_have_googles_names(http: httpx.Client, directive: str, code: int, status: str) -> None:
    response = stream(http, f"[[sandbox: {directive}]]")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (code, code, status)


def test_too_many_requests_says_when_to_come_back(http: httpx.Client) -> None:
    response = post(http, "[[sandbox: fail 429 retry-after=7]]")
    (detail,) = response.json()["error"]["details"]
    assert (detail["@type"].endswith("google.rpc.RetryInfo"), detail["retryDelay"]) == (True, "7s")
    assert "retry-after" not in response.headers


def test_a_stream_breaks_off_as_directed(http: httpx.Client) -> None:
    *middle, last = frames(stream(http, "[[sandbox: error-after 3]]"))
    assert (len(middle), last["error"]["status"]) == (3, "INTERNAL")
    assert post(http, "[[sandbox: error-after 3]]").status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        stream(http, "[[sandbox: fail-after 3]]")
    assert log(http)["completion_tokens"] == 3
    for directive in ("hang", "hang-after 3"):
        body = {"contents": [user(f"[[sandbox: {directive}]]")]}
        with pytest.raises(httpx.ReadTimeout):
            http.post(f"{path('streamGenerateContent')}?alt=sse", json=body, timeout=0.3)
    eventually(lambda: http.get("/stats").json()["open"] == 0)


def test_usage_is_reported_in_googles_meaning(http: httpx.Client) -> None:
    def reported(directive: str) -> list[Any]:
        prompt = f"[[sandbox: usage {directive}]]"
        *_, last = frames(stream(http, prompt))
        return [answer.get("usageMetadata", "absent") for answer in (post(http, prompt).json(), last)]

    assert reported("none") == ["absent", "absent"]
    assert reported("null") == [None, None]
    for usage in reported("100,20,cached=60,reasoning=5"):
        assert usage == {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": 15,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 120,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
        }


def test_html_big_line_and_the_model_work_here_too(http: httpx.Client) -> None:
    assert post(http, "[[sandbox: html]]").headers["content-type"] == "text/html; charset=utf-8"
    assert max(map(len, stream(http, "[[sandbox: big-line 300000]]").text.splitlines())) == 300_000
    assert len(post(http, "[[sandbox: big-line 300000]]").content) == 300_000
    assert post(http, "[[sandbox: wrong-model]]").json()["modelVersion"] != MODEL
    assert parts(post(http, "déjà vu", "echo").json()) == [{"text": "déjà vu"}]
