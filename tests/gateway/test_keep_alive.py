"""A vendor that thinks in silence: the client is told that the call lives, before the answer speaks, in every dialect."""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import orjson
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pytest_django import Settings

from gateway import limits, sse
from gateway.models import CallRecord, Outcome
from tests.gateway import inside, price_file
from tests.gateway.conftest import Customer
from tests.gateway.inside import VENDOR_TIMEOUT_SECONDS, HesitantVendor
from tests.gateway.price_file import Counts
from tests.servers import Server

#: one model of each wire, and how many events its vendor sends before it says anything
WIRES = {"openai/gpt-4.1": 1, "anthropic/claude-sonnet-4-6": 2, "google/gemini-3.8-flash": 0}
PATHS = ["chat/completions", "messages", "responses"]
ANSWERS = "[[sandbox: usage 1000,50]] What is a river?"
SILENCE_SECONDS = limits.KEEP_ALIVE_SECONDS + 1


def body(path: str, slug: str, text: str) -> dict[str, Any]:
    said = {"input": text} if path == "responses" else {"messages": [{"role": "user", "content": text}]}
    bound = "max_output_tokens" if path == "responses" else "max_tokens"
    return {"model": slug, bound: 500, "stream": True, **said}


type Hush = Callable[[inside.Gateway, HesitantVendor], Any]


@pytest.fixture
def play(settings: Settings, sandbox: Server) -> Callable[..., Any]:
    """Runs a story against a gateway whose vendor was asked, has opened its answer (if it ``opens``), and is silent."""

    def run(slug: str, ask: Callable[[str], Any], meanwhile: Hush, opens: bool = True) -> Any:
        async def story() -> Any:
            vendor = HesitantVendor(sandbox.url, WIRES[slug] if opens else None)
            async with vendor.serving() as settings.SANDBOX_URL, inside.serving() as (gateway, url):
                asking = asyncio.create_task(ask(url))
                await vendor.was_asked.wait()
                if opens:
                    await inside.answering_call(gateway)
                await meanwhile(gateway, vendor)
                return await asking

        return asyncio.run(story())

    return run


async def hush_then_speak(gateway: inside.Gateway, vendor: HesitantVendor) -> None:
    await inside.let_pass(gateway, SILENCE_SECONDS)
    await inside.let_pass(gateway, SILENCE_SECONDS)
    vendor.may_speak.set()


async def hush_for_ever(gateway: inside.Gateway, vendor: HesitantVendor) -> None:
    await inside.let_pass(gateway, SILENCE_SECONDS)
    await inside.let_pass(gateway, VENDOR_TIMEOUT_SECONDS + 1)


def record_of(customer: Customer) -> CallRecord:
    record = CallRecord.objects.get(account_id=customer.account.pk)
    assert (customer.wallet.posted_nanos, customer.wallet.held_nanos) == (1_000_000_000 - record.cost_nanos, 0)
    return record


def raw(customer: Customer, path: str, slug: str, text: str) -> Callable[[str], Any]:
    async def ask(url: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=url, headers=customer.headers, timeout=60) as http:
            return await http.post(f"/v1/{path}", json=body(path, slug, text))

    return ask


@pytest.mark.parametrize("slug", WIRES)
@pytest.mark.parametrize("path", PATHS)
def test_the_comment_comes_before_the_answer_and_costs_nothing(
    play: Callable[..., Any], customer: Customer, path: str, slug: str
) -> None:
    answer = play(slug, raw(customer, path, slug, ANSWERS), hush_then_speak)
    assert answer.status_code == 200
    assert answer.content.startswith(2 * sse.KEEP_ALIVE)
    assert answer.content.count(sse.KEEP_ALIVE) == 2 and b"river" in answer.content
    record = record_of(customer)
    assert (record.outcome, record.status, record.estimated) == (Outcome.COMPLETED, 200, False)
    assert record.cost_nanos == price_file.nanos(slug, Counts(1_000, 50))


@pytest.mark.parametrize("slug", WIRES)
def test_a_vendor_that_is_not_silent_for_long_gets_no_comment(
    play: Callable[..., Any], customer: Customer, slug: str
) -> None:
    async def speak_soon(gateway: inside.Gateway, vendor: HesitantVendor) -> None:
        await inside.let_pass(gateway, limits.KEEP_ALIVE_SECONDS - 5)
        vendor.may_speak.set()

    answer = play(slug, raw(customer, PATHS[0], slug, ANSWERS), speak_soon)
    assert sse.KEEP_ALIVE not in answer.content and answer.content.endswith(sse.DONE)


# ---------------------------------------------------------------- the official SDKs do not notice


async def through_chat(url: str, key: str, slug: str, text: str) -> tuple[str, float]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as sdk:
        options: Any = {"stream_options": {"include_usage": True}}
        stream = await sdk.chat.completions.create(**body(PATHS[0], slug, text), **options)
        chunks = [chunk async for chunk in stream]
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks[-1].usage.cost


async def through_messages(url: str, key: str, slug: str, text: str) -> tuple[str, float]:
    async with AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as sdk:
        events = [event async for event in await sdk.messages.create(**body(PATHS[1], slug, text))]
    said = "".join(e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta")
    return said, next(event.usage.cost for event in events if event.type == "message_delta")


async def through_responses(url: str, key: str, slug: str, text: str) -> tuple[str, float]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as sdk:
        events = [event async for event in await sdk.responses.create(**body(PATHS[2], slug, text))]
    return events[-1].response.output_text, events[-1].response.usage.cost


SDKS = [through_chat, through_messages, through_responses]


@pytest.mark.parametrize("slug", WIRES)
@pytest.mark.parametrize("through", SDKS)
def test_sdks_read_past_the_comments(play: Callable[..., Any], customer: Customer, through: Any, slug: str) -> None:
    text, cost_usd = play(slug, lambda url: through(url, customer.key, slug, ANSWERS), hush_then_speak)
    assert "river" in text
    assert round(cost_usd * 1e9) == record_of(customer).cost_nanos == price_file.nanos(slug, Counts(1_000, 50))


# ---------------------------------------------------------------- failures after a comment


def assert_failed(path: str, content: bytes, code: str) -> None:
    """The last event is the dialect's own failure, and nothing looks like an end."""
    *_, last = (orjson.loads(line[6:]) for line in content.splitlines() if line.startswith(b"data: "))
    assert b"[DONE]" not in content and b"message_stop" not in content and b"response.completed" not in content
    match path:
        case "chat/completions":
            assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (code, "error")
        case "messages":
            assert (last["type"], last["error"]["details"]["error_code"]) == ("error", code)
        case "responses":
            assert last["type"] in ("error", "response.failed") and code in str(last)


@pytest.mark.parametrize("slug", WIRES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("directive", "meanwhile", "code", "outcome"),
    [
        ("error-after 0", hush_then_speak, "upstream_error", Outcome.UPSTREAM_LOST),
        ("fail-after 0", hush_then_speak, "upstream_error", Outcome.UPSTREAM_LOST),
        ("tokens 20", hush_for_ever, "upstream_timeout", Outcome.UPSTREAM_TIMEOUT),
    ],
    ids=["error", "cut", "silence"],
)
def test_a_failure_after_a_comment_is_an_event_and_free(
    play: Callable[..., Any], customer: Customer, path: str, slug: str,
    directive: str, meanwhile: Hush, code: str, outcome: Outcome,
) -> None:  # fmt: skip
    answer = play(slug, raw(customer, path, slug, f"[[sandbox: {directive}]] What is a river?"), meanwhile)
    assert answer.status_code == 200 and answer.content.startswith(sse.KEEP_ALIVE)
    assert_failed(path, answer.content, code)
    record = record_of(customer)
    assert (record.cost_nanos, record.output_tokens, record.outcome) == (0, 0, outcome)


@pytest.mark.parametrize("path", PATHS)
def test_a_vendor_without_even_a_status_is_waited_for_with_comments(
    play: Callable[..., Any], customer: Customer, path: str
) -> None:
    slug = "openai/gpt-4.1"
    answer = play(slug, raw(customer, path, slug, ANSWERS), hush_then_speak, opens=False)
    assert answer.status_code == 200 and answer.content.startswith(2 * sse.KEEP_ALIVE) and b"river" in answer.content
    assert record_of(customer).cost_nanos == price_file.nanos(slug, Counts(1_000, 50))


@pytest.mark.parametrize("path", PATHS)
def test_a_refusal_after_a_comment_is_an_event_and_free(
    play: Callable[..., Any], customer: Customer, path: str
) -> None:
    slug, text = "openai/gpt-4.1", "[[sandbox: fail 500]] What is a river?"
    answer = play(slug, raw(customer, path, slug, text), hush_then_speak, opens=False)
    assert answer.status_code == 200 and answer.content.startswith(sse.KEEP_ALIVE)
    assert_failed(path, answer.content, "upstream_error")
    record = record_of(customer)
    assert (record.cost_nanos, record.outcome) == (0, Outcome.UPSTREAM_REFUSED)


@pytest.mark.parametrize("through", SDKS)
def test_sdks_raise_what_comes_after_a_comment(play: Callable[..., Any], customer: Customer, through: Any) -> None:
    slug = "openai/gpt-4.1"
    with pytest.raises((openai.APIError, anthropic.APIError)) as raised:
        play(slug, lambda url: through(url, customer.key, slug, ANSWERS), hush_for_ever)
    assert not isinstance(raised.value, openai.APIConnectionError | anthropic.APIConnectionError)
    assert record_of(customer).cost_nanos == 0
