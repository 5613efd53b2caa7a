"""What can be asked of the sandbox, and what it tells of its calls: directives, pace, hang-ups, statistics."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway import tokens
from tests import servers
from tests.gateway.sandbox_calls import MODEL, body, client, contents, eventually, frames, log, post


@contextlib.contextmanager
def running(pace: str) -> Iterator[servers.Server]:
    """A sandbox of its own, whose printed errors can be read."""
    port = servers.free_port()
    server = servers.start(
        "gateway.sandbox.server",
        ["--port", str(port)],
        url=f"http://127.0.0.1:{port}",
        probe="/healthz",
        env={"TOKENHUB_SANDBOX_TOKENS_PER_SECOND": pace},
        stderr=subprocess.PIPE,
    )
    assert server.process.stderr is not None
    with server.process.stderr:
        yield server
        server.stop()


@pytest.fixture
def http(sandbox: servers.Server) -> Iterator[httpx.Client]:
    with client(sandbox.url) as http:
        yield http


@pytest.fixture
def sdk(http: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{http.base_url}/v1", api_key="anything", max_retries=0, timeout=10) as client:
        yield client


@pytest.mark.parametrize(
    "directive",
    ["nonsense", "fail", "fail 200", "tokens many", "usage 1", "status 404", "hang 3", "stop why", "fail 429 x=1"],
)
def test_a_malformed_directive_is_refused_by_name(sdk: openai.OpenAI, directive: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(**body(f"Hello [[sandbox: {directive}]]"))
    assert refused.value.type == "invalid_request_error"
    assert repr(directive) in refused.value.message


def test_a_marker_that_is_not_closed_is_refused(http: httpx.Client) -> None:
    assert post(http, "[[sandbox: fail 500").status_code == 400


# ---------------------------------------------------------------- directives
@pytest.mark.parametrize(
    ("directive", "status"), [("fail 500", 500), ("fail 418", 418), ("429", 429), ("fail 503", 503)]
)
def test_fail_answers_with_the_status_before_any_output(http: httpx.Client, directive: str, status: int) -> None:
    for stream in (False, True):
        response = post(http, f"[[sandbox: {directive}]] Hello", stream=stream)
        assert response.status_code == status
        assert response.json()["error"]["message"]
    assert log(http)["status"] == status


def test_too_many_requests_says_when_to_come_back(sdk: openai.OpenAI) -> None:
    for directive, seconds in (("429", "1"), ("fail 429 retry-after=7", "7")):
        with pytest.raises(openai.RateLimitError) as refused:
            sdk.chat.completions.create(**body(f"[[sandbox: {directive}]]"))
        assert refused.value.response.headers["retry-after"] == seconds


@pytest.mark.parametrize("status", [401, 402, 403])
def test_status_refuses_the_callers_key(http: httpx.Client, status: int) -> None:
    response = post(http, f"[[sandbox: status {status}]]")
    assert response.status_code == status
    assert "sk-sandbox-pretended-vendor-key" in response.json()["error"]["message"]


def test_fail_after_cuts_the_connection(http: httpx.Client) -> None:
    received = ""
    prompt = "[[sandbox: fail-after 200]] Hello"
    with (
        http.stream("POST", "/v1/chat/completions", json=body(prompt, stream=True)) as stream,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        for part in stream.iter_text():
            received += part
    assert received.count('"content":') - 1 == 200  # the first names the role
    assert "[DONE]" not in received
    eventually(lambda: log(http)["completion_tokens"] == 200)
    with pytest.raises(httpx.RemoteProtocolError):
        post(http, prompt)


def test_error_after_sends_an_error_event_instead_of_the_end(sdk: openai.OpenAI, http: httpx.Client) -> None:
    parsed = frames(post(http, "[[sandbox: error-after 3]]", stream=True))
    assert len(contents(parsed)) == 3
    assert parsed[-1]["error"]["type"] == "server_error"
    with (
        pytest.raises(openai.APIError),
        sdk.chat.completions.create(**body("[[sandbox: error-after 3]]"), stream=True) as s,
    ):
        list(s)
    assert post(http, "[[sandbox: error-after 3]]").status_code == 500


@pytest.mark.parametrize("stream", [False, True])
def test_hang_accepts_and_never_answers(http: httpx.Client, stream: bool) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body("[[sandbox: hang]]", stream=stream), timeout=0.3)
    eventually(lambda: http.get("/stats").json()["open"] == 0)
    assert log(http) | {"aborted": True, "status": None, "chunks_sent": 0} == log(http)


def test_hang_after_streams_and_falls_silent(http: httpx.Client) -> None:
    received = ""
    request = body("[[sandbox: hang-after 5]]", stream=True)
    with (
        http.stream("POST", "/v1/chat/completions", json=request, timeout=0.5) as stream,
        pytest.raises(httpx.ReadTimeout),
    ):
        for part in stream.iter_text():
            received += part
    assert received.count('"content":') - 1 == 5  # the first names the role
    eventually(lambda: log(http)["aborted"])
    assert log(http)["chunks_sent"] == 5


@pytest.mark.parametrize("wanted", [0, 1, 33, 5_000])
def test_tokens_sets_the_exact_length(http: httpx.Client, wanted: int) -> None:
    answer = post(http, f"Hello 😀 [[sandbox: tokens {wanted}]]").json()
    assert answer["usage"]["completion_tokens"] == wanted
    assert tokens.count(answer["choices"][0]["message"]["content"]) == wanted


def test_usage_is_reported_as_directed(http: httpx.Client) -> None:
    def reported(directive: str) -> tuple[Any, Any]:
        prompt = f"[[sandbox: usage {directive}]]"
        plain = post(http, prompt).json()
        last = frames(post(http, prompt, stream=True, stream_options={"include_usage": True}))[-2]
        return plain.get("usage", "absent"), last.get("usage", "absent")

    assert reported("none") == ("absent", "absent")
    assert reported("null") == (None, None)
    for usage in reported("-5,99000000000,cached=3,reasoning=4"):
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (-5, 99_000_000_000)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 3
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    assert log(http)["completion_tokens"] > 0  # the log keeps what was really sent


def test_no_done_and_stop_change_how_a_stream_ends(http: httpx.Client) -> None:
    *_, last = frames(post(http, "[[sandbox: no-done; stop content_filter]]", stream=True))
    assert last["choices"][0]["finish_reason"] == "content_filter"
    *_, last, done = frames(post(http, "[[sandbox: stop none]]", stream=True))
    assert (last["choices"][0]["finish_reason"], done) == (None, "[DONE]")


def test_reasoning_comes_before_the_answer_and_counts_as_output(http: httpx.Client) -> None:
    prompt = "[[sandbox: reasoning 9; tokens 5]]"
    plain = post(http, prompt).json()
    thought = plain["choices"][0]["message"]["reasoning_content"]
    assert tokens.count(thought) == 9
    assert plain["usage"]["completion_tokens"] == 14
    assert plain["usage"]["completion_tokens_details"]["reasoning_tokens"] == 9
    parsed = frames(post(http, prompt, stream=True))[:-1]
    deltas = [choice["delta"] for frame in parsed for choice in frame["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thought
    cut = post(http, prompt, max_tokens=6).json()
    assert (cut["choices"][0]["finish_reason"], cut["choices"][0]["message"]["content"]) == ("length", "")
    assert cut["usage"]["completion_tokens"] == cut["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6
    reported = post(http, "[[sandbox: reasoning 9; usage 100,20]]").json()["usage"]
    assert (reported["completion_tokens"], reported["completion_tokens_details"]["reasoning_tokens"]) == (20, 9)


@pytest.mark.parametrize("directive", ["refusal", "blocked"])
def test_a_refusal_says_nothing_or_breaks_off(http: httpx.Client, directive: str) -> None:
    choice = post(http, f"[[sandbox: {directive}]]").json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "content_filter")
    begun = post(http, f"[[sandbox: {directive}; tokens 5]]").json()
    assert (begun["usage"]["completion_tokens"], begun["choices"][0]["finish_reason"]) == (5, "content_filter")


def test_a_vendors_own_finish_reason_is_reported_as_it_is(http: httpx.Client) -> None:
    answer = post(http, "[[sandbox: stop insufficient_system_resource]]").json()
    assert answer["choices"][0]["finish_reason"] == "insufficient_system_resource"


def test_html_wrong_model_and_big_line(http: httpx.Client) -> None:
    page = post(http, "[[sandbox: html]]", stream=True)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert post(http, "[[sandbox: wrong-model]]").json()["model"] != MODEL
    lines = post(http, "[[sandbox: big-line 300000]]", stream=True).text.splitlines()
    assert max(map(len, lines)) == 300_000
    assert len(post(http, "[[sandbox: big-line 300000]]").content) == 300_000


def test_directives_work_together_and_only_in_the_last_user_message(http: httpx.Client) -> None:
    answer = post(http, "[[sandbox: tokens 9; usage 1,2; wrong-model]] and [[ sandbox : delay-ms 1 ]]").json()
    assert answer["usage"]["total_tokens"] == 3
    assert tokens.count(answer["choices"][0]["message"]["content"]) == 9
    earlier = [{"role": "user", "content": "[[sandbox: fail 500]]"}, {"role": "user", "content": "Hello"}]
    assert post(http, "", messages=earlier).status_code == 200


# ---------------------------------------------------------------- pace and models of character
def test_pace_and_delay_slow_a_call_down(http: httpx.Client) -> None:
    began = time.monotonic()
    post(http, "[[sandbox: tokens 20; pace 100; delay-ms 100]]", stream=True)
    assert time.monotonic() - began >= 0.1 + 19 / 100


def test_the_pace_comes_from_the_environment_and_slow_is_ten_times_slower() -> None:
    with running(pace="1000") as server, httpx.Client(base_url=server.url, timeout=30) as http:
        began = time.monotonic()
        post(http, "[[sandbox: tokens 60]]", model="slow", stream=True)
        assert time.monotonic() - began >= (12 + 59) / 100
        began = time.monotonic()
        post(http, "[[sandbox: tokens 60; pace 0]]", model="slow", stream=True)
        assert time.monotonic() - began < (12 + 59) / 100


def test_every_third_call_of_flaky_fails(http: httpx.Client) -> None:
    outcomes: list[Any] = []
    for _ in range(6):
        try:
            outcomes.append(post(http, "Hello", model="flaky", stream=True).status_code)
        except httpx.RemoteProtocolError:
            outcomes.append("cut")
    assert outcomes == [200, 200, 500, 200, 200, "cut"]
    assert log(http)["chunks_sent"] == 5


# ---------------------------------------------------------------- hang-ups, statistics, the process
@pytest.mark.parametrize("pace", [0, 200])
def test_a_hang_up_stops_production(http: httpx.Client, pace: int) -> None:
    request = body(f"[[sandbox: tokens 100000; pace {pace}]]", stream=True)
    with http.stream("POST", "/v1/chat/completions", json=request) as stream:
        next(stream.iter_lines())
    eventually(lambda: http.get("/stats").json()["open"] == 0)
    stats = http.get("/stats").json()
    assert (stats["aborted"], stats["log"][-1]["aborted"]) == (1, True)
    assert stats["chunks"] == stats["log"][-1]["chunks_sent"] < 100_000


def test_statistics_tell_what_reached_the_vendor(http: httpx.Client) -> None:
    post(http, "Hello", temperature=0.5)
    post(http, "x" * 2_001, stream=True)
    stats = http.get("/stats").json()
    assert (stats["requests"], stats["streams"], stats["open"], stats["aborted"]) == (2, 1, 0, 0)
    assert stats["last_request"] == body("(2001 characters)", stream=True)
    plain, streamed = stats["log"]
    assert (plain["model"], plain["stream"], plain["status"], plain["chunks_sent"]) == (MODEL, False, 200, 0)
    assert streamed["chunks_sent"] == streamed["completion_tokens"] == stats["chunks"] > 0
    assert plain["prompt_tokens"] == tokens.count("Hello") + 6
    assert http.post("/stats/reset").json()["log"] == []


def test_it_stops_quickly_and_quietly_also_with_calls_in_progress() -> None:
    with running(pace="0") as server, httpx.Client(base_url=server.url, timeout=10) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            post(http, "[[sandbox: fail-after 1]]", stream=True)
        with http.stream("POST", "/v1/chat/completions", json=body("[[sandbox: hang-after 1]]", stream=True)):
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(timeout=10)
            assert time.monotonic() - began < 3
        assert server.process.stderr is not None
        assert b"Traceback" not in (printed := server.process.stderr.read())
        assert b"without completing" not in printed


def test_a_nonsensical_pace_is_refused_at_the_start() -> None:
    command = [sys.executable, "-m", "gateway.sandbox.server", "--port", "1"]
    environment = {**os.environ, "TOKENHUB_SANDBOX_TOKENS_PER_SECOND": "fast"}
    ended = subprocess.run(command, cwd=servers.ROOT, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "TOKENHUB_SANDBOX_TOKENS_PER_SECOND is 'fast'" in ended.stderr
