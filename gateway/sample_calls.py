"""Calls that were never made, for development: believable in shape, and as consistent as real ones (`manage.py check_ledger`).

They need the owner's role, because the application's may write neither holds nor call records.
"""

import math
import random
import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connections, transaction

from accounts import keys as key_store
from accounts.models import Account, ApiKey, User
from billing import ledger
from billing.models import Price
from billing.pricing import TokenPrice
from gateway.models import Endpoint, Model
from tokenhub import clock
from tokenhub.ids import new_uuid7

DAYS = 60
#: so many holds are open at once: the wallet must carry them all, and keeps what it needed for that
HOLDS_AT_ONCE = 1_000
OWNER = "owner"
STATEMENTS = dict(
    re.findall(
        r"^-- name: (\w+)\n(.*?;)\s*$",
        (Path(__file__).parent / "sql" / "sample.sql").read_text(),
        re.DOTALL | re.MULTILINE,
    )
)


class Habit(NamedTuple):
    """What one key is used for. ``models`` are places in the list of ``_models``, the favourite first."""

    key_name: str
    app: str
    endpoint: Endpoint
    share: int
    models: tuple[int, ...]


HABITS = (
    Habit("Production API", "support-desk", Endpoint.CHAT, 55, (0, 1, 2)),
    Habit("Nightly evals", "evals.py", Endpoint.CHAT, 20, (3, 4, 5)),
    Habit("Cline", "Cline", Endpoint.MESSAGES, 17, (0, 2)),
    Habit("Laptop", "curl", Endpoint.RESPONSES, 8, (6, 7, 1)),
)


class Made(NamedTuple):
    calls: int
    cost_nanos: int


class Line(NamedTuple):
    """One key asking one model."""

    key: ApiKey
    habit: Habit
    model: Model
    price: TokenPrice
    share: float


def make(*, account: Account, user: User, calls: int) -> Made:
    """``calls`` records of the last ``DAYS`` days, their holds, captures and hourly sums, and credit that pays for them."""
    lines = _lines(_keys(account, user))
    hours = _hours(calls, clock.now())
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(STATEMENTS["make"], _dice(lines, hours))
        cursor.execute(STATEMENTS["index"])
        cursor.execute("ANALYZE sample_call")
        cursor.execute(STATEMENTS["sum"], {"at_once": HOLDS_AT_ONCE})
        made, cost_nanos, held_nanos = cursor.fetchone()
        cursor.execute(
            "SELECT grant_credit(%s, %s, %s, %s, %s)",
            [uuid.uuid4(), account.pk, cost_nanos + held_nanos, "Sample credit", "manage.py seed_calls"],
        )
        _hold_and_capture(cursor, account, made)
        for name in ("record", "add_up"):
            cursor.execute(STATEMENTS[name], {"account": account.pk})
    with connections[OWNER].cursor() as cursor:
        cursor.execute("ANALYZE hold, transfer, call_record, usage_hour")
    return Made(made, cost_nanos)


def _hold_and_capture(cursor: Any, account: Account, calls: int) -> None:
    boot = uuid.UUID(bytes=new_uuid7())
    cursor.execute("SELECT start_boot(%s, 'seed_calls')", [boot])
    wallet_id = ledger.wallet(account.pk).pk
    cursor.execute("SELECT 1 FROM ledger_account WHERE id = %s FOR NO KEY UPDATE", [wallet_id])
    for first in range(1, calls + 1, HOLDS_AT_ONCE):
        part = {"wallet": wallet_id, "boot": boot, "first": first, "last": first + HOLDS_AT_ONCE - 1}
        cursor.execute(STATEMENTS["open"], part)
        cursor.execute(STATEMENTS["close"], part)
    cursor.execute("SELECT end_boot(%s)", [boot])


# ---------------------------------------------------------------- who asks what


def _keys(account: Account, user: User) -> list[ApiKey]:
    """One for each habit: those that the account has by name, the others made."""
    known = {key.name: key for key in ApiKey.objects.filter(account=account, revoked_at=None).order_by("-id")}
    return [
        known.get(habit.key_name) or key_store.issue(account=account, name=habit.key_name, created_by=user).row
        for habit in HABITS
    ]


def _models() -> list[tuple[Model, TokenPrice]]:
    """The first chat model of each provider that sells tokens today: as many as the habits name."""
    now = clock.now()
    chosen: dict[int, tuple[Model, TokenPrice]] = {}
    prices = Price.objects.filter(effective_at__lte=now).order_by("effective_at").in_bulk()
    for model in Model.objects.filter(kind=Model.Kind.CHAT, is_listed=True, retires_on=None).select_related("provider"):
        in_force = [prices[price_id] for price_id in model.price_ids if price_id in prices]
        if model.provider_id not in chosen and in_force:
            row = max(in_force, key=lambda price: price.effective_at)
            chosen[model.provider_id] = model, TokenPrice.of(row.pk, row.rates)
    return list(chosen.values())


def _lines(keys: Sequence[ApiKey]) -> list[Line]:
    models = _models()
    lines = []
    for key, habit in zip(keys, HABITS, strict=True):
        halves = [2.0**-place for place in range(len(habit.models))]  # each next model is asked half as often
        for place, half in zip(habit.models, halves, strict=True):
            model, price = models[place % len(models)]
            lines.append(Line(key, habit, model, price, habit.share * half / sum(halves)))
    return lines


def _dice(lines: Sequence[Line], hours: Sequence[tuple[datetime, int, int]]) -> dict[str, Any]:
    """The parameters of the statement that throws the dice: one array a column."""
    total = sum(line.share for line in lines)
    starts = [sum(line.share for line in lines[:n]) / total for n in range(len(lines))]
    return {
        "hours": [hour for hour, _calls, _minutes in hours],
        "counts": [calls for _hour, calls, _minutes in hours],
        "minutes": [minutes for _hour, _calls, minutes in hours],
        "shares": starts,
        "key_ids": [line.key.pk for line in lines],
        "apps": [line.habit.app for line in lines],
        "endpoints": [line.habit.endpoint for line in lines],
        "model_ids": [line.model.pk for line in lines],
        "price_ids": [line.price.id for line in lines],
        "upstreams": [line.model.provider.slug for line in lines],
        "slugs": [line.model.slug for line in lines],
        # no prompt of these is long enough for a higher tier
        "input_rates": [line.price.tiers[0].input for line in lines],
        "cached_rates": [line.price.tiers[0].cached_input for line in lines],
        "output_rates": [line.price.tiers[0].output for line in lines],
    }


def _hours(calls: int, now: datetime) -> list[tuple[datetime, int, int]]:
    """(hour, calls, minutes of it that are over): busy by day, quiet by night and at weekends, growing slowly."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=ago) for ago in reversed(range(DAYS * 24))]
    noise = random.Random(60)  # noqa: S311 - the same shape each time
    weights = [
        (1.2 + math.sin((hour.hour - 8) / 24 * math.tau))
        * (0.4 if hour.weekday() >= 5 else 1.0)
        * (1 + n / len(hours))
        * noise.uniform(0.7, 1.3)
        for n, hour in enumerate(hours)
    ]
    weights[-1] *= now.minute / 60
    counts, given, so_far = [], 0, 0.0
    for weight in weights:
        so_far += weight
        due = round(calls * so_far / sum(weights))
        counts.append(due - given)
        given = due
    return [
        (hour, count, 60 if hour < this_hour else now.minute)
        for hour, count in zip(hours, counts, strict=True)
        if count
    ]
