"""A wallet worth exactly one hundred calls pays for exactly one hundred calls, whoever asks, however many at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import httpx
import pytest

from gateway.auditor import audit
from gateway.models import CallRecord
from tests import servers
from tests.gateway.conftest import Customer, chat, new_customer

CLIENTS, CALLS_EACH = 64, 20
INPUT, OUTPUT = 2_000, 8_000  # gpt-4.1, nano-USD a token
MAX_TOKENS = 10


@pytest.fixture(params=[1, 2], ids=["one web process", "two web processes"])
def url(request: pytest.FixtureRequest, django_db_setup: None, sandbox: servers.Server) -> Iterator[str]:
    webs = servers.start_webs(request.param, sandbox)
    yield f"{webs[0].api}/chat/completions"
    for web in webs:
        web.stop()


def hold_of(url: str, body: dict[str, Any]) -> int:
    """What this very call would hold, as an empty wallet is told."""
    refusal = httpx.post(url, json=body, headers=new_customer(nanos=0).headers).json()["error"]
    return int(Decimal(refusal["required"]) * 10**9)


def body_that_uses_its_whole_hold(url: str) -> tuple[dict[str, Any], int]:
    body = chat(f"[[sandbox: usage 00000,{MAX_TOKENS}]] Hi", max_tokens=MAX_TOKENS)
    hold = hold_of(url, body)
    prompt_tokens, rest = divmod(hold - MAX_TOKENS * OUTPUT, INPUT)
    assert rest == 0
    return chat(f"[[sandbox: usage {prompt_tokens:05},{MAX_TOKENS}]] Hi", max_tokens=MAX_TOKENS), hold


async def storm(url: str, customer: Customer, bodies: list[list[dict[str, Any]]]) -> list[tuple[int, Any]]:
    """Every client sends its calls one after another; all clients at once."""
    answers: list[tuple[int, Any]] = []

    async def client(session: aiohttp.ClientSession, calls: list[dict[str, Any]]) -> None:
        for body in calls:
            async with session.post(url, json=body) as response:
                answers.append((response.status, await response.json()))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=customer.headers, connector=connector) as session:
        await asyncio.gather(*(client(session, calls) for calls in bodies))
    return answers


def test_exactly_one_hundred(url: str) -> None:
    body, hold = body_that_uses_its_whole_hold(url)
    customer = new_customer(nanos=100 * hold)
    answers = asyncio.run(storm(url, customer, [[body] * CALLS_EACH] * CLIENTS))
    assert Counter(status for status, _ in answers) == {200: 100, 402: CLIENTS * CALLS_EACH - 100}
    assert {answer["error"]["code"] for status, answer in answers if status == 402} == {"insufficient_credits"}
    assert (customer.wallet.posted_nanos, customer.wallet.held_nanos) == (0, 0)
    assert audit().violations == []


def test_ordinary_usage_is_charged_exactly_and_refused_only_for_want_of_the_hold(url: str) -> None:
    dice = random.Random(7)
    usages = [[(dice.randint(5, 60), dice.randint(0, 200)) for _ in range(12)] for _ in range(24)]
    bodies = [[chat(f"[[sandbox: usage {i},{o}]] Hi", max_tokens=200) for i, o in calls] for calls in usages]
    customer = new_customer(nanos=200_000_000)
    answers = asyncio.run(storm(url, customer, bodies))
    paid = [answer for status, answer in answers if status == 200]
    for answer in paid:
        usage = answer["usage"]
        assert round(usage["cost"] * 1e9) == usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT
    refusals = [answer["error"] for status, answer in answers if status != 200]
    assert all(Decimal(error["available"]) < Decimal(error["required"]) for error in refusals)
    assert paid and refusals
    spent = sum(CallRecord.objects.filter(account_id=customer.account.pk).values_list("cost_nanos", flat=True))
    assert spent == sum(round(answer["usage"]["cost"] * 1e9) for answer in paid)
    assert (customer.wallet.posted_nanos, customer.wallet.held_nanos) == (200_000_000 - spent, 0)
    assert audit().violations == []
