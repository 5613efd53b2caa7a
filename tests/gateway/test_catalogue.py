"""The reviewed price files, the loader that refuses mistakes in them, and the way of a price into the database."""

import json
from datetime import UTC, date, datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, transaction

from billing.models import Price
from billing.pricing import TokenPrice
from gateway.catalogue import CatalogueError, current_price, load_file, load_files, sync
from gateway.models import Model, Provider
from tokenhub.money import usd_to_nanos

CATALOGUE = load_files()
MODELS = {model.slug: model for model in CATALOGUE.models}

ACME = """\
group: {slug: acme, name: Acme, description: Rockets., position: 1}
models:
  - id: acme/one
    name: One
    description: The first.
    kind: chat
    context_window: 1000
    max_output_tokens: null
    input_modalities: [text]
    output_modalities: [text]
    supports:
      {streaming: true, tools: true, parallel_tools: true, json_schema: true, json_mode: true, vision: false,
       pdf_input: false, audio_input: false, video_input: false, reasoning: false, prompt_cache: true,
       cache_control: false, sampling_params: true, forced_tool_choice: true}
    routes: [{upstream: openai, upstream_model: one}]
    prices:
      - from: 2026-01-01
        unit: USD per million tokens
        input: "2.00"
        cached_input: "0.50"
        output: "8.00"
        tiers: [{above_input_tokens: 500, input: "4.00", output: "12.00"}]
        cost: same
        source: acme.test
      - from: 2026-12-01
        unit: USD per million tokens
        input: "3.00"
        output: "9.00"
        cost: {input: "1.00", output: "2.00"}
        source: acme.test
"""
BOOM = """\
group: {slug: boom, name: Boom, description: Films., position: 2}
exchange_rate: {date: 2026-01-01, CNY: "7.00", USD: "1.00", source: boom.test}
models:
  - id: boom/film
    name: Film
    description: Moves.
    kind: video
    input_modalities: [text]
    output_modalities: [video]
    supports:
      {text_to_video: true, image_to_video: false, first_last_frame: false, audio_output: false, async_task: true,
       callback: false, cancel: queued only, durations: [5, 5], resolutions: [720p], aspect_ratios: ["16:9"], seed: true}
    routes: [{upstream: ark, upstream_model: film}]
    retires_on: 2027-01-01
    successor: acme/one
    prices:
      - from: 2026-01-01
        unit: CNY per second
        rates: {720p: {silent: "1.00", sound: null}}
        not_for_sale: {720p.sound: no price is published}
        cost: same
        source: boom.test
"""


def rates(slug: str, entry: int = 0) -> dict[str, Any]:
    return MODELS[slug].prices[entry].rates


def usd_per_million(slug: str, entry: int = 0) -> tuple[str | None, ...]:
    """Input, cached input, cache write, output: as the vendor's price page has them."""
    amounts = rates(slug, entry)["per_million"]
    return tuple(
        None if amounts[name] is None else f"{amounts[name] / 10**9:g}"
        for name in ("input", "cached_input", "cache_write", "output")
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(ACME)
    (tmp_path / "boom.yaml").write_text(BOOM)
    return tmp_path


def rewrite(path: Path, old: str, new: str) -> Path:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return path


# ---------------------------------------------------------------- the reviewed files
def test_every_provider_group_has_its_models() -> None:
    assert {group.slug: len(group.models) for group in CATALOGUE.groups} == {
        "openai": 6, "anthropic": 6, "google": 5, "xai": 3, "alibaba": 3, "zhipu": 3, "minimax": 2, "xiaomi": 2,
        "qwen3": 3, "moonshot": 3, "deepseek": 6, "seedance": 2, "seedream": 3, "kling": 2, "wan": 1, "sandbox": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("slug", "entry", "usd"),
    [
        ("openai/gpt-4.1", 0, ("2", "0.5", None, "8")),
        ("openai/gpt-6-luna", 0, ("0.1", "0.01", "0.125", "0.5")),
        ("anthropic/claude-opus-5-5", 0, ("4", "0.2", "5", "20")),
        ("google/gemini-4-argon", 0, ("2", "0.1", None, "10")),
        ("google/gemini-4-argon", 1, ("4", "0.2", None, "20")),
        ("google/gemini-3.8-flash", 1, ("1.5", "0.15", None, "7.5")),
        ("xiaomi/mimo-v2.6-pro", 0, ("0.435", "0.0036", None, "0.87")),
        ("deepseek/deepseek-v4.1-flash", 0, ("0.3", "0.006", None, "1.2")),  # the peak rate
        ("qwen/qwen3-vl-235b-a22b-instruct", 0, ("0.4", None, None, "1.6")),
        ("sandbox/echo", 0, ("0.1", "0.025", None, "0.4")),
    ],
)
def test_a_chat_price_is_the_vendors(slug: str, entry: int, usd: tuple[str | None, ...]) -> None:
    assert usd_per_million(slug, entry) == usd


def test_the_price_changes_that_are_due_have_their_dates() -> None:
    changes = {slug: [p.effective_at.date() for p in m.prices[1:]] for slug, m in MODELS.items() if len(m.prices) > 1}
    assert changes == {
        "google/gemini-4-argon": [date(2026, 12, 1)],
        "google/gemini-3.8-flash": [date(2027, 1, 1)],
    }


def test_a_retiring_model_names_its_successor() -> None:
    columns = MODELS["google/gemini-2.5-pro"].columns
    assert (columns["retires_on"], columns["successor"]) == (date(2026, 12, 1), "google/gemini-3.8-flash")


def test_long_prompts_have_rates_of_their_own() -> None:
    assert [tier["above_input_tokens"] for tier in rates("qwen/qwen3-coder-flash")["tiers"]] == [32000, 128000, 256000]
    (tier,) = rates("anthropic/claude-haiku-5-5")["tiers"]
    base = rates("anthropic/claude-haiku-5-5")["per_million"]
    assert tier["per_million"] == {name: 5 * nanos for name, nanos in base.items()}


def test_grok_turns_dearer_at_200_000_tokens_and_not_one_later() -> None:
    price = TokenPrice.of(1, rates("xai/grok-4.7"))
    assert price.tier_for(199_999).input == usd_to_nanos("2")
    assert price.tier_for(200_000).input == usd_to_nanos("4")


def test_yuan_are_converted_at_the_files_rate_and_rounded_up() -> None:
    seedance = rates("bytedance/doubao-seedance-2.0")
    assert seedance["unit"] == "video_tokens"
    assert seedance["per_million"]["720p.no_video_input"] == -(-46 * 10**9 // 7)
    assert rates("alibaba/wan-2.2") == {"unit": "seconds", "per_unit": {"480p": 20_069_560, "1080p": 100_347_800}}


def test_a_rate_without_a_known_price_is_not_for_sale() -> None:
    assert rates("bytedance/doubao-seedance-2.0")["per_million"]["4k.with_video_input"] is None


def test_kling_costs_us_less_than_its_price() -> None:
    (price,) = MODELS["kwaivgi/kling-v3.0-pro"].prices
    assert price.rates["per_unit"] == {"pro.no_audio": 224_000_000, "pro.audio": 336_000_000}
    assert price.cost == {"unit": "seconds", "per_unit": {"pro.no_audio": 112_000_000, "pro.audio": 168_000_000}}


def test_seedream_pro_charges_by_size_and_from_the_second_reference_image() -> None:
    assert rates("bytedance/doubao-seedream-5.0-pro") == {
        "unit": "images",
        "per_unit": {"1K": 45_000_000, "1.5K": 45_000_000, "2K": 90_000_000, "input_image": 3_000_000},
        "tier_boundary_pixels": 2_360_000,
        "free_input_images": 1,
    }


@pytest.mark.parametrize("slug", MODELS)
def test_every_price_can_be_billed(slug: str) -> None:
    model = MODELS[slug]
    assert model.prices[0].effective_at == datetime(2026, 11, 1, tzinfo=UTC)
    for price in model.prices:
        amounts = price.rates.get("per_million") or price.rates["per_unit"]
        assert {type(nanos) for nanos in amounts.values()} <= {int, type(None)}
        if model.columns["kind"] == "chat":
            tiers = TokenPrice.of(1, price.rates).tiers
            assert all(low.input <= high.input and low.output <= high.output for low, high in pairwise(tiers))


# ---------------------------------------------------------------- what the loader refuses
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('output: "8.00"', 'ouput: "8.00"', r"acme/one: .*unknown field `ouput`"),
        ("    name: One\n", "    nmae: One\n", r"acme/one: .*nmae"),
        ('        output: "8.00"\n', "", r"acme/one: .*required field `output` - at `\$.prices\[0\]`"),
        ("        source: acme.test\n", "", r"acme/one: .*required field `source`"),
        (", forced_tool_choice: true", "", r"acme/one: .*required field `forced_tool_choice`"),
        ('input: "2.00"', "input: 2.00", r"acme/one: Expected `str`, got `float` - at `\$.prices\[0\].input`"),
        ('input: "2.00"', "input: 2", r"Expected `str`, got `int`"),
        ('input: "2.00"', 'input: "-2.00"', r"acme/one: prices from 2026-01-01: input: '-2.00' is not an amount"),
        ('input: "2.00"', 'input: "2,00"', r"input: '2,00' is not an amount"),
        ('input: "2.00"', 'input: "0.00"', r"input: '0.00' is too little"),
        ('input: "2.00"', 'input: "0.0000000001"', r"at most nine decimals"),
        ('cached_input: "0.50"', 'cached_input: "5.00"', r"cached_input: 5.00 is dearer than the input's 2.00"),
        ('cost: {input: "1.00"', 'cost: {input: "x"', r"prices from 2026-12-01: cost: input: 'x'"),
        ("cost: same", "cost: smae", r"\$.prices\[0\].cost"),
        ("per million tokens", "per thousand tokens", r"\$.prices\[0\].unit"),
        ("above_input_tokens: 500", "above_input_tokens: 0", r"tiers: above_input_tokens must be positive"),
        ("from: 2026-12-01", "from: 2025-12-01", r"prices: `from` dates must ascend"),
        ("from: 2026-12-01", "from: 2026-01-01", r"prices: `from` dates must ascend"),
        ("from: 2026-12-01", "from: soon", r"\$.prices\[1\].from"),
        ('input: "2.00"', 'input: "2.00"\n        input: "1.00"', r"key input is there twice"),
        ("kind: chat", "kind: chatt", r"acme/one: kind is 'chatt'"),
        ("id: acme/one", "id: Acme One", r"id: use provider/model"),
        ("upstream: openai", "upstream: opneai", r"routes: there is no upstream 'opneai'"),
        ("routes: [{upstream: openai, upstream_model: one}]", "routes: []", r"routes: a model needs at least one"),
        ("    kind: chat\n", "    kind: chat\n    successor: boom/film\n", r"successor: only a model with retires_on"),
        ("slug: acme", "slug: acne", r"acme.yaml: group.slug is 'acne'"),
        ("models:", "modles:", r"acme.yaml: .*modles"),
        ("group:", "group: [", r"acme.yaml: "),
    ],
)
def test_a_mistake_is_refused_and_named(folder: Path, old: str, new: str, complaint: str) -> None:
    rewrite(folder / "acme.yaml", old, new)
    with pytest.raises(CatalogueError, match=complaint) as refusal:
        load_files(folder)
    assert str(refusal.value).startswith("acme.yaml: ")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("successor: acme/one", "successor: acme/two", r"boom/film: successor: there is no other model 'acme/two'"),
        ("successor: acme/one", "successor: boom/film", r"there is no other model 'boom/film'"),
        ("position: 2", "position: 1", r"position 1 is there twice"),
        ("id: boom/film", "id: acme/one", r"model acme/one is there twice"),
        ("exchange_rate: {", "exchange_rate: null #", r"unit: a price in CNY needs the file's exchange_rate"),
        ('CNY: "7.00"', 'CNY: "0"', r"exchange_rate: "),
        ("not_for_sale: {720p.sound: no price is published}", "not_for_sale: {}", r"not_for_sale: 720p.sound"),
        ("sound: null", 'sound: "1.00"', r"not_for_sale: 720p.sound"),
    ],
)
def test_files_must_agree_with_themselves_and_each_other(folder: Path, old: str, new: str, complaint: str) -> None:
    rewrite(folder / "boom.yaml", old, new)
    with pytest.raises(CatalogueError, match=complaint):
        load_files(folder)


def test_an_empty_folder_is_not_a_catalogue(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no catalogue files"):
        load_files(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere\.yaml"):
        load_file(tmp_path / "nowhere.yaml")


# ---------------------------------------------------------------- files into the database
@pytest.mark.django_db
def test_the_reviewed_files_arrive_whole_and_a_second_sync_changes_nothing() -> None:
    sync(load_files())
    prices = Price.objects.count()
    assert Model.objects.filter(is_listed=True).count() == 53
    assert [model.slug for model in Model.objects.filter(is_listed=True)] == list(MODELS)
    assert sync(load_files()) == []
    assert Price.objects.count() == prices


@pytest.mark.django_db
def test_a_model_arrives_with_its_group_its_route_and_its_schedule(folder: Path) -> None:
    sync(load_files(folder))
    model = Model.objects.get(slug="acme/one")
    assert (model.provider.name, model.context_window, model.max_output_tokens) == ("Acme", 1000, None)
    assert [(route.upstream, route.upstream_model) for route in model.routes.all()] == [("openai", "one")]
    first, second = (Price.objects.get(id=price_id) for price_id in model.price_ids)
    assert first.effective_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert first.rates == first.cost
    assert first.rates["tiers"][0]["per_million"]["output"] == usd_to_nanos("12")
    assert second.cost is not None
    assert second.cost["per_million"]["output"] == usd_to_nanos("2")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("at", "usd"),
    [
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 1, 1, tzinfo=UTC), "2"),
        (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), "2"),
        (datetime(2026, 12, 1, tzinfo=UTC), "3"),
    ],
)
def test_the_price_in_force_is_the_latest_that_has_begun(folder: Path, at: datetime, usd: str | None) -> None:
    sync(load_files(folder))
    price = current_price(Model.objects.get(slug="acme/one"), at)
    assert (price and price.rates["per_million"]["input"]) == (usd and usd_to_nanos(usd))


@pytest.mark.django_db
def test_a_corrected_price_is_a_new_row_and_the_old_one_stays(folder: Path) -> None:
    sync(load_files(folder))
    old, later = Model.objects.get(slug="acme/one").price_ids
    rewrite(folder / "acme.yaml", 'input: "2.00"', 'input: "2.50"')
    assert sync(load_files(folder)) == [
        "acme/one: price_ids changed",
        "acme/one: price from 2026-01-01: input 2.00 → 2.50",
    ]
    new, same = Model.objects.get(slug="acme/one").price_ids
    assert (new > old, same) == (True, later)
    assert Price.objects.get(id=old).rates["per_million"]["input"] == usd_to_nanos("2.00")
    assert Price.objects.get(id=new).rates["per_million"]["input"] == usd_to_nanos("2.50")


@pytest.mark.django_db
def test_a_price_that_is_corrected_back_is_in_force_again(folder: Path) -> None:
    sync(load_files(folder))
    for old, new in (("2.00", "2.50"), ("2.50", "2.00")):
        rewrite(folder / "acme.yaml", f'input: "{old}"', f'input: "{new}"')
        sync(load_files(folder))
    model = Model.objects.get(slug="acme/one")
    price = current_price(model, datetime(2026, 6, 1, tzinfo=UTC))
    assert price is not None
    assert price.rates["per_million"]["input"] == usd_to_nanos("2.00")
    assert sync(load_files(folder)) == []


@pytest.mark.django_db
def test_the_application_can_neither_edit_nor_delete_a_price(folder: Path) -> None:
    sync(load_files(folder))
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        Price.objects.update(source="elsewhere")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        Price.objects.all().delete()


@pytest.mark.django_db
def test_a_model_that_left_the_files_is_kept_but_no_longer_listed(folder: Path) -> None:
    sync(load_files(folder))
    (folder / "boom.yaml").unlink()
    assert sync(load_files(folder)) == ["boom/film: no longer listed"]
    assert not Model.objects.get(slug="boom/film").is_listed
    assert Model.objects.get(slug="acme/one").is_listed


@pytest.mark.django_db
def test_a_route_that_changed_replaces_the_old_one(folder: Path) -> None:
    sync(load_files(folder))
    rewrite(
        folder / "acme.yaml",
        "[{upstream: openai, upstream_model: one}]",
        "[{upstream: xai, upstream_model: uno}, {upstream: openai, upstream_model: one}]",
    )
    assert sync(load_files(folder)) == ["acme/one: routes xai uno, openai one"]
    routes = Model.objects.get(slug="acme/one").routes.all()
    assert [(route.upstream, route.priority) for route in routes] == [("xai", 0), ("openai", 1)]


@pytest.mark.django_db
def test_one_file_leaves_the_other_groups_alone(folder: Path) -> None:
    sync(load_files(folder))
    acme = rewrite(folder / "acme.yaml", "name: Acme", "name: Acme Inc")
    assert sync(load_file(acme)) == ["acme: name changed"]
    assert Provider.objects.get(slug="acme").name == "Acme Inc"
    assert Model.objects.get(slug="boom/film").is_listed


@pytest.mark.django_db
def test_one_files_successor_must_be_offered_already(folder: Path) -> None:
    with pytest.raises(CatalogueError, match="boom/film: successor"):
        sync(load_file(folder / "boom.yaml"))
    assert not Provider.objects.filter(slug="boom").exists()
    sync(load_file(folder / "acme.yaml"))
    sync(load_file(folder / "boom.yaml"))
    assert Model.objects.get(slug="boom/film").successor == "acme/one"


# ---------------------------------------------------------------- the command
@pytest.mark.django_db
def test_the_command_prints_what_changed_as_one_json_object(folder: Path) -> None:
    out = StringIO()
    call_command("sync_catalogue", str(folder / "acme.yaml"), "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (report["models"], report["prices"]) == (1, 2)
    assert "acme/one: price from 2026-12-01: new" in report["changed"]


@pytest.mark.django_db
def test_the_command_says_when_nothing_changed() -> None:
    sync(load_files())
    out = StringIO()
    call_command("sync_catalogue", stdout=out)
    assert out.getvalue() == "nothing changed\n53 models, 55 prices\n"


def test_the_command_refuses_a_bad_file_and_says_why(folder: Path) -> None:
    bad = str(rewrite(folder / "acme.yaml", 'input: "2.00"', 'input: "two"'))
    with pytest.raises(CommandError, match=r"acme\.yaml: acme/one: prices from 2026-01-01: input: 'two'"):
        call_command("sync_catalogue", bad, stdout=StringIO())
    out = StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("sync_catalogue", bad, "--json", stdout=out)
    assert exit_.value.code == 1
    assert "'two' is not an amount" in json.loads(out.getvalue())["error"]
