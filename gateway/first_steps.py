"""What a new team has done so far: four steps, ticked from what is there."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, ApiKey
from billing.models import LedgerAccount, Transfer


@dataclass(frozen=True)
class Step:
    label: str
    is_done: bool
    url: str


def first_steps(account: Account) -> list[Step]:
    """One query. ``templates/welcome/_steps.html`` shows them."""
    keys = ApiKey.objects.filter(account=OuterRef("pk"))
    used = keys.filter(last_used_at__isnull=False)
    wallet = LedgerAccount.objects.filter(customer_id=OuterRef(OuterRef("pk")), kind=LedgerAccount.Kind.WALLET)
    added = Transfer.objects.filter(kind="topup", credit_id__in=wallet.values("id"))
    done = (
        Account.objects.filter(pk=account.pk)
        .annotate(
            was_called=Exists(used),
            has_tool=Exists(used.exclude(tool="")),
            has_limit=Exists(keys.filter(revoked_at=None, limit_nanos__isnull=False)),
            has_paid=Exists(added),
        )
        .values_list("was_called", "has_tool", "has_limit", "has_paid")
        .get()
    )
    steps = [
        (_("Make a first call"), "welcome"),
        (_("Connect a tool"), "connect"),
        (_("Set a limit on a key"), "keys"),
        (_("Add credit"), "billing"),
    ]
    return [Step(label, is_done, reverse(page)) for (label, page), is_done in zip(steps, done, strict=True)]
