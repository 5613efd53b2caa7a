"""The official OpenAI package, unchanged, against the served gateway."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from gateway.models import CallRecord
from tests.gateway.conftest import Customer, new_customer
from tests.servers import Server

ASK = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def sdk(site: Server, customer: Customer) -> Iterator[OpenAI]:
    with OpenAI(base_url=site.api, api_key=customer.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    "model", ["openai/gpt-4.1", "anthropic/claude-sonnet-4-6", "deepseek/deepseek-v4.1-flash", "sandbox/echo"]
)
def test_plain(sdk: OpenAI, model: str) -> None:
    answer = sdk.chat.completions.create(model=model, messages=ASK)
    assert answer.model == model
    assert answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.total_tokens > 0
    assert answer.usage.cost > 0  # type: ignore[attr-defined]
    assert answer._request_id == answer.id


@pytest.mark.parametrize("include_usage", [True, False])
def test_streamed(sdk: OpenAI, include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(sdk.chat.completions.create(model="openai/gpt-4.1", messages=ASK, stream=True, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert (chunks[-1].usage is not None) is include_usage
    if include_usage:
        assert chunks[-1].usage.cost > 0  # type: ignore[union-attr]


def test_plain_and_streamed_say_and_cost_the_same(site: Server) -> None:
    costs = []
    for streamed in (False, True):
        customer = new_customer()
        with OpenAI(base_url=site.api, api_key=customer.key) as sdk:
            result = sdk.chat.completions.create(model="openai/gpt-4.1", messages=ASK, stream=streamed, max_tokens=200)
            if streamed:
                list(result)
        costs.append(1_000_000_000 - customer.wallet.posted_nanos)
    assert costs[0] == costs[1] > 0


def test_async(site: Server, customer: Customer) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=site.api, api_key=customer.key) as sdk:
            answers = await asyncio.gather(
                *(sdk.chat.completions.create(model="openai/gpt-4.1", messages=ASK, max_tokens=50) for _ in range(10))
            )
            stream = await sdk.chat.completions.create(model="openai/gpt-4.1", messages=ASK, stream=True, max_tokens=50)
            last = [chunk async for chunk in stream]
            return [answer.id for answer in answers] + [last[0].id]

    ids = asyncio.run(ask())
    assert len(set(ids)) == 11
    assert CallRecord.objects.filter(account_id=customer.account.pk).count() == 11
    assert customer.wallet.held_nanos == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_there_and_back(sdk: OpenAI, streamed: bool) -> None:
    messages: list[dict[str, object]] = [{"role": "user", "content": "Use get_weather for Oslo"}]
    asked = {"model": "openai/gpt-4.1", "tools": [WEATHER], "tool_choice": "required"}
    if streamed:
        name = arguments = call_id = ""
        for chunk in sdk.chat.completions.create(messages=messages, stream=True, **asked):  # type: ignore[call-overload]
            for call in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
                call_id, name = call.id or call_id, call.function.name or name
                arguments += call.function.arguments or ""
    else:
        call = sdk.chat.completions.create(messages=messages, **asked).choices[0].message.tool_calls[0]  # type: ignore[call-overload]
        call_id, name, arguments = call.id, call.function.name, call.function.arguments
    assert name == "get_weather" and isinstance(json.loads(arguments)["city"], str)
    messages += [
        {
            "role": "assistant",
            "tool_calls": [{"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}],
        },
        {"role": "tool", "tool_call_id": call_id, "content": "Rain, 7 degrees"},
    ]
    answer = sdk.chat.completions.create(model="openai/gpt-4.1", messages=messages, tools=[WEATHER])  # type: ignore[call-overload]
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"


def test_json_schema(sdk: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
    }
    answer = sdk.chat.completions.create(
        model="openai/gpt-4.1",
        messages=ASK,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"city", "people"}


def test_errors_are_the_sdks_own_exceptions(site: Server, customer: Customer, sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.chat.completions.create(model="openai/gpt-0", messages=ASK)
    assert missing.value.code == "model_not_found" and missing.value.request_id
    with pytest.raises(openai.BadRequestError) as bad:
        sdk.chat.completions.create(model="openai/gpt-4.1", messages=ASK, temperature=9)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=site.api, api_key="th-nonsense", max_retries=0).chat.completions.create(
            model="openai/gpt-4.1", messages=ASK
        )
    with pytest.raises(openai.APIStatusError) as poor:
        OpenAI(base_url=site.api, api_key=new_customer(nanos=0).key).chat.completions.create(
            model="openai/gpt-4.1", messages=ASK
        )
    assert poor.value.status_code == 402 and poor.value.code == "insufficient_credits"
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model="openai/gpt-4.1", messages=[{"role": "user", "content": "[[sandbox: 429]]"}])


def test_a_broken_stream_raises_instead_of_looking_complete(sdk: OpenAI) -> None:
    ask = [{"role": "user", "content": "[[sandbox: fail-after 6]] Tell me about rivers"}]
    stream = sdk.chat.completions.create(model="openai/gpt-4.1", messages=ask, stream=True)
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    assert broken.value.code == "upstream_error"


def test_models(sdk: OpenAI) -> None:
    listed = {model.id: model for model in sdk.models.list()}
    assert len(listed) == 53
    assert listed["openai/gpt-4.1"].owned_by == "openai"
    assert sdk.models.retrieve("openai/gpt-4.1").id == "openai/gpt-4.1"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("openai/gpt-0")
