"""docs/billing-policy.md, row by row, against a real server: how a call ends, what the client sees, what it costs."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from billing.models import Hold, Transfer
from gateway import tokens
from gateway.models import CallRecord, Outcome
from tests import servers
from tests.gateway.conftest import Customer, chat, new_customer

# gpt-4.1: nano-USD a token
INPUT, CACHED, OUTPUT = 2_000, 500, 8_000

POLICY = Path(__file__).parents[2] / "docs" / "billing-policy.md"


def prompt_tokens(body: dict[str, Any]) -> int:
    return tokens.count_messages(body["messages"])


def settled(customer: Customer, seconds: float = 20) -> CallRecord:
    """The customer's one call, once it is settled. (Settling may go on after the client has its answer, or has left.)"""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        record = CallRecord.objects.filter(account_id=customer.account.pk).first()
        if record is not None:
            return check(customer, record)
        time.sleep(0.02)  # a row in another process's database has no event to await
    raise AssertionError("the call was not settled")


def check(customer: Customer, record: CallRecord) -> CallRecord:
    """What must be true of every ending: one hold, closed; the wallet moved by exactly the record's cost."""
    hold = Hold.objects.get(pk=record.pk)
    assert hold.state in ("captured", "released")
    assert (hold.captured_nanos or 0) == record.cost_nanos <= hold.amount_nanos
    wallet = customer.wallet
    assert (wallet.posted_nanos, wallet.held_nanos) == (1_000_000_000 - record.cost_nanos, 0)
    return record


def events(response: httpx.Response) -> list[Any]:
    """The payloads of a streamed answer; the end marker as the string "[DONE]"."""
    payloads = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    return [payload if payload == "[DONE]" else orjson.loads(payload) for payload in payloads]


def stream(client: httpx.Client, customer: Customer, body: dict[str, Any]) -> list[Any]:
    with client.stream("POST", "/chat/completions", json=body | {"stream": True}, headers=customer.headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return events(response)


def text_of(payloads: list[Any]) -> str:
    chunks = (p for p in payloads if p != "[DONE]" and p["choices"])
    return "".join(p["choices"][0]["delta"].get("content") or "" for p in chunks)


def test_the_policy_page_and_these_tests_name_the_same_endings() -> None:
    of_calls = POLICY.read_text().partition("# Money in and out")[0]
    rows = [row[1].strip() for row in re.finditer(r"^\| ([^|]+)\|", of_calls, re.MULTILINE)][1:]
    played = {row for function in globals().values() for row in getattr(function, "rows", ())}
    elsewhere = {  # killing processes: tests/scenarios; refusals: test_bad_input.py; cancelled: test_admission.py; routes: test_fallbacks.py
        "one route fails before output, another answers",
        "the client hangs up before the vendor was asked",
        "the gateway's process is killed mid-stream",
        "the gateway's process is killed before output",
    }
    assert set(rows) == played | elsewhere


def plays(*rows: str) -> Any:
    def mark(function: Any) -> Any:
        function.rows = rows
        return function

    return mark


# ---------------------------------------------------------------- answered


@plays("answered")
def test_a_plain_answer_costs_the_vendors_counts(client: httpx.Client, customer: Customer) -> None:
    response = client.post(
        "/chat/completions", json=chat("[[sandbox: usage 1000,50,cached=400]] Hi"), headers=customer.headers
    )
    body = response.json()
    cost = 600 * INPUT + 400 * CACHED + 50 * OUTPUT
    assert body["usage"]["cost"] == cost / 1e9
    assert b'"cost":0.0018' in response.content
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"], body["usage"]["total_tokens"]) == (
        1000,
        50,
        1050,
    )
    assert body["id"] == response.headers["x-request-id"] == response.headers["x-generation-id"]
    assert (body["object"], body["model"]) == ("chat.completion", "openai/gpt-4.1")
    assert re.fullmatch(r"tokenhub;dur=[\d.]+, upstream;dur=[\d.]+", response.headers["server-timing"])
    record = settled(customer)
    assert (record.cost_nanos, record.status, record.outcome) == (cost, 200, Outcome.COMPLETED)
    assert (record.input_tokens, record.cached_input_tokens, record.output_tokens) == (1000, 400, 50)
    assert (record.estimated, record.streamed, record.sandbox) == (False, False, True)
    transfer = Transfer.objects.get(hold_id=record.pk)
    assert (transfer.kind, transfer.amount_nanos) == ("capture", cost)


@plays("answered, streamed")
@pytest.mark.parametrize("include_usage", [True, False])
def test_a_streamed_answer_ends_with_the_marker(client: httpx.Client, customer: Customer, include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    payloads = stream(client, customer, chat("[[sandbox: usage 100,7]] Hi", **options))
    assert payloads[-1] == "[DONE]"
    chunks = payloads[:-1]
    assert len({chunk["id"] for chunk in chunks}) == 1 and chunks[0]["id"].startswith("gen-")
    assert {chunk["model"] for chunk in chunks} == {"openai/gpt-4.1"}
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    if include_usage:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["cost"] == (100 * INPUT + 7 * OUTPUT) / 1e9
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
    else:
        assert not any("usage" in chunk for chunk in chunks)
    record = settled(customer)
    assert (record.cost_nanos, record.streamed) == (100 * INPUT + 7 * OUTPUT, True)
    assert 0 <= record.first_byte_ms <= record.duration_ms


@plays("answered, the vendor reports no usage")
@pytest.mark.parametrize("directive", ["usage none", "usage null"])
def test_no_usage_is_counted_here(client: httpx.Client, directive: str) -> None:
    for streamed in (False, True):
        customer = new_customer()
        body = chat(f"[[sandbox: {directive}]] Hi there")
        if streamed:
            text = text_of(stream(client, customer, body))
        else:
            text = client.post("/chat/completions", json=body, headers=customer.headers).json()["choices"][0][
                "message"
            ]["content"]
        record = settled(customer)
        assert record.estimated
        assert (record.input_tokens, record.output_tokens) == (prompt_tokens(body), tokens.count(text))
        assert record.cost_nanos == record.input_tokens * INPUT + record.output_tokens * OUTPUT


@plays("answered, the vendor reports zero")
def test_a_reported_zero_is_a_zero(client: httpx.Client, customer: Customer) -> None:
    response = client.post("/chat/completions", json=chat("[[sandbox: usage 0,0]] Hi"), headers=customer.headers)
    assert response.json()["usage"]["cost"] == 0
    record = settled(customer)
    assert (record.cost_nanos, record.estimated, record.outcome) == (0, False, Outcome.COMPLETED)
    assert Hold.objects.get(pk=record.pk).state == "captured"


@plays("answered, the vendor reports more than was held")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_customer_never_pays_more_than_was_held(client: httpx.Client, customer: Customer, streamed: bool) -> None:
    body = chat("[[sandbox: usage 20,999999]] Hi", max_tokens=10)
    if streamed:
        payloads = stream(client, customer, body | {"stream_options": {"include_usage": True}})
        charged = payloads[-2]["usage"]["cost"]
    else:
        charged = client.post("/chat/completions", json=body, headers=customer.headers).json()["usage"]["cost"]
    record = settled(customer)
    assert record.cost_nanos == Hold.objects.get(pk=record.pk).amount_nanos == round(charged * 1e9)
    house = Transfer.objects.get(idempotency_key=f"overrun:{record.pk}")
    assert house.amount_nanos == 20 * INPUT + 999_999 * OUTPUT - record.cost_nanos


def test_negative_and_absurd_usage_is_made_safe(client: httpx.Client) -> None:
    for usage in ("-5,-7", "10,-1"):
        customer = new_customer()
        assert (
            client.post(
                "/chat/completions", json=chat(f"[[sandbox: usage {usage}]] Hi"), headers=customer.headers
            ).status_code
            == 200
        )
        record = settled(customer)
        assert record.cost_nanos == record.input_tokens * INPUT and record.output_tokens == 0


def test_an_end_without_the_marker_is_complete_once_a_finish_reason_came(
    client: httpx.Client, customer: Customer
) -> None:
    payloads = stream(client, customer, chat("[[sandbox: no-done; usage 10,5]] Hi"))
    assert payloads[-1] == "[DONE]"
    assert settled(customer).cost_nanos == 10 * INPUT + 5 * OUTPUT


# ---------------------------------------------------------------- errors before output


@plays("refused by the vendor (4xx)")
@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("fail 400", 400, "invalid_value"),
        ("fail 429 retry-after=7", 429, "rate_limit_exceeded"),
        ("status 401", 503, "no_upstream_available"),
        ("status 402", 503, "no_upstream_available"),
        ("status 403", 503, "no_upstream_available"),
        ("fail 404", 503, "no_upstream_available"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_vendors_refusal_is_free(
    client: httpx.Client, customer: Customer, directive: str, status: int, code: str, streamed: bool
) -> None:
    body = chat(f"[[sandbox: {directive}]] Hi", stream=streamed)
    response = client.post("/chat/completions", json=body, headers=customer.headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    if status == 429:
        assert response.headers["retry-after"] == "7"
    if status == 503:
        assert response.headers["retry-after"]
        assert not re.search(r"key|quota|billing", response.json()["error"]["message"], re.IGNORECASE)
    record = settled(customer)
    assert (record.cost_nanos, record.status, record.outcome) == (0, status, Outcome.UPSTREAM_REFUSED)


@plays("the vendor fails before output (5xx, cut)")
@pytest.mark.parametrize("directive", ["fail 500", "fail 503", "fail-after 0"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_before_output_is_free(
    client: httpx.Client, customer: Customer, directive: str, streamed: bool
) -> None:
    body = chat(f"[[sandbox: {directive}]] Hi", stream=streamed)
    response = client.post("/chat/completions", json=body, headers=customer.headers)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_error")
    assert response.headers["retry-after"]
    assert settled(customer).cost_nanos == 0


@plays("the vendor sends something unreadable")
@pytest.mark.parametrize("streamed", [False, True])
def test_an_unreadable_answer_is_free(client: httpx.Client, customer: Customer, streamed: bool) -> None:
    body = chat("[[sandbox: html]] Hi", stream=streamed)
    response = client.post("/chat/completions", json=body, headers=customer.headers)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_error")
    assert "<" not in response.text
    record = settled(customer)
    assert (record.cost_nanos, record.outcome) == (0, Outcome.UPSTREAM_LOST)


def test_an_event_that_never_ends_is_cut(client: httpx.Client, customer: Customer) -> None:
    body = chat("[[sandbox: big-line 3000000]] Hi", stream=True)
    with client.stream("POST", "/chat/completions", json=body, headers=customer.headers) as response:
        text = response.read().decode()
    assert "upstream_error" in text and "[DONE]" not in text
    settled(customer)


# ---------------------------------------------------------------- errors after output


def broken_off(payloads: list[Any]) -> dict[str, Any]:
    """The error event that ends a broken stream; SDKs raise on its top-level ``error``."""
    last = payloads[-1]
    assert "[DONE]" not in payloads
    assert last["choices"][0]["finish_reason"] == "error"
    return last["error"]  # type: ignore[no-any-return]


@plays("the vendor breaks off mid-stream", "the vendor reports an error mid-stream")
@pytest.mark.parametrize("directive", ["fail-after 6", "error-after 6"])
def test_what_was_passed_on_before_a_break_is_charged(client: httpx.Client, customer: Customer, directive: str) -> None:
    body = chat(f"[[sandbox: {directive}]] Tell me about rivers")
    payloads = stream(client, customer, body)
    assert broken_off(payloads)["code"] == "upstream_error"
    record = settled(customer)
    assert (record.outcome, record.status, record.estimated) == (Outcome.UPSTREAM_LOST, 502, True)
    assert record.output_tokens == tokens.count(text_of(payloads)) > 0
    assert record.cost_nanos == prompt_tokens(body) * INPUT + record.output_tokens * OUTPUT


# ---------------------------------------------------------------- a silent vendor


@pytest.fixture(scope="module")
def impatient(django_db_setup: None, sandbox: servers.Server) -> Iterator[httpx.Client]:
    """A gateway that gives up on a silent vendor after a second."""
    server = servers.start_web(sandbox, TOKENHUB_UPSTREAM_TIMEOUT_SECONDS="1")
    with httpx.Client(base_url=server.api, timeout=30) as http:
        yield http
    server.stop()


@plays("the vendor is silent before output")
@pytest.mark.parametrize("streamed", [False, True])
def test_silence_before_output_is_free(impatient: httpx.Client, customer: Customer, streamed: bool) -> None:
    response = impatient.post(
        "/chat/completions", json=chat("[[sandbox: hang]] Hi", stream=streamed), headers=customer.headers
    )
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    record = settled(customer)
    assert (record.cost_nanos, record.outcome) == (0, Outcome.UPSTREAM_TIMEOUT)


@plays("the vendor falls silent mid-stream")
def test_silence_mid_stream_ends_in_an_error_event(impatient: httpx.Client, customer: Customer) -> None:
    body = chat("[[sandbox: hang-after 5]] Tell me about rivers")
    payloads = stream(impatient, customer, body)
    assert broken_off(payloads)["code"] == "upstream_timeout"
    record = settled(customer)
    assert record.outcome == Outcome.UPSTREAM_TIMEOUT
    assert record.cost_nanos == prompt_tokens(body) * INPUT + tokens.count(text_of(payloads)) * OUTPUT


# ---------------------------------------------------------------- a client that leaves


def hang_up_after(
    url: str, customer: Customer, body: dict[str, Any], data_lines: int, asked: Callable[[], bool] = lambda: True
) -> int:
    """Sends a call over a bare socket, reads that many events, waits until ``asked``, and closes. Returns how many were read."""
    payload = orjson.dumps(body)
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: %b\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (host.encode(), customer.key.encode(), len(payload))
            + payload
        )
        seen = b""
        while seen.count(b"data: ") < data_lines:
            data = s.recv(65_536)
            assert data, seen
            seen += data
        while not asked():
            time.sleep(0.01)
        return seen.count(b"data: ")


def vendor_requests(sandbox: servers.Server) -> int:
    return int(httpx.get(f"{sandbox.url}/stats").json()["requests"])


@plays("the client hangs up mid-stream")
def test_hang_up_is_billed_for_what_was_received(site: servers.Server, customer: Customer) -> None:
    body = chat("[[sandbox: tokens 500; pace 100]] Tell me about rivers", stream=True)
    read = hang_up_after(site.url, customer, body, 12)
    left = time.monotonic()
    record = settled(customer)
    assert time.monotonic() - left < 5  # not the five seconds of the whole answer: the vendor was stopped
    assert (record.outcome, record.status, record.estimated) == (Outcome.CLIENT_CLOSED, 499, True)
    assert read - 3 <= record.output_tokens < 200
    assert record.cost_nanos == prompt_tokens(body) * INPUT + record.output_tokens * OUTPUT


@plays("the client hangs up before output")
@pytest.mark.parametrize("streamed", [False, True])
def test_hang_up_before_output_costs_the_input(
    site: servers.Server, sandbox: servers.Server, customer: Customer, streamed: bool
) -> None:
    body = chat("[[sandbox: hang]] Tell me about rivers", stream=streamed)
    before = vendor_requests(sandbox)
    hang_up_after(site.url, customer, body, 0, asked=lambda: vendor_requests(sandbox) > before)
    record = settled(customer)
    assert (record.outcome, record.output_tokens) == (Outcome.CLIENT_CLOSED, 0)
    assert record.cost_nanos == prompt_tokens(body) * INPUT


def test_many_hang_ups_leave_nothing_behind(site: servers.Server) -> None:
    customer = new_customer()
    body = chat("[[sandbox: tokens 300; pace 50]] Tell me about rivers", stream=True, max_tokens=300)
    threads = [threading.Thread(target=hang_up_after, args=(site.url, customer, body, n)) for n in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 20
    while CallRecord.objects.filter(account_id=customer.account.pk).count() < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    records = list(CallRecord.objects.filter(account_id=customer.account.pk))
    assert len(records) == 20
    assert customer.wallet.held_nanos == 0
    assert customer.wallet.posted_nanos == 1_000_000_000 - sum(record.cost_nanos for record in records)


@plays("the client hangs up, and the vendor bills on")
def test_a_vendor_that_bills_on_is_read_for_its_usage(
    site_of_a_vendor_that_bills_on: servers.Server, customer: Customer
) -> None:
    body = chat("[[sandbox: tokens 40; pace 20; usage 100,40]] Tell me about rivers", stream=True)
    hang_up_after(site_of_a_vendor_that_bills_on.url, customer, body, 5)
    record = settled(customer)
    assert (record.outcome, record.estimated) == (Outcome.CLIENT_CLOSED, False)
    assert (record.input_tokens, record.output_tokens) == (100, 40)
    assert record.cost_nanos == 100 * INPUT + 40 * OUTPUT


@pytest.fixture(scope="module")
def site_of_a_vendor_that_bills_on(django_db_setup: None, sandbox: servers.Server) -> Iterator[servers.Server]:
    server = servers.start_web(sandbox, OPENAI_BASE_URL=f"{sandbox.url}/v1", OPENAI_BILLS_AFTER_HANG_UP="1")
    yield server
    server.stop()


# ---------------------------------------------------------------- refused here


@plays("refused by TokenHub (any 4xx before admission)")
@pytest.mark.parametrize(
    ("body", "nanos", "status"),
    [
        (chat(max_tokens=-1), 1_000_000_000, 400),
        (chat(model="openai/gpt-0"), 1_000_000_000, 404),
        (chat(max_tokens=1_000), 1_000, 402),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_of_ours_leaves_neither_hold_nor_record(
    client: httpx.Client, sandbox: servers.Server, body: dict[str, Any], nanos: int, status: int, streamed: bool
) -> None:
    customer, before = new_customer(nanos=nanos), vendor_requests(sandbox)
    answer = client.post("/chat/completions", json=body | {"stream": streamed}, headers=customer.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert not CallRecord.objects.filter(account_id=customer.account.pk).exists()
    assert not Hold.objects.filter(wallet_id=customer.wallet.pk).exists()
    assert (customer.wallet.posted_nanos, customer.wallet.held_nanos) == (nanos, 0)
    assert vendor_requests(sandbox) == before
