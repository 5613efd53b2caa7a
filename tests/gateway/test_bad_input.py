"""Bad input gets a clear error in the envelope, costs nothing and loses nothing."""

import json
import os

import httpx
import pytest

from accounts import keys
from gateway.models import CallRecord
from tests.gateway.conftest import Customer, chat, new_customer
from tests.servers import Server

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    503: "server_error",
}


def refused(response: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, object]:
    """The one envelope, with its id in the header too."""
    assert response.status_code == status, response.text
    error: dict[str, object] = response.json()["error"]
    assert (error["code"], error["type"], error["param"]) == (code, TYPES[status], param), error
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    assert str(error["doc_url"]).endswith(f"/docs/errors#{code}")
    assert response.headers["access-control-allow-origin"] == "*"
    return error


@pytest.fixture
def untouched(customer: Customer, sandbox: Server) -> object:
    """Nothing was charged, held or recorded, and the vendor was not asked."""
    before = httpx.get(f"{sandbox.url}/stats").json()["requests"]
    yield customer
    wallet = customer.wallet
    assert (wallet.posted_nanos, wallet.held_nanos) == (1_000_000_000, 0)
    assert not CallRecord.objects.filter(account_id=customer.account.pk).exists()
    assert httpx.get(f"{sandbox.url}/stats").json()["requests"] == before


# ---------------------------------------------------------------- who calls

WELL_FORMED_STRANGER = keys.new_key()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer th-junk"},
        {"authorization": "Bearer ' OR '1'='1"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer %"},
        {"authorization": "Bearer th-" + "A" * 5_000},
        {"x-api-key": "' OR '1'='1"},
        {"authorization": f"Bearer {WELL_FORMED_STRANGER}"},
        {"authorization": f"Bearer {WELL_FORMED_STRANGER}", "x-api-key": keys.new_key()},
    ],
)
@pytest.mark.parametrize("route", ["/chat/completions", "/credits"])
def test_a_stranger_gets_the_same_401_everywhere(client: httpx.Client, headers: dict[str, str], route: str) -> None:
    if route == "/credits":
        response = client.get(route, headers=headers)
    else:
        response = client.post(route, json=chat(), headers=headers)
    error = refused(response, 401, "invalid_api_key")
    assert "th-…" in str(error["message"])
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_stored_hash_is_no_credential(client: httpx.Client, customer: Customer) -> None:
    digest = bytes(customer.key_row.hash).hex()
    refused(
        client.post("/chat/completions", json=chat(), headers={"authorization": f"Bearer {digest}"}),
        401,
        "invalid_api_key",
    )


def test_a_revoked_key_is_dead_at_once(client: httpx.Client, customer: Customer) -> None:
    assert client.post("/chat/completions", json=chat(), headers=customer.headers).status_code == 200
    keys.revoke(key_id=customer.key_row.key_id)
    refused(client.post("/chat/completions", json=chat(), headers=customer.headers), 401, "invalid_api_key")
    refused(client.get("/credits", headers=customer.headers), 401, "invalid_api_key")


def test_two_equal_headers_are_one_key(client: httpx.Client, customer: Customer) -> None:
    both = {"authorization": f"bearer {customer.key}", "x-api-key": customer.key}
    assert client.post("/chat/completions", json=chat(), headers=both).status_code == 200
    assert client.post("/chat/completions", json=chat(), headers={"x-api-key": customer.key}).status_code == 200


# ---------------------------------------------------------------- what was sent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"model": "openai/gpt-4.1", "messages": [], "temperature": NaN}',
        b'{"model": "openai/gpt-4.1", "temperature": Infinity}',
        b'{"model":"openai/gpt-4.1","messages":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"model":"openai/gpt-4.1","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"openai/gpt-4.1","messages":[{"role":"user","content":"a\\u0000b"}]}',
        b'{"model":"openai/gpt-4.1","messages":[{"role":"user","content":"\xff"}]}',
    ],
    ids=["empty", "cut", "words", "nan", "infinity", "deep", "surrogate", "nul", "not-utf8"],
)
def test_what_is_not_json(client: httpx.Client, untouched: Customer, body: bytes) -> None:
    headers = {**untouched.headers, "content-type": "application/json"}
    refused(client.post("/chat/completions", content=body, headers=headers), 400, "invalid_json")


def test_nesting_that_parses_but_that_no_vendor_takes(client: httpx.Client, untouched: Customer) -> None:
    schema = json.loads('{"a":' * 300 + "1" + "}" * 300)
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    refused(client.post("/chat/completions", json=chat(tools=tools), headers=untouched.headers), 400, "invalid_json")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 10**9}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"seed": 1.5}, "seed"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort"),
        ({"user": 7}, "user"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "42"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0]"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "x" * 10_000}, "model"),
    ],
)
def test_wrong_values_name_their_parameter(
    client: httpx.Client, untouched: Customer, change: dict[str, object], param: str
) -> None:
    refused(
        client.post("/chat/completions", json=chat() | change, headers=untouched.headers), 400, "invalid_value", param
    )


@pytest.mark.parametrize("name", ["api_base", "base_url", "api_key", "extra_headers", "mock_response", "frobnicate"])
def test_unknown_parameters_are_refused_and_never_forwarded(
    client: httpx.Client, untouched: Customer, name: str
) -> None:
    body = chat() | {name: "https://evil.example"}
    refused(client.post("/chat/completions", json=body, headers=untouched.headers), 400, "unknown_parameter", name)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"functions": []}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            "messages[0].content[0].file.file_id",
        ),
    ],
)
def test_what_has_a_price_of_its_own_or_names_shared_objects(
    client: httpx.Client, untouched: Customer, change: dict[str, object], param: str
) -> None:
    refused(
        client.post("/chat/completions", json=chat() | change, headers=untouched.headers),
        400,
        "unsupported_parameter",
        param,
    )


def messages(**more: object) -> dict[str, object]:
    return {"model": "openai/gpt-4.1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **more}


def responses(**more: object) -> dict[str, object]:
    return {"model": "openai/gpt-4.1", "input": "hi", **more}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (messages(service_tier="priority"), "unsupported_parameter", "service_tier"),
        (messages(container="container_1"), "unsupported_parameter", "container"),
        (messages(tools=[{"type": "web_search_20250305", "name": "w"}]), "unsupported_parameter", "tools[0].type"),
        (messages(stop="END"), "unknown_parameter", "stop"),
        (messages(top_p=7), "invalid_value", "top_p"),
        (messages(model="xai/grok-4.7", stop_sequences=["END"]), "unsupported_parameter", "stop_sequences"),
        (
            messages(
                model="deepseek/deepseek-v4-pro",
                output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
            ),
            "unsupported_parameter",
            "output_config.format",
        ),
    ],
)
def test_messages_clients_read_their_own_fields_name(
    client: httpx.Client, untouched: Customer, body: dict[str, object], code: str, param: str
) -> None:
    response = client.post("/messages", json=body, headers=untouched.headers)
    assert response.status_code == 400, response.text
    answer = response.json()
    assert (answer["type"], answer["error"]["type"]) == ("error", "invalid_request_error")
    assert answer["error"]["details"]["error_code"] == code
    assert param in answer["error"]["message"]
    assert answer["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (responses(service_tier="priority"), "unsupported_parameter", "service_tier"),
        (responses(previous_response_id="resp_1"), "unsupported_parameter", "previous_response_id"),
        (responses(tools=[{"type": "web_search"}]), "unsupported_parameter", "tools[0].type"),
        (responses(max_tokens=5), "unknown_parameter", "max_tokens"),
        (responses(max_output_tokens=0), "invalid_value", "max_output_tokens"),
        (
            responses(
                model="deepseek/deepseek-v4-pro",
                text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
            ),
            "unsupported_parameter",
            "text.format",
        ),
    ],
)
def test_responses_clients_read_their_own_fields_name(
    client: httpx.Client, untouched: Customer, body: dict[str, object], code: str, param: str
) -> None:
    refused(client.post("/responses", json=body, headers=untouched.headers), 400, code, param)


@pytest.mark.parametrize(
    ("model", "change", "adjusted"),
    [
        ("moonshotai/kimi-k2.6", {"reasoning_effort": "low"}, "reasoning_effort"),
        ("minimax/minimax-m2.7", {"seed": 7, "presence_penalty": 1}, "presence_penalty"),
        ("zhipu/glm-5.3", {"temperature": 1.5}, "temperature"),
        ("deepseek/deepseek-v4-pro", {"temperature": 0.5}, "temperature"),
    ],
)
def test_what_was_adjusted_is_named_in_a_header(
    client: httpx.Client, customer: Customer, model: str, change: dict[str, object], adjusted: str
) -> None:
    response = client.post(
        "/chat/completions", json=chat(model=model, max_tokens=50) | change, headers=customer.headers
    )
    assert response.status_code == 200, response.text
    assert response.headers["x-tokenhub-adjusted"] == adjusted


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "https://127.0.0.1/a.png",
        "https://169.254.169.254/latest",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "https://0x7f.1/a.png",
        "https://2130706433/a.png",
        "https://localhost./a.png",
        "https://user@example.com/a.png",
        "https://example.com:6379/a.png",
        "file:///etc/passwd",
        "data:text/html;base64,AAAA",
    ],
)
def test_image_addresses_that_are_not_public(client: httpx.Client, untouched: Customer, url: str) -> None:
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = chat() | {"messages": [{"role": "user", "content": content}]}
    response = client.post("/chat/completions", json=body, headers=untouched.headers)
    refused(response, 400, "url_not_allowed", "messages[0].content[1].image_url.url")


def test_an_image_for_a_model_that_cannot_see(client: httpx.Client, untouched: Customer) -> None:
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    body = chat(model="sandbox/echo") | {"messages": [{"role": "user", "content": content}]}
    refused(
        client.post("/chat/completions", json=body, headers=untouched.headers), 400, "unsupported_parameter", "messages"
    )


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gpt-4.1", "openai/gpt-4.1"),
        ("openai/gpt-4.11", "openai/gpt-4.1"),
        ("anthropic/claude-sonet-4-6", "anthropic/claude-sonnet-4-6"),
    ],
)
def test_an_unknown_model_names_near_matches(client: httpx.Client, untouched: Customer, asked: str, near: str) -> None:
    response = client.post("/chat/completions", json=chat(model=asked), headers=untouched.headers)
    assert f"`{near}`" in str(refused(response, 404, "model_not_found", "model")["message"])


def test_a_body_of_33_megabytes(client: httpx.Client, untouched: Customer) -> None:
    body = json.dumps(chat("x" * 33_000_000)).encode()
    headers = {**untouched.headers, "content-type": "application/json"}
    refused(client.post("/chat/completions", content=body, headers=headers), 413, "request_too_large")
    chunked = (body[i : i + 65_536] for i in range(0, len(body), 65_536))  # without a Content-Length
    refused(client.post("/chat/completions", content=chunked, headers=headers), 413, "request_too_large")


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}]
)
def test_other_content_types(client: httpx.Client, untouched: Customer, headers: dict[str, str]) -> None:
    body = json.dumps(chat()).encode()
    response = client.post("/chat/completions", content=body, headers={**untouched.headers, **headers})
    refused(response, 415, "unsupported_media_type")


def test_a_compressed_body(client: httpx.Client, untouched: Customer) -> None:
    headers = {**untouched.headers, "content-encoding": "gzip", "content-type": "application/json"}
    refused(client.post("/chat/completions", content=os.urandom(64), headers=headers), 415, "unsupported_media_type")


# ---------------------------------------------------------------- where it was sent


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
def test_unknown_routes(site: Server, prefix: str) -> None:
    refused(httpx.post(f"{site.url}{prefix}/frobnicate", json={}), 404, "not_found")
    refused(httpx.get(f"{site.url}{prefix}/"), 404, "not_found")


def test_wrong_methods(client: httpx.Client) -> None:
    refused(client.get("/chat/completions"), 405, "method_not_allowed")
    refused(client.post("/models"), 405, "method_not_allowed")
    assert client.get("/chat/completions").headers["allow"] == "POST, OPTIONS"


def test_media_models_are_listed_and_answer_503(client: httpx.Client, customer: Customer) -> None:
    listed = {model["id"] for model in client.get("/models").json()["data"]}
    assert {"bytedance/doubao-seedance-2.0", "kwaivgi/kling-v3.0-pro", "alibaba/wan-2.2"} <= listed
    for route in ("/videos/generations", "/images/generations"):
        response = client.post(route, json={"model": "alibaba/wan-2.2"}, headers=customer.headers)
        refused(response, 503, "no_upstream_available")
        assert response.headers["retry-after"]


def test_preflight(client: httpx.Client) -> None:
    for route in ("/chat/completions", "/credits"):
        response = client.options(
            route, headers={"origin": "https://app.example", "access-control-request-method": "POST"}
        )
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == "*"
        assert "authorization" in response.headers["access-control-allow-headers"]


# ---------------------------------------------------------------- an empty wallet


def test_an_empty_wallet_says_what_is_there_and_what_is_needed(client: httpx.Client, sandbox: Server) -> None:
    poor = new_customer(nanos=0)
    error = refused(
        client.post("/chat/completions", json=chat(max_tokens=1000), headers=poor.headers), 402, "insufficient_credits"
    )
    assert (error["available"], error["held"], error["limit_source"]) == ("0.00", "0.00", "balance")
    assert error["affordable_max_tokens"] == 0
    assert str(error["top_up_url"]).endswith("/billing")
    rate = 8_000  # nano-USD a token: gpt-4.1's output
    assert 0.008 < float(str(error["required"])) < 0.009 and 1000 * rate == 8_000_000


def test_what_a_402_calls_affordable_is_admitted(client: httpx.Client) -> None:
    poor = new_customer(nanos=5_000_000)
    error = refused(
        client.post("/chat/completions", json=chat(max_tokens=30_000), headers=poor.headers),
        402,
        "insufficient_credits",
    )
    affordable = int(str(error["affordable_max_tokens"]))
    again = client.post("/chat/completions", json=chat(max_tokens=affordable), headers=poor.headers)
    assert again.status_code == 200
    one_more = client.post(
        "/chat/completions", json=chat(max_tokens=affordable + 1), headers=new_customer(nanos=5_000_000).headers
    )
    refused(one_more, 402, "insufficient_credits")


def test_a_keys_own_limit(client: httpx.Client) -> None:
    limited = new_customer(limit_nanos=1_000_000)
    error = refused(
        client.post("/chat/completions", json=chat(max_tokens=1000), headers=limited.headers),
        402,
        "insufficient_credits",
    )
    assert (error["limit_source"], error["available"]) == ("key", "0.001")


def test_a_frozen_account(client: httpx.Client, customer: Customer, app_db: object) -> None:
    app_db.execute("UPDATE ledger_account SET frozen = true WHERE customer_id = %s", [customer.account.pk])  # type: ignore[attr-defined]
    refused(client.post("/chat/completions", json=chat(), headers=customer.headers), 402, "account_frozen")
