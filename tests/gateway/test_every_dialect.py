"""Every chat model in every client dialect, plain and streamed, through the vendor's own wire; the cost from the price file."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from gateway.catalogue import current_price, load_files
from gateway.models import CallRecord, Model
from tests.gateway.conftest import Customer, new_customer
from tests.servers import Server
from tokenhub import clock

CHAT_MODELS = [
    entry.slug
    for entry in load_files().models
    if entry.columns["kind"] == "chat" and not entry.slug.startswith("sandbox/")
]
#: one of each wire and of each quirk, for the ordinary run
SAMPLE = [
    "openai/gpt-4.1",
    "anthropic/claude-sonnet-4-6",
    "google/gemini-3.8-flash",
    "deepseek/deepseek-v4-pro",
    "moonshotai/kimi-k2.6",
]
ASK = "[[sandbox: usage 1000,50,cached=400]] What is a river?"


def models() -> list[Any]:
    return [pytest.param(slug, marks=[] if slug in SAMPLE else pytest.mark.long) for slug in CHAT_MODELS]


def expected_nanos(slug: str) -> int:
    """1,000 prompt tokens of which 400 were cached, and 50 of answer: computed from the row, independently of pricing.py."""
    price = current_price(Model.objects.get(slug=slug), clock.now())
    assert price is not None
    rates = price.rates["per_million"]
    cached = rates["cached_input"] if rates["cached_input"] is not None else rates["input"]
    exact = Decimal(600 * rates["input"] + 400 * cached + 50 * rates["output"]) / 1_000_000
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))


@pytest.fixture
def rich() -> Customer:
    return new_customer(nanos=100_000_000_000)


def spent(customer: Customer) -> int:
    assert customer.wallet.held_nanos == 0
    return 100_000_000_000 - customer.wallet.posted_nanos


@pytest.fixture
def oai(site: Server, rich: Customer) -> Iterator[OpenAI]:
    with OpenAI(base_url=site.api, api_key=rich.key, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(site: Server, rich: Customer) -> Iterator[Anthropic]:
    with Anthropic(base_url=site.url, api_key=rich.key, max_retries=0) as sdk:
        yield sdk


@pytest.mark.parametrize("slug", models())
def test_chat(oai: OpenAI, rich: Customer, slug: str) -> None:
    answer = oai.chat.completions.create(model=slug, messages=[{"role": "user", "content": ASK}], max_tokens=2_000)
    assert answer.model == slug and answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    cost = expected_nanos(slug)
    assert round(answer.usage.cost * 1e9) == cost == spent(rich)  # type: ignore[union-attr]
    options = {"stream_options": {"include_usage": True}}
    chunks = list(
        oai.chat.completions.create(  # type: ignore[call-overload]
            model=slug, messages=[{"role": "user", "content": ASK}], max_tokens=2_000, stream=True, **options
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert {chunk.model for chunk in chunks} == {slug} and len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert round(chunks[-1].usage.cost * 1e9) == cost
    assert spent(rich) == 2 * cost


@pytest.mark.parametrize("slug", models())
def test_messages(claude: Anthropic, rich: Customer, slug: str) -> None:
    asked: dict[str, Any] = {"model": slug, "max_tokens": 2_000, "messages": [{"role": "user", "content": ASK}]}
    message = claude.messages.create(**asked)
    assert message.model == slug and message.stop_reason == "end_turn" and message.content[-1].type == "text"
    assert message.content[-1].text
    cost = expected_nanos(slug)
    assert round(message.usage.cost * 1e9) == cost == spent(rich)  # type: ignore[attr-defined]
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        600,
        400,
        50,
    )
    with claude.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text and final.model == slug and final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 50
    assert spent(rich) == 2 * cost


@pytest.mark.parametrize("slug", models())
def test_responses(oai: OpenAI, rich: Customer, slug: str) -> None:
    response = oai.responses.create(model=slug, input=ASK, max_output_tokens=2_000)
    assert response.model == slug and response.status == "completed" and response.output_text
    cost = expected_nanos(slug)
    assert round(response.usage.cost * 1e9) == cost == spent(rich)  # type: ignore[union-attr]
    assert response.usage.input_tokens_details.cached_tokens == 400  # type: ignore[union-attr]
    events = list(oai.responses.create(model=slug, input=ASK, max_output_tokens=2_000, stream=True))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert events[-1].response.output_text == "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert spent(rich) == 2 * cost


# ---------------------------------------------------------------- tools, there and back, in every dialect

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize("slug", SAMPLE)
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_in_chat(oai: OpenAI, slug: str, streamed: bool) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    messages: list[Any] = [{"role": "user", "content": "Use get_weather for Oslo"}]
    asked: dict[str, Any] = {"model": slug, "tools": tools, "max_tokens": 3_000}
    if streamed:
        calls: dict[int, dict[str, str]] = {}
        for chunk in oai.chat.completions.create(messages=messages, stream=True, **asked):
            for call in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
                known = calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
                known["id"] += call.id or ""
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
        (call,) = calls.values()
    else:
        made = oai.chat.completions.create(messages=messages, **asked).choices[0].message.tool_calls[0]
        call = {"id": made.id, "name": made.function.name, "arguments": made.function.arguments}
    assert call["name"] == "get_weather" and isinstance(json.loads(call["arguments"])["city"], str)
    function = {"name": call["name"], "arguments": call["arguments"]}
    messages += [
        {"role": "assistant", "tool_calls": [{"id": call["id"], "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Rain, 7 degrees"},
    ]
    answer = oai.chat.completions.create(messages=messages, **asked)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("slug", SAMPLE)
def test_tools_in_messages(claude: Anthropic, slug: str) -> None:
    tools = [{"name": "get_weather", "description": "The weather", "input_schema": SCHEMA}]
    messages: list[Any] = [{"role": "user", "content": "Use get_weather for Oslo"}]
    asked: dict[str, Any] = {"model": slug, "max_tokens": 3_000, "tools": tools}
    with claude.messages.stream(messages=messages, **asked) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    (use,) = [block for block in first.content if block.type == "tool_use"]
    assert use.name == "get_weather" and isinstance(use.input["city"], str)
    messages += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Rain, 7 degrees"}]},
    ]
    answer = claude.messages.create(messages=messages, **asked)
    assert answer.stop_reason == "end_turn" and answer.content[-1].text


@pytest.mark.parametrize("slug", SAMPLE)
def test_tools_in_responses(oai: OpenAI, slug: str) -> None:
    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
    items: list[Any] = [{"role": "user", "content": "Use get_weather for Oslo"}]
    first = oai.responses.create(model=slug, input=items, tools=tools, max_output_tokens=3_000)  # type: ignore[arg-type]
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert call.name == "get_weather" and isinstance(json.loads(call.arguments)["city"], str)
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Rain, 7 degrees"})
    assert oai.responses.create(model=slug, input=items, tools=tools, max_output_tokens=3_000).output_text  # type: ignore[arg-type]


# ---------------------------------------------------------------- errors in each dialect's own shape


@pytest.mark.parametrize("slug", SAMPLE)
def test_a_broken_stream_raises_in_every_dialect(oai: OpenAI, claude: Anthropic, slug: str, rich: Customer) -> None:
    broken = "[[sandbox: fail-after 6]] Tell me about rivers"
    with pytest.raises(openai.APIError):
        list(
            oai.chat.completions.create(
                model=slug, messages=[{"role": "user", "content": broken}], stream=True, max_tokens=500
            )
        )
    with pytest.raises(openai.APIError):
        list(oai.responses.create(model=slug, input=broken, stream=True, max_output_tokens=500))
    with (
        pytest.raises(anthropic.APIError),
        claude.messages.stream(model=slug, max_tokens=500, messages=[{"role": "user", "content": broken}]) as stream,
    ):
        stream.get_final_message()
    records = CallRecord.objects.filter(account_id=rich.account.pk)
    assert [record.status for record in records] == [502] * 3
    assert all(record.estimated and record.output_tokens > 0 and record.cost_nanos > 0 for record in records)
    assert spent(rich) == sum(record.cost_nanos for record in records)


@pytest.mark.parametrize("slug", ["openai/gpt-4.1", "anthropic/claude-sonnet-4-6", "google/gemini-3.8-flash"])
@pytest.mark.parametrize(
    ("directive", "status"),
    [("fail 500", 502), ("fail 429 retry-after=7", 429), ("status 401", 503), ("fail 400", 400)],
)
def test_a_vendors_refusal_is_free_on_every_wire(
    site: Server, rich: Customer, slug: str, directive: str, status: int
) -> None:
    body = {"model": slug, "max_tokens": 500, "messages": [{"role": "user", "content": f"[[sandbox: {directive}]] Hi"}]}
    for route in ("chat/completions", "messages"):
        answer = httpx.post(f"{site.api}/{route}", json=body, headers=rich.headers, timeout=30)
        assert answer.status_code == status, answer.text
        if status == 429:
            assert answer.headers["retry-after"] == "7"
    assert spent(rich) == 0


def test_errors_in_anthropics_shape(site: Server, claude: Anthropic) -> None:
    ask: list[Any] = [{"role": "user", "content": "Hi"}]
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="anthropic/claude-0", max_tokens=5, messages=ask)
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model=SAMPLE[0], max_tokens=-1, messages=ask)
    with pytest.raises(anthropic.AuthenticationError):
        Anthropic(base_url=site.url, api_key="th-junk", max_retries=0).messages.create(
            model=SAMPLE[0], max_tokens=5, messages=ask
        )
    answer = httpx.post(f"{site.api}/messages", json={}, headers={"x-api-key": "junk"}).json()
    assert answer["type"] == "error" and answer["error"]["type"] == "authentication_error" and answer["request_id"]


def test_stored_state_of_the_shared_account_is_refused(site: Server, rich: Customer) -> None:
    for extra in (
        {"previous_response_id": "resp_1"},
        {"conversation": "c"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
    ):
        answer = httpx.post(
            f"{site.api}/responses", json={"model": SAMPLE[0], "input": "Hi", **extra}, headers=rich.headers
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")


def test_counting_tokens_is_free(claude: Anthropic, rich: Customer) -> None:
    ask: list[Any] = [{"role": "user", "content": "What is a river?"}]
    counted = claude.messages.count_tokens(model="openai/gpt-4.1", messages=ask)
    assert 5 <= counted.input_tokens <= 15
    with_tools = claude.messages.count_tokens(
        model="anthropic/claude-sonnet-4-6", messages=ask, tools=[{"name": "f", "input_schema": SCHEMA}]
    )
    assert with_tools.input_tokens > counted.input_tokens
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.count_tokens(model="openai/gpt-0", messages=ask)
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.count_tokens(model="openai/gpt-4.1", messages=[])
    assert spent(rich) == 0


def test_a_document_is_held_for_and_reaches_who_can_read_it(oai: OpenAI, rich: Customer) -> None:
    pdf = "data:application/pdf;base64," + "QUJD" * 1_000
    parts: list[Any] = [
        {"type": "text", "text": "[[sandbox: usage 3000,5]] What does it say?"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
    ]
    for slug in ("openai/gpt-4.1", "anthropic/claude-sonnet-4-6", "google/gemini-3.8-flash"):
        answer = oai.chat.completions.create(model=slug, messages=[{"role": "user", "content": parts}], max_tokens=100)
        assert answer.choices[0].message.content
    held = CallRecord.objects.filter(account_id=rich.account.pk).order_by("created_at").first()
    assert held is not None and held.held_nanos > 3_000 * 2_000  # gpt-4.1: more than three thousand tokens of document
    with pytest.raises(openai.BadRequestError) as blind:
        oai.chat.completions.create(model="sandbox/echo", messages=[{"role": "user", "content": parts}])
    assert blind.value.code == "unsupported_parameter"


def test_what_a_dialect_cannot_say_to_a_vendor_is_named(site: Server, rich: Customer) -> None:
    body = {"model": "openai/gpt-4.1", "max_tokens": 50, "top_k": 5, "messages": [{"role": "user", "content": "Hi"}]}
    answer = httpx.post(f"{site.api}/messages", json=body, headers=rich.headers, timeout=30)
    assert answer.status_code == 200 and "top_k" in answer.headers["x-tokenhub-adjusted"]
    body["model"] = "anthropic/claude-sonnet-4-6"
    answer = httpx.post(f"{site.api}/messages", json=body, headers=rich.headers, timeout=30)
    assert answer.status_code == 200 and "x-tokenhub-adjusted" not in answer.headers
