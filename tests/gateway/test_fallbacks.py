"""Several routes and several models for one call: who answers, what it costs, what the receipt says. Over real HTTP, with two
vendors that do as they are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from billing.models import Hold
from gateway import catalogue
from gateway.models import CallRecord, Model, Provider, UsageHour
from tests import servers, vendors
from tests.gateway.conftest import Customer, chat, new_customer
from tests.vendors import ANSWER_TOKENS, PROMPT_TOKENS, Vendor

SUPPORTS = (
    "{streaming: true, tools: %s, parallel_tools: true, json_schema: true, json_mode: true, vision: false, pdf_input: false,"
    " audio_input: false, video_input: false, reasoning: true, prompt_cache: false, cache_control: false,"
    " sampling_params: %s, forced_tool_choice: true}"
)


def entry(name: str, routes: str, price: tuple[str, str], *, tools: bool = True, sampling: bool = True) -> str:
    supports = SUPPORTS % (str(tools).lower(), str(sampling).lower())
    return f"""
  - id: tested/{name}
    name: {name}
    description: For tests.
    kind: chat
    context_window: 100000
    max_output_tokens: 10000
    input_modalities: [text]
    output_modalities: [text]
    supports: {supports}
    routes: {routes}
    prices:
      - {{from: 2026-01-01, unit: USD per million tokens, input: "{price[0]}", output: "{price[1]}", cost: same, source: none}}
"""


BOTH = "[{upstream: deepseek, upstream_model: %s}, {upstream: mimo, upstream_model: %s}]"
FILE = "group: {slug: tested, name: Tested, description: For tests., position: 90}\nmodels:\n" + "".join(
    (
        entry("twin", BOTH % ("twin", "twin"), ("1", "2")),
        entry("patient", BOTH % ("patient", "patient"), ("1", "2")),
        entry("failing", BOTH % ("failing", "failing"), ("1", "2")),
        entry(
            "shared",
            "[{upstream: deepseek, upstream_model: s, priority: 0, weight: 3}, {upstream: mimo, upstream_model: s, priority: 0}]",
            ("1", "2"),
        ),
        entry("alone", "[{upstream: deepseek, upstream_model: alone}]", ("3", "4")),
        entry("tried", "[{upstream: deepseek, upstream_model: tried}]", ("1", "2")),
        entry("dear", "[{upstream: mimo, upstream_model: dear}]", ("50", "100")),
        entry("simple", "[{upstream: mimo, upstream_model: simple}]", ("1", "2"), tools=False, sampling=False),
    )
)


@pytest.fixture(scope="module")
def first() -> Iterator[Vendor]:
    with vendors.running() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def second() -> Iterator[Vendor]:
    with vendors.running() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def fallback_site(
    first: Vendor, second: Vendor, sandbox: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    file = tmp_path_factory.mktemp("catalogue") / "tested.yaml"
    Path(file).write_text(FILE)
    catalogue.sync(catalogue.load_file(file))
    env = {
        "DEEPSEEK_BASE_URL": first.url,
        "MIMO_BASE_URL": second.url,
        "TOKENHUB_UPSTREAM_TIMEOUT_SECONDS": "1",
    }
    server = servers.start_web(sandbox, **env)
    yield server
    server.stop()
    Model.objects.filter(slug__startswith="tested/").delete()
    Provider.objects.filter(slug="tested").delete()


@pytest.fixture
def http(fallback_site: servers.Server, first: Vendor, second: Vendor) -> Iterator[httpx.Client]:
    first.reset()
    second.reset()
    with httpx.Client(base_url=fallback_site.api, timeout=30) as client:
        yield client


@pytest.fixture
def buyer() -> Customer:
    return new_customer(nanos=10_000_000_000)


def ask(http: httpx.Client, buyer: Customer, model: str = "tested/twin", **more: Any) -> httpx.Response:
    return http.post("/chat/completions", json=chat(model=model, max_tokens=100, **more), headers=buyer.headers)


def ask_streamed(http: httpx.Client, buyer: Customer, model: str = "tested/twin", **more: Any) -> httpx.Response:
    return ask(http, buyer, model, stream=True, **more)


def receipt(response: httpx.Response) -> CallRecord:
    from tokenhub.ids import parse_generation_id

    return CallRecord.objects.get(pk=parse_generation_id(response.headers["x-generation-id"]))


def cost_nanos(input_rate: int, output_rate: int) -> int:
    """Rates in USD per million tokens; the vendor's counts are always the same."""
    return (PROMPT_TOKENS * input_rate + ANSWER_TOKENS * output_rate) * 1_000


# ---------------------------------------------------------------- several routes

BEFORE_OUTPUT = {
    "500": vendors.refuses(500),
    "503": vendors.refuses(503),
    "429": vendors.refuses(429, retry_after="1"),
    "401": vendors.refuses(401),
    "hangs up": vendors.hangs_up,
    "nonsense": vendors.says_nonsense,
    "silence": vendors.falls_silent,
}
BEFORE_FIRST_FRAME = BEFORE_OUTPUT | {
    "opens and dies": vendors.opens_and_dies,
    "error event": vendors.reports_failure_first,
}


@pytest.mark.parametrize("failure", BEFORE_OUTPUT)
def test_another_route_answers_a_plain_call(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor, failure: str
) -> None:
    first.habit = BEFORE_OUTPUT[failure]
    response = ask(http, buyer, provider={"order": ["deepseek"]})
    assert response.status_code == 200 and response.json()["choices"][0]["message"]["content"] == "A river flows."
    check_one_paid_answer(buyer, receipt(response), first, second)


@pytest.mark.parametrize("failure", BEFORE_FIRST_FRAME)
def test_another_route_answers_a_stream_that_has_not_spoken(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor, failure: str
) -> None:
    first.habit = BEFORE_FIRST_FRAME[failure]
    response = ask_streamed(http, buyer, provider={"order": ["deepseek"]})
    assert response.status_code == 200
    assert response.text.count('"role":"assistant"') + response.text.count('"role": "assistant"') == 1
    assert "flows." in response.text and response.text.endswith("data: [DONE]\n\n") and '"error"' not in response.text
    check_one_paid_answer(buyer, receipt(response), first, second)


def check_one_paid_answer(buyer: Customer, record: CallRecord, first: Vendor, second: Vendor) -> None:
    assert record.cost_nanos == cost_nanos(1, 2) and record.status == 200
    wallet = buyer.wallet
    assert (wallet.posted_nanos, wallet.held_nanos) == (10_000_000_000 - record.cost_nanos, 0)
    assert record.detail["upstream"] == "mimo"
    (attempt,) = record.detail["attempts"]
    assert attempt["upstream"] == "deepseek" and attempt["model"] == "tested/twin" and attempt["status"] >= 429
    assert len(second.requests) == 1
    assert len(first.requests) == 1  # failing over is no retry


def test_when_every_route_fails_nothing_is_charged_and_the_last_error_is_told(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit, second.habit = vendors.refuses(500), vendors.refuses(503, retry_after="7")
    response = ask(http, buyer, provider={"order": ["deepseek"]})
    assert response.status_code == 502 and response.headers["retry-after"] == "7"
    record = receipt(response)
    assert record.cost_nanos == 0 and buyer.wallet.held_nanos == 0
    assert [attempt["upstream"] for attempt in record.detail["attempts"]] == ["deepseek", "mimo"]
    assert (len(first.requests), len(second.requests)) == (1, 1)  # one pass


def test_a_request_that_the_vendor_refuses_is_not_sent_to_another(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit = vendors.refuses(400)
    assert ask(http, buyer, provider={"order": ["deepseek"]}).status_code == 400
    assert second.requests == []


def test_after_the_first_words_no_other_route_is_asked(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit = vendors.dies_midway
    response = ask_streamed(http, buyer, provider={"order": ["deepseek"]})
    assert response.status_code == 200 and '"finish_reason":"error"' in response.text and "[DONE]" not in response.text
    assert second.requests == [] and receipt(response).cost_nanos > 0


def test_a_route_that_asked_for_rest_is_not_the_first_choice_until_then(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.script.append(vendors.refuses(429, retry_after="60"))
    for _ in range(4):
        assert ask(http, buyer, "tested/patient").status_code == 200
    assert (len(first.requests), len(second.requests)) == (1, 4)


def test_a_route_that_keeps_failing_is_no_longer_tried_first(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit = vendors.refuses(500)
    for _ in range(12):
        assert ask(http, buyer, "tested/failing").status_code == 200
    assert len(first.requests) == 5 and len(second.requests) == 12


def test_equal_routes_share_the_calls(http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor) -> None:
    for _ in range(60):
        assert ask(http, buyer, "tested/shared").status_code == 200
    # 3 : 1; outside of these bounds once in more than ten thousand runs
    assert 30 <= len(first.requests) <= 57 and len(first.requests) + len(second.requests) == 60


def test_a_vendor_that_fails_everybody_gets_at_most_a_tenth_more_calls(
    http: httpx.Client, buyer: Customer, first: Vendor
) -> None:
    first.habit = vendors.refuses(500)
    for _ in range(50):
        assert ask(http, buyer, "tested/tried").status_code == 502
    assert 50 < len(first.requests) <= 55


def test_a_retry_that_succeeds_is_one_paid_call(http: httpx.Client, buyer: Customer, first: Vendor) -> None:
    for _ in range(15):  # what the budget grows from
        assert ask(http, buyer, "tested/alone").status_code == 200
    before, spent = len(first.requests), buyer.wallet.posted_nanos
    first.script.append(vendors.hangs_up)
    response = ask(http, buyer, "tested/alone")
    assert response.status_code == 200 and len(first.requests) == before + 2
    assert spent - buyer.wallet.posted_nanos == cost_nanos(3, 4)
    assert [attempt["error"] for attempt in receipt(response).detail["attempts"]] == ["upstream_error"]


# ---------------------------------------------------------------- several models


@pytest.mark.parametrize("streamed", [False, True])
def test_a_fallback_is_held_for_at_the_dearest_and_charged_at_its_own_price(
    http: httpx.Client, buyer: Customer, first: Vendor, streamed: bool
) -> None:
    first.habit = vendors.refuses(503)
    response = ask(http, buyer, "tested/alone", models=["tested/dear"], stream=streamed)
    assert response.status_code == 200
    record = receipt(response)
    dear = Model.objects.get(slug="tested/dear")
    assert (record.model_id, record.price_id) == (dear.pk, dear.price_ids[0])
    assert record.cost_nanos == cost_nanos(50, 100)
    assert record.held_nanos >= 100 * 100_000  # the output's bound at the dear model's rate
    assert record.detail["asked_model"] == "tested/alone"
    assert response.headers["x-tokenhub-served-model"] == "tested/dear"
    assert '"model":"tested/dear"' in response.text.replace(" ", "")
    hour = UsageHour.objects.get(account_id=buyer.account.pk)
    assert (hour.model_id, hour.cost_nanos) == (dear.pk, record.cost_nanos)


def test_a_dear_first_choice_that_fails_costs_only_what_the_cheap_one_does(
    http: httpx.Client, buyer: Customer, second: Vendor
) -> None:
    second.script.append(vendors.refuses(500))
    response = ask(http, buyer, "tested/dear", models=["tested/dear", "tested/alone"])
    assert response.status_code == 200 and receipt(response).cost_nanos == cost_nanos(3, 4)
    hold = Hold.objects.get(pk=receipt(response).pk)
    assert hold.amount_nanos >= 100 * 100_000


def test_a_prompt_that_is_too_long_goes_to_the_next_model_not_to_the_next_route(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit = vendors.refuses(400, "context_length_exceeded")
    response = ask(http, buyer, "tested/twin", models=["tested/dear"], provider={"order": ["deepseek"]})
    assert response.status_code == 200 and response.json()["model"] == "tested/dear"
    assert [request["model"] for request in second.requests] == ["dear"]


def test_models_alone_name_the_first_choice_too(http: httpx.Client, buyer: Customer) -> None:
    body = {"models": ["tested/alone"], "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    response = http.post("/chat/completions", json=body, headers=buyer.headers)
    assert response.status_code == 200 and response.json()["model"] == "tested/alone"


def test_a_fallback_that_cannot_take_the_request_is_passed_over(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor
) -> None:
    first.habit = vendors.refuses(500)
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    response = ask(http, buyer, "tested/alone", models=["tested/simple", "tested/dear"], tools=tools)
    assert response.json()["model"] == "tested/dear"
    assert [request["model"] for request in second.requests] == ["dear"]


def test_an_unknown_fallback_is_a_slip(http: httpx.Client, buyer: Customer, first: Vendor) -> None:
    response = ask(http, buyer, "tested/alone", models=["tested/nothing"])
    assert response.status_code == 404 and response.json()["error"]["code"] == "model_not_found"
    assert first.requests == [] and buyer.wallet.posted_nanos == 10_000_000_000


@pytest.mark.parametrize("path", ["/messages", "/responses"])
def test_the_other_dialects_fall_back_too(http: httpx.Client, buyer: Customer, first: Vendor, path: str) -> None:
    first.habit = vendors.refuses(500)
    body: dict[str, Any] = {"model": "tested/alone", "models": ["tested/dear"], "provider": {"sort": "price"}}
    if path == "/messages":
        body |= {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    else:
        body |= {"input": "Hello", "max_output_tokens": 50}
    response = http.post(path, json=body, headers=buyer.headers)
    assert response.status_code == 200 and response.json()["model"] == "tested/dear"


# ---------------------------------------------------------------- preferences


@pytest.mark.parametrize(
    ("provider", "asked"),
    [
        ({"only": ["mimo"]}, ["mimo"]),
        ({"ignore": ["DeepSeek"]}, ["mimo"]),
        ({"order": ["mimo", "deepseek"]}, ["mimo", "deepseek"]),
        ({"order": ["mimo"]}, ["mimo", "deepseek"]),
        ({"order": ["mimo"], "allow_fallbacks": False}, ["mimo"]),
        ({"allow_fallbacks": False, "order": ["elsewhere", "mimo"]}, ["mimo"]),
        (
            {"max_price": {"prompt": 1, "completion": "2"}, "only": ["mimo", "deepseek"], "order": ["mimo"]},
            ["mimo", "deepseek"],
        ),
    ],
)
def test_wishes_decide_which_routes_are_tried(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor, provider: dict[str, Any], asked: list[str]
) -> None:
    first.habit = second.habit = vendors.refuses(529)
    assert ask(http, buyer, provider=provider).status_code == 502
    record = CallRecord.objects.get(account_id=buyer.account.pk)
    tried = [attempt["upstream"] for attempt in record.detail["attempts"]]
    assert list(dict.fromkeys(tried)) == asked  # the only one may be tried again


@pytest.mark.parametrize(
    ("provider", "param", "code"),
    [
        ({"only": ["elsewhere"]}, "provider", "invalid_value"),
        ({"ignore": ["mimo", "deepseek"]}, "provider", "invalid_value"),
        ({"max_price": {"prompt": 0.99}}, "provider", "invalid_value"),
        ({"max_price": {"completion": "1.999999"}}, "provider", "invalid_value"),
        ({"max_price": {"prompt": "a lot"}}, "provider.max_price.prompt", "invalid_value"),
        ({"max_price": {"image": 1}}, "provider.max_price.image", "unknown_parameter"),
        ({"max_price": 1}, "provider.max_price", "invalid_value"),
        ({"order": "mimo"}, "provider.order", "invalid_value"),
        ({"only": [1]}, "provider.only", "invalid_value"),
        ({"sort": "luck"}, "provider.sort", "invalid_value"),
        ({"sort": ["price"]}, "provider.sort", "invalid_value"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks", "invalid_value"),
        ({"require_parameters": 1}, "provider.require_parameters", "invalid_value"),
        ({"data_collection": "deny"}, "provider.data_collection", "unsupported_parameter"),
        ({"zdr": True}, "provider.zdr", "unsupported_parameter"),
        ({"quantizations": ["fp8"]}, "provider.quantizations", "unsupported_parameter"),
        ({"friends": True}, "provider.friends", "unknown_parameter"),
        (["mimo"], "provider", "invalid_value"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_by_name_and_cost_nothing(
    http: httpx.Client, buyer: Customer, first: Vendor, second: Vendor, provider: Any, param: str, code: str
) -> None:
    response = ask(http, buyer, provider=provider)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)
    assert first.requests == second.requests == [] and buyer.wallet.posted_nanos == 10_000_000_000


@pytest.mark.parametrize("models", ["tested/dear", [], [1], [""], ["tested/dear"] * 9])
def test_a_list_of_models_that_is_none_is_refused(http: httpx.Client, buyer: Customer, models: Any) -> None:
    response = ask(http, buyer, models=models)
    assert response.status_code == 400 and response.json()["error"]["param"] == "models"


def test_what_would_be_dropped_is_refused_where_parameters_are_required(
    http: httpx.Client, buyer: Customer, second: Vendor
) -> None:
    told = ask(http, buyer, "tested/simple", temperature=0.5)
    assert told.status_code == 200 and told.headers["x-tokenhub-adjusted"] == "temperature"
    response = ask(http, buyer, "tested/simple", temperature=0.5, provider={"require_parameters": True})
    assert response.status_code == 400 and response.json()["error"]["param"] == "temperature"
    assert len(second.requests) == 1


def test_the_answer_comes_from_the_model_that_follows_all_parameters_where_they_are_required(
    http: httpx.Client, buyer: Customer
) -> None:
    wish = {"require_parameters": True}
    response = ask(http, buyer, "tested/simple", models=["tested/dear"], temperature=0.5, provider=wish)
    assert response.status_code == 200 and response.json()["model"] == "tested/dear"
