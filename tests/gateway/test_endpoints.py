"""The reading side of the API: models, credits, one generation; and who may read what."""

import re
import uuid

import httpx

from tests.gateway.conftest import Customer, chat, new_customer
from tests.servers import Server


def test_models_are_public_and_complete(client: httpx.Client) -> None:
    models = {model["id"]: model for model in client.get("/models").json()["data"]}
    gpt = models["openai/gpt-4.1"]
    assert gpt["object"] == "model" and gpt["owned_by"] == "openai"
    assert (gpt["context_length"], gpt["top_provider"]["max_completion_tokens"]) == (1_047_576, 32_768)
    assert gpt["pricing"] == {"prompt": "0.000002", "completion": "0.000008", "input_cache_read": "0.0000005"}
    assert gpt["group"] == "openai" and gpt["sandbox"] is True
    assert "temperature" in gpt["supported_parameters"] and "tools" in gpt["supported_parameters"]
    assert (
        models["google/gemini-2.5-pro"]["deprecated"]
        and models["google/gemini-2.5-pro"]["successor"] == "google/gemini-3.8-flash"
    )
    assert client.get("/models/openai/gpt-4.1").json() == gpt


def test_models_are_the_same_under_both_bases(site: Server) -> None:
    assert httpx.get(f"{site.url}/v1/models").content == httpx.get(f"{site.url}/api/v1/models").content


def test_credits_add_up_to_the_last_digit(client: httpx.Client, customer: Customer) -> None:
    client.post(
        "/chat/completions", json=chat("[[sandbox: usage 1,1]]", model="sandbox/echo"), headers=customer.headers
    )
    response = client.get("/credits", headers=customer.headers)
    assert response.content == b'{"data":{"total_credits":1,"total_usage":0.0000005,"held":0,"available":0.9999995}}'


def test_a_generation_tells_what_it_cost(client: httpx.Client, customer: Customer) -> None:
    call = client.post("/chat/completions", json=chat("[[sandbox: usage 10,20]] Hi"), headers=customer.headers)
    response = client.get("/generation", params={"id": call.json()["id"]}, headers=customer.headers)
    receipt = response.json()["data"]
    assert (receipt["id"], receipt["model"], receipt["outcome"]) == (call.json()["id"], "openai/gpt-4.1", "completed")
    assert (receipt["tokens_prompt"], receipt["tokens_completion"], receipt["status"]) == (10, 20, 200)
    assert b'"total_cost":0.00018' in response.content
    assert receipt["detail"]["max_tokens_chosen"] > 0


def test_another_tenants_generation_answers_like_one_that_never_existed(
    client: httpx.Client, customer: Customer
) -> None:
    theirs = client.post("/chat/completions", json=chat(), headers=customer.headers).json()["id"]
    stranger = new_customer()
    answers = set()
    for call in (theirs, f"gen-{uuid.uuid4().hex}", "gen-nonsense", "", "' OR 1=1", theirs.upper()):
        response = client.get("/generation", params={"id": call}, headers=stranger.headers)
        assert response.status_code == 404
        answers.add(re.sub(r"req-[0-9a-f]{32}", "req", response.text))
    assert len(answers) == 1


def test_a_session_cookie_opens_nothing(site: Server) -> None:
    assert httpx.get(f"{site.api}/credits", cookies={"sessionid": "x" * 32}).status_code == 401


def test_health(site: Server) -> None:
    assert httpx.get(f"{site.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{site.url}/readyz").json() == {"status": "ok", "database": "ok", "redis": "ok"}


def test_dropped_parameters_are_named(client: httpx.Client, customer: Customer) -> None:
    body = chat(model="anthropic/claude-opus-5-5", temperature=0.5, max_tokens=9_000_000)
    response = client.post("/chat/completions", json=body, headers=new_customer(nanos=900_000_000_000).headers)
    assert response.status_code == 200, response.text
    assert response.headers["x-tokenhub-adjusted"] == "temperature, max_tokens"


def test_the_bound_without_max_tokens_is_what_a_quarter_of_the_balance_buys(
    client: httpx.Client, sandbox: Server
) -> None:
    for nanos, bound in ((800_000_000, 25_000), (20_000_000, 1_024), (100_000_000_000, 32_768)):
        customer = new_customer(nanos=nanos)
        response = client.post("/chat/completions", json=chat("How far?"), headers=customer.headers)
        assert response.status_code == 200, response.text
        asked = httpx.get(f"{sandbox.url}/stats").json()["last_request"]
        assert asked["max_completion_tokens"] == bound


def test_end_user_ids_reach_the_vendor_only_as_hashes_of_ours(client: httpx.Client, sandbox: Server) -> None:
    seen = set()
    for customer in (new_customer(), new_customer()):
        body = chat(user="mira", prompt_cache_key="k", store=True, metadata={"a": "b"})
        assert client.post("/chat/completions", json=body, headers=customer.headers).status_code == 200
        asked = httpx.get(f"{sandbox.url}/stats").json()["last_request"]
        assert asked["store"] is False and "metadata" not in asked
        seen |= {asked["user"], asked["prompt_cache_key"]}
    assert len(seen) == 4 and "mira" not in seen


def test_heads_without_bodies_are_sent(site: Server) -> None:
    """Head and body leave in one write; an answer without a body must not wait for one."""
    with httpx.Client(base_url=site.url, timeout=10) as http:
        for _ in range(2):  # on one connection
            assert http.head("/healthz").status_code == 200
            assert http.options("/api/v1/chat/completions").status_code == 204
            assert http.get("/static/css/tokens.css").status_code == 200
            assert http.get("/healthz").json() == {"status": "ok"}


def test_what_sdks_send_back_of_an_earlier_answer_is_taken_and_not_sent_on(
    client: httpx.Client, sandbox: Server
) -> None:
    echoed = {"annotations": [], "reasoning": "Hm.", "provider_specific_fields": {"refusal": None}, "refusal": None}
    turns = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello.", **echoed}]
    body = chat() | {"messages": [*turns, {"role": "user", "content": "And again."}]}
    assert client.post("/chat/completions", json=body, headers=new_customer().headers).status_code == 200
    asked = httpx.get(f"{sandbox.url}/stats").json()["last_request"]
    assert asked["messages"][1] == {"role": "assistant", "content": "Hello."}
