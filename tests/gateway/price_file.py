"""What a chat call costs by the reviewed price files: read as they are written and worked out with decimals, so that nothing is
shared with the code that charges."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Any

import yaml

from gateway.catalogue_files import FOLDER
from tokenhub import clock

MODELS: dict[str, dict[str, Any]] = {
    model["id"]: model
    for path in sorted(FOLDER.glob("*.yaml"))
    for model in yaml.safe_load(path.read_text())["models"]
    if model["kind"] == "chat"
}
AMOUNTS = ("input", "cached_input", "cache_write", "cache_write_1h", "output")
NANOS_PER_MICRO_USD = 1_000


@dataclass(frozen=True)
class Counts:
    """Tokens as OpenAI means them: cached and written ones lie inside ``input``, those kept for an hour inside ``written``."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    written_1h: int = 0


def nanos(slug: str, counts: Counts, on: date | None = None) -> int:
    """The charge in nano-USD, rounded up once, at the prices of a day (today's, unless another is named)."""
    rates = _rates(slug, counts.input, on or clock.now().date())
    of = {name: Decimal(rates[name]) for name in AMOUNTS if rates.get(name) is not None}
    written = of.get("cache_write", of["input"])
    micro_usd = (
        (counts.input - counts.cached - counts.written) * of["input"]
        + counts.cached * of.get("cached_input", of["input"])
        + (counts.written - counts.written_1h) * written
        + counts.written_1h * of.get("cache_write_1h", written)
        + counts.output * of["output"]
    )
    return int((micro_usd * NANOS_PER_MICRO_USD).to_integral_value(ROUND_CEILING))


def _rates(slug: str, input_tokens: int, day: date) -> dict[str, Any]:
    """USD per million tokens: of the model that answers on that day, in the tier of that many prompt tokens."""
    model = MODELS[slug]
    if model.get("successor") and model["retires_on"] <= day:
        return _rates(model["successor"], input_tokens, day)
    rates: dict[str, Any] = max((row for row in model["prices"] if row["from"] <= day), key=lambda row: row["from"])
    assert rates["unit"] == "USD per million tokens"
    reached = [tier for tier in rates.get("tiers", ()) if input_tokens > tier["above_input_tokens"]]
    return max(reached, key=lambda tier: tier["above_input_tokens"], default=rates)
