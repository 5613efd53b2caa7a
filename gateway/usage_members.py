"""What the keys of each member have cost: the answer to ``accounts.signals.spending_asked``."""

from datetime import datetime
from typing import Any

from django.db.models import Sum

from accounts.models import Account, ApiKey
from gateway.models import UsageHour


def spent_since(account: Account, since: datetime, **_signal: Any) -> dict[int, int]:
    """Nano-USD by user, of all keys they made, revoked ones included. ``since`` is a whole hour of UTC. Two queries."""
    hours = UsageHour.objects.filter(account_id=account.pk, hour__gte=since)
    by_key = dict(hours.values("key_id").annotate(sum=Sum("cost_nanos")).values_list("key_id", "sum"))
    spent: dict[int, int] = {}
    for key_id, maker in ApiKey.objects.filter(pk__in=by_key, created_by__isnull=False).values_list(
        "id", "created_by_id"
    ):
        spent[maker] = spent.get(maker, 0) + int(by_key[key_id])
    return spent
