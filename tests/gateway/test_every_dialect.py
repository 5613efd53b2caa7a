"""Every chat model in every client dialect, plain and streamed, with tools and images, through the vendor's own wire; the cost of
each cell from the price file."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from gateway import tokens
from gateway.models import CallRecord
from tests.gateway import price_file
from tests.gateway.clients import DIALECTS, SCHEMA, Chat, Dialect, Said
from tests.gateway.conftest import Customer, new_customer
from tests.gateway.price_file import Counts
from tests.servers import Server

CHAT_MODELS = [slug for slug in price_file.MODELS if not slug.startswith("sandbox/")]
SEEING = [slug for slug in CHAT_MODELS if "image" in price_file.MODELS[slug]["input_modalities"]]
#: one of each wire and of each quirk, for the ordinary run
SAMPLE = [
    "openai/gpt-4.1",
    "anthropic/claude-sonnet-4-6",
    "google/gemini-3.8-flash",
    "deepseek/deepseek-v4-pro",
    "moonshotai/kimi-k2.6",
]
WALLET_NANOS = 100_000_000_000


def cells(slugs: list[str]) -> list[Any]:
    return [pytest.param(slug, marks=[] if slug in SAMPLE else pytest.mark.long) for slug in slugs]


@pytest.fixture
def rich() -> Customer:
    return new_customer(nanos=WALLET_NANOS)


def spent(customer: Customer) -> int:
    assert customer.wallet.held_nanos == 0
    return WALLET_NANOS - customer.wallet.posted_nanos


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest, site: Server, rich: Customer) -> Dialect:
    return DIALECTS[request.param](site, rich.key)


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def oai(site: Server, rich: Customer) -> Iterator[OpenAI]:
    with OpenAI(base_url=site.api, api_key=rich.key, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def claude(site: Server, rich: Customer) -> Iterator[Anthropic]:
    with Anthropic(base_url=site.url, api_key=rich.key, max_retries=0) as sdk:
        yield sdk


# ---------------------------------------------------------------- the matrix


def fair(slug: str, *answers: Said) -> int:
    """Each answer says what the price file says for its own counts; returns what they cost together."""
    for said in answers:
        assert (said.model, said.cost_nanos) == (slug, price_file.nanos(slug, said.counts))
    return sum(said.cost_nanos for said in answers)


@pytest.mark.parametrize("slug", cells(CHAT_MODELS))
def test_an_answer(dialect: Dialect, rich: Customer, slug: str, streamed: bool) -> None:
    asked = "[[sandbox: usage 1000,50,cached=400,write=100,write1h=40]] What is a river?"
    said = dialect.ask(slug, [dialect.user(asked)], streamed=streamed)
    assert (said.model, said.ending) == (slug, "stop") and said.text
    # Gemini's wire has no word for what was written to a cache, and only Anthropic's one for what is kept an hour
    written = 0 if slug.startswith("google/") else 100
    assert said.counts == Counts(1_000, 50, cached=400, written=written)
    written_1h = 40 if slug.startswith("anthropic/") else 0
    cost = price_file.nanos(slug, Counts(1_000, 50, cached=400, written=written, written_1h=written_1h))
    assert said.cost_nanos == cost == spent(rich)


@pytest.mark.parametrize("slug", cells(CHAT_MODELS))
def test_a_tool_there_and_back(dialect: Dialect, rich: Customer, slug: str, streamed: bool) -> None:
    turns = [dialect.user("Use get_weather for Oslo")]
    asks = dialect.ask(slug, turns, tools=True, streamed=streamed)
    (call,) = asks.calls
    assert (asks.ending, call.name) == ("tool_calls", "get_weather")
    assert isinstance(json.loads(call.arguments)["city"], str)
    turns += [*asks.turn, dialect.result(call, "Rain, 7 degrees")]
    answers = dialect.ask(slug, turns, tools=True, streamed=streamed)
    assert answers.ending == "stop" and "Rain, 7 degrees" in answers.text
    assert spent(rich) == fair(slug, asks, answers) > 0


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
ADDRESS = "https://images.example.com/river.png"


@pytest.mark.parametrize("slug", cells(SEEING))
@pytest.mark.parametrize("image", [PIXEL, ADDRESS], ids=["data", "address"])
def test_an_image(dialect: Dialect, rich: Customer, slug: str, streamed: bool, image: str) -> None:
    said = dialect.ask(slug, [dialect.user("What is in it?", image)], streamed=streamed)
    assert said.text and said.ending == "stop"
    assert said.counts.input > tokens.MEDIA_TOKENS  # it reached the vendor, who counted it
    assert spent(rich) == fair(slug, said) > 0


@pytest.mark.parametrize("slug", cells([slug for slug in CHAT_MODELS if slug not in SEEING]))
@pytest.mark.parametrize("image", [PIXEL, ADDRESS], ids=["data", "address"])
def test_a_model_that_sees_nothing_refuses_an_image(dialect: Dialect, rich: Customer, slug: str, image: str) -> None:
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="images"):
        dialect.ask(slug, [dialect.user("What is in it?", image)], streamed=False)
    assert spent(rich) == 0


#: (model, prompt tokens): the last token of a tier, and the first of the next
EDGES = [
    (slug, tier["above_input_tokens"] + step)
    for slug in CHAT_MODELS
    for tier in price_file.MODELS[slug]["prices"][0].get("tiers", ())
    for step in (0, 1)
]


@pytest.mark.parametrize(
    ("slug", "count"), [pytest.param(*it, marks=[] if it[0] == "openai/gpt-5.4" else pytest.mark.long) for it in EDGES]
)
def test_a_long_prompt_is_charged_by_its_tier(site: Server, rich: Customer, slug: str, count: int) -> None:
    chat = Chat(site, rich.key)
    prompt = f"{'a river ' * (count // 8 + 1)} [[sandbox: usage {count},50]]"  # a byte a token: what is held is enough
    said = chat.ask(slug, [chat.user(prompt)], streamed=False)
    assert said.counts.input == count
    assert spent(rich) == fair(slug, said)


#: one of each wire
WIRES = ["openai/gpt-4.1", "anthropic/claude-sonnet-4-6", "google/gemini-3.8-flash"]


@pytest.mark.parametrize("slug", WIRES)
@pytest.mark.parametrize("nothing", ["none", "null"])
def test_what_no_vendor_counted_is_counted_here(
    dialect: Dialect, rich: Customer, slug: str, streamed: bool, nothing: str
) -> None:
    said = dialect.ask(slug, [dialect.user(f"[[sandbox: usage {nothing}]] What is a river?")], streamed=streamed)
    record = CallRecord.objects.get(account_id=rich.account.pk)
    assert record.estimated and record.input_tokens > 0
    assert record.output_tokens == said.counts.output >= tokens.count(said.text) > 0  # thoughts are output too
    assert spent(rich) == record.cost_nanos == fair(slug, said)


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
