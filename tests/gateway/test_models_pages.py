"""The catalogue's pages: open to everybody, filtered by what they say, small, and true about what can be called."""

import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from django.core.cache import cache
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from psycopg import sql
from pytest_django import Settings

from billing.models import Price
from gateway import model_choice, model_comparison, model_traffic
from gateway.catalogue_files import FOLDER, load_files
from gateway.model_facets import Facets
from gateway.models import Model, Route
from gateway.offers import all_offers, offers_by_slug, short_tokens
from tests.accounts.people import key_for, person
from tests.gateway import price_file
from tests.gateway.shop_window import page, shown, undone
from tokenhub import clock

HTML_BYTES_MAX = 24_000  # gzipped: the budget of the models page
QUERIES_MAX = 12
CHAT = sorted(price_file.MODELS)
NANOS = 10**9


@pytest.fixture(autouse=True)
def _fresh_traffic() -> Iterator[None]:
    cache.delete(model_traffic.CACHE_KEY)
    yield
    cache.delete(model_traffic.CACHE_KEY)


@pytest.fixture(autouse=True)
def _sandbox_stands_in(settings: Settings) -> None:
    """As in `make run`; these pages only ask whether there is one."""
    settings.SANDBOX_URL = "http://127.0.0.1:9"


@pytest.fixture
def rolled_back() -> Iterator[None]:
    with undone():
        yield


def facets(query: str) -> Facets:
    return Facets.of(QueryDict(query))


def slugs(query: str) -> set[str]:
    return {found.model.slug for found in facets(query).matching(all_offers())}


# ---------------------------------------------------------------- who may see them


@pytest.mark.parametrize(
    "path", ["/models", "/models/openai", "/models/openai/gpt-4.1", "/models/compare", "/models/choose"]
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_strangers_read_every_page_and_signed_in_people_read_it_in_their_shell(path: str, slash: str) -> None:
    assert "Get an API key" in page(path + slash)
    response = person().browser.get(path + slash)
    assert response.headers["Cache-Control"] == "no-store"
    html = response.content.decode()
    assert "Log out" in html and "go to billing" in html


def test_each_page_names_its_one_address_and_describes_itself() -> None:
    html = page("/models?kind=chat")
    assert re.search(r'<link rel="canonical" href="[^"?]+/models">', html)
    model = page("/models/openai/gpt-4.1/")
    assert re.search(r'<link rel="canonical" href="[^"]+/models/openai/gpt-4.1">', model)
    assert '<meta name="description" content="GPT-4.1 (openai/gpt-4.1)' in model
    assert "<title>GPT-4.1 · TokenHub</title>" in model


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("openai/gpt-4.2", "openai/gpt-4.1"),
        ("opnai/gpt-4.1", "openai/gpt-4.1"),
        ("bytedance", "bytedance/doubao-seedance-2.0"),  # the maker in an id, where the group has another name
    ],
)
def test_an_unknown_id_is_a_404_with_near_matches(asked: str, near: str) -> None:
    assert f'href="/models/{near}"' in page(f"/models/{asked}", status=404)


def test_a_404_shows_what_was_asked_as_text() -> None:
    response = Client().get("/models/x/<script>alert(1)")
    assert response.status_code == 404
    assert b"<script>alert" not in response.content


# ---------------------------------------------------------------- the list


def test_providers_are_counted_as_the_catalogue_counts_them() -> None:
    files = {group.slug: len(group.models) for group in load_files(FOLDER).groups}
    offers = all_offers()
    assert {option.value: option.count for option in Facets().providers(offers)} == files
    assert Counter(found.model.provider.slug for found in offers) == files
    for slug, count in files.items():
        assert len(shown(page(f"/models/{slug}"))) == count
    assert len(shown(page("/models"))) == sum(files.values())


def test_each_filter_asks_what_it_says() -> None:
    offers = {found.model.slug: found for found in all_offers()}
    everything = set(offers)
    by_kind = {kind: {slug for slug in everything if offers[slug].model.kind == kind} for kind in Model.Kind.values}
    for kind in Model.Kind.values:
        assert slugs(f"kind={kind}") == by_kind[kind] != set()
    assert slugs("group=openai&group=xai") == {
        slug for slug in everything if offers[slug].model.provider.slug in ("openai", "xai")
    }
    assert slugs("accepts=audio&accepts=image") == {
        slug for slug in everything if {"audio", "image"} <= set(offers[slug].model.input_modalities)
    }
    assert slugs("can=tools&can=vision") == {
        slug
        for slug in everything
        if offers[slug].model.supports.get("tools") and offers[slug].model.supports.get("vision")
    }
    assert slugs("context=1000000") == {
        slug for slug in everything if (offers[slug].model.context_window or 0) >= 1_000_000
    }
    assert slugs("price=0.001") == {slug for slug in everything if (offers[slug].typical_nanos or 2**63) <= 1_000_000}
    assert slugs("retiring=1") == {slug for slug in everything if offers[slug].model.retires_on}
    assert "openai/gpt-4.1" in slugs("q=GPT-4.1") and slugs("q=no such thing") == set()
    assert slugs("kind=chat&can=vision&price=0.001") == slugs("kind=chat") & slugs("can=vision") & slugs("price=0.001")


def test_a_count_is_what_one_more_choice_would_leave() -> None:
    offers, asked = all_offers(), facets("kind=chat&can=vision")
    for option in asked.providers(offers):
        assert option.count == len(slugs(f"kind=chat&can=vision&group={option.value}"))
    for option in asked.abilities_offered(offers):
        assert option.count == len(slugs(f"kind=chat&can=vision&can={option.value}"))
    for option in asked.inputs(offers):
        assert option.count == len(slugs(f"kind=chat&can=vision&accepts={option.value}"))
    for option in asked.kinds(offers):
        assert option.count == len(slugs(f"kind={option.value}&can=vision"))


def test_the_list_is_in_the_order_asked_for() -> None:
    costs = [offer.typical_nanos for offer in facets("").matching(all_offers())]
    known = [nanos for nanos in costs if nanos is not None]
    assert known == sorted(known) and costs[: len(known)] == known
    contexts = [offer.model.context_window or 0 for offer in facets("sort=context").matching(all_offers())]
    assert contexts == sorted(contexts, reverse=True)
    names = [offer.model.name.casefold() for offer in facets("sort=name").matching(all_offers())]
    assert names == sorted(names)


def test_nothing_found_says_which_filter_to_let_go() -> None:
    html = page("/models?kind=image&can=tools")
    assert f"{len(slugs('kind=image'))} models match without “tools”" in html
    assert 'href="/models?kind=image"' in html
    assert "No model matches" in html


def test_a_price_that_is_no_amount_is_told_beside_the_field_and_asks_nothing() -> None:
    html = page("/models?price=cheap")
    assert "Write an amount in dollars" in html and 'aria-invalid="true"' in html
    assert len(shown(html)) == len(all_offers())


@pytest.mark.parametrize(
    "query", ["context=" + "9" * 30, "context=-1", "sort=evil", "kind=x&view=y", "price=1e9", "can=x&accepts=y"]
)
def test_a_query_that_means_nothing_asks_nothing(query: str) -> None:
    assert len(shown(page(f"/models?{query}"))) == len(all_offers())


def test_the_cards_show_the_same_models_as_the_table() -> None:
    assert shown(page("/models?view=cards&can=tools")) == shown(page("/models?can=tools"))


@pytest.mark.parametrize("by_whom", ["stranger", "member"])
def test_two_hundred_models_are_a_small_page_of_as_many_queries_as_few(by_whom: str, rolled_back: None) -> None:
    browser = Client() if by_whom == "stranger" else person().browser
    sizes, queries = [], []
    for number in (len(all_offers()), 200):
        add_models(number - len(all_offers()))
        with CaptureQueriesContext(connection) as captured:
            html = page("/models", browser)
        assert len(shown(html)) == number
        sizes.append(len(gzip.compress(html.encode())))
        queries.append(len(captured))
    assert max(sizes) <= HTML_BYTES_MAX
    assert queries[0] == queries[1] <= QUERIES_MAX


def add_models(number: int) -> None:
    """Copies of real ones, with ids and figures of their own."""
    rows = list(Model.objects.filter(is_listed=True, kind=Model.Kind.CHAT).prefetch_related("routes"))
    for n in range(number):
        row = rows[n % len(rows)]
        price = Price.objects.get(pk=row.price_ids[-1])
        own = {**price.rates["per_million"], "input": 10**7 * (n + 1), "output": 7 * 10**7 * (n + 1)}
        price = Price.objects.create(
            sku=row.slug, effective_at=price.effective_at, rates={**price.rates, "per_million": own}, digest="0" * 64
        )
        Model.objects.create(
            slug=f"{row.slug}-copy-{n}",
            provider_id=row.provider_id,
            name=f"{row.name} {n}",
            description=row.description,
            kind=row.kind,
            context_window=row.context_window,
            max_output_tokens=row.max_output_tokens,
            input_modalities=row.input_modalities,
            output_modalities=row.output_modalities,
            supports=row.supports,
            price_ids=[price.pk],
            position=10**6 + n,
        )


@pytest.mark.parametrize(
    "path",
    [
        "/models/openai",
        "/models/openai/gpt-4.1",
        "/models/compare?m=openai/gpt-4.1&m=xai/grok-4.3",
        "/models/choose",
        "/models/nobody/none",
    ],
)
def test_no_page_asks_the_database_often(path: str) -> None:
    for browser in (Client(), person().browser):
        with CaptureQueriesContext(connection) as captured:
            browser.get(path)
        assert len(captured) <= QUERIES_MAX


# ---------------------------------------------------------------- states


def test_what_is_answered_with_503_is_called_coming_soon_and_nothing_else_is() -> None:
    me = person()
    key = {"authorization": f"Bearer {key_for(me).secret}"}
    for found in all_offers():
        if found.model.kind == Model.Kind.CHAT:
            assert found.state.word == "Sandbox", "no vendor is set up in tests"
            continue
        assert found.state.word == "Coming soon"
        answer = Client().post(f"/api/v1/{found.model.kind}s/generations", headers=key)
        assert answer.status_code == 503
        html = page(f"/models/{found.model.slug}", me.browser)
        assert "Coming soon" in html and "Create a key for this model" not in html


def test_a_retiring_model_names_its_day_and_successor_and_a_retired_one_who_answers(rolled_back: None) -> None:
    slug = "google/gemini-2.5-pro"
    today = clock.now().date()
    Model.objects.filter(slug=slug).update(retires_on=today + timedelta(days=9))
    day = f"{today + timedelta(days=9):%-d %b %Y}"
    html = page(f"/models/{slug}")
    assert f"Retires on {day}" in html and 'href="/models/google/gemini-3.8-flash"' in html
    assert "retires" in page("/models?retiring=1")
    Model.objects.filter(slug=slug).update(retires_on=today)
    html = page(f"/models/{slug}")
    assert "Retired" in html and "answered by google/gemini-3.8-flash" in html


def test_a_model_that_left_the_catalogue_has_no_page(rolled_back: None) -> None:
    Model.objects.filter(slug="openai/gpt-4.1").update(is_listed=False)
    page("/models/openai/gpt-4.1", status=404)
    assert "openai/gpt-4.1" not in shown(page("/models"))


# ---------------------------------------------------------------- traffic


ACCOUNTS = range(2**40, 2**40 + 3)  # nobody's: these sums have no calls behind them


@pytest.fixture
def traffic(owner_db: psycopg.Connection) -> Iterator[Callable[..., None]]:
    """Writes an hour's sums of a model, past the settling statement that alone may; taken away again."""

    def add(model: Model, account_id: int, calls: int, hour: datetime, **sums: int) -> None:
        row = {
            "account_id": account_id,
            "key_id": 1,
            "model_id": model.pk,
            "hour": hour.replace(minute=0, second=0, microsecond=0),
            "calls": calls,
            **dict.fromkeys(("errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost_nanos"), 0),
            **sums,
        }
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        values = sql.SQL(", ").join(map(sql.Placeholder, row))
        owner_db.execute(sql.SQL("INSERT INTO usage_hour ({}) VALUES ({})").format(columns, values), row)

    yield add
    owner_db.execute("DELETE FROM usage_hour WHERE account_id = ANY(%s)", [list(ACCOUNTS)])


def test_figures_are_sums_over_all_accounts_and_hidden_below_twenty_calls(
    rolled_back: None, traffic: Callable[..., None]
) -> None:
    add_models(1)  # nobody has called it yet
    model = Model.objects.get(slug__endswith="-copy-0")
    Route.objects.create(model=model, upstream="openai", upstream_model="any")
    now, (one, other, third) = clock.now(), ACCOUNTS
    traffic(
        model, one, 19, now, errors=1, output_tokens=1_900, duration_ms=19_000, first_byte_calls=18, first_byte_ms=1_800
    )
    assert "Too little traffic" in page(f"/models/{model.slug}")
    traffic(model, other, 21, now, output_tokens=2_100, duration_ms=1_000, first_byte_calls=22, first_byte_ms=6_200)
    traffic(model, third, 500, now - timedelta(days=8), errors=500)  # too long ago
    cache.delete(model_traffic.CACHE_KEY)
    seen = model_traffic.last_days()[model.pk]
    assert (seen.calls, seen.first_byte_mean_ms, seen.tokens_per_second, seen.success_percent) == (
        40,
        200,
        200,
        "97.50",
    )
    html = page(f"/models/{model.slug}")
    assert "Too little traffic" not in html and "97.50" in html


# ---------------------------------------------------------------- compare and choose


def test_comparison_marks_differences_and_the_cheapest_in_words() -> None:
    html = page("/models/compare?m=openai/gpt-4.1&m=openai/gpt-6-luna")
    assert "differs" in html and "cheapest" in html
    rows = {row.name: row for row in model_comparison.rows(offers_by_slug(["openai/gpt-4.1", "openai/gpt-6-luna"]))}
    assert [cell.note for cell in rows["Typical call"].cells] == ["", "cheapest"]
    assert not rows["Provider"].differs
    same = page("/models/compare?m=openai/gpt-4.1&m=openai/gpt-6-luna&differences=1")
    assert ">Provider" not in same and ">Typical call" in same


def test_at_most_four_are_compared_and_unknown_ones_are_left_out() -> None:
    five = "&".join(f"m={slug}" for slug in CHAT[:5])
    html = page(f"/models/compare?{five}")
    assert shown(html) == CHAT[:4] and "The first 4 are shown" in html
    assert shown(page(f"/models/compare?m={CHAT[0]}&m=no/such&m=&m={CHAT[1]}")) == CHAT[:2]


def test_comparing_none_or_one_says_what_to_do() -> None:
    assert "Nothing to compare yet" in page("/models/compare")
    assert "and what else?" in page("/models/compare?m=openai/gpt-4.1")


def test_three_picks_of_different_makers_with_reason_and_cost() -> None:
    offers = all_offers()
    query = "task=code&priority=cost&calls=10&input_tokens=2000&output_tokens=100&needs=vision"
    choice = model_choice.choose(offers, {}, QueryDict(query))
    assert len(choice.picks) == 3
    assert len({pick.offer.model.provider_id for pick in choice.picks}) == 3
    cheapest = min(
        price_file.nanos(found.model.slug, price_file.Counts(2_000, 100))
        for found in offers
        if found.model.supports.get("tools")
        and found.model.supports.get("vision")
        and found.model.provider.slug != "sandbox"
        and not found.model.retires_on
    )
    assert choice.picks[0].month_nanos == 300 * cheapest
    for pick in choice.picks:
        assert pick.offer.model.supports["tools"] and pick.offer.model.supports["vision"]
        assert pick.month_nanos == 300 * price_file.nanos(pick.offer.model.slug, price_file.Counts(2_000, 100))
        assert pick.reason
    html = page(f"/models/choose?{query}")
    assert all(pick.reason in html for pick in choice.picks)


@pytest.mark.parametrize("task", list(model_choice.TASKS))
@pytest.mark.parametrize("priority", list(model_choice.PRIORITIES))
def test_every_task_has_three_picks_of_its_kind(task: str, priority: str) -> None:
    query = QueryDict(f"task={task}&priority={priority}&calls=1&input_tokens=10&output_tokens=10")
    choice = model_choice.choose(all_offers(), {}, query)
    kind = task if task in ("image", "video") else "chat"
    assert [pick.offer.model.kind for pick in choice.picks] == [kind] * 3


def test_speed_is_what_was_measured_here() -> None:
    offers = all_offers()
    slow = next(found for found in offers if found.model.slug == "openai/gpt-6-astra")
    measured = {
        slow.model.pk: model_traffic.Traffic(
            calls=50, output_tokens=500, duration_ms=5_000, first_byte_calls=50, first_byte_ms=5_000
        )
    }
    query = QueryDict("task=chat&priority=speed&calls=1&input_tokens=10&output_tokens=10")
    first = model_choice.choose(offers, measured, query).picks[0]
    assert first.offer is slow and "100 ms" in first.reason


def test_must_haves_that_nobody_has_are_said() -> None:
    assert "No model can do all of that" in page(
        "/models/choose?task=chat&priority=cost&calls=1&input_tokens=9000000&output_tokens=1"
    )


@pytest.mark.parametrize(
    ("number", "short"),
    [(131_072, "131K"), (204_800, "205K"), (991_808, "0.99M"), (1_000_000, "1M"), (1_047_576, "1.05M")],
)
def test_long_contexts_are_short_to_read(number: int, short: str) -> None:
    assert short_tokens(number) == short
