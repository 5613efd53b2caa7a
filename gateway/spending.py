"""What billing asks about calls (``billing/spending.py``), from the hourly sums."""

from datetime import datetime

from django.db.models import Sum

from billing.spending import ModelSpending
from gateway.models import Model, UsageHour


class HourlySums:
    def by_hour(self, account_id: int, since: datetime, until: datetime) -> dict[datetime, int]:
        hours = UsageHour.objects.filter(account_id=account_id, hour__gte=since, hour__lt=until)
        return dict(hours.values("hour").annotate(sum=Sum("cost_nanos")).values_list("hour", "sum"))

    def by_model(self, account_id: int, since: datetime, until: datetime) -> list[ModelSpending]:
        hours = UsageHour.objects.filter(account_id=account_id, hour__gte=since, hour__lt=until)
        sums = hours.values("model_id").annotate(n=Sum("calls"), sum=Sum("cost_nanos")).order_by("-sum", "model_id")
        names = dict(Model.objects.values_list("id", "name"))
        return [ModelSpending(names.get(row["model_id"], "–"), int(row["n"]), int(row["sum"])) for row in sums]

    def total_nanos(self, account_id: int, until: datetime) -> int:
        hours = UsageHour.objects.filter(account_id=account_id, hour__lt=until)
        return int(hours.aggregate(sum=Sum("cost_nanos"))["sum"] or 0)
