"""The keys' pages as a test uses them."""

import re

from django.http import HttpResponse

from accounts import keys
from accounts.models import Account, ApiKey, Membership
from tests.accounts.people import Person, person

KEY = re.compile(r"th-[0-9A-Za-z]{59}")


def create(someone: Person, **fields: str | list[str]) -> HttpResponse:
    form = {"name": "Laptop", "limit_nanos": "5", "limit_window": "month", **fields}
    return someone.browser.post("/keys/new", form)  # type: ignore[return-value]


def edit(someone: Person, key: ApiKey, **fields: str | list[str]) -> HttpResponse:
    form = {"name": key.name, "limit_nanos": "5", "limit_window": "month", **fields}
    return someone.browser.post(f"/keys/{key.key_id}/edit", form)  # type: ignore[return-value]


def member(account: Account, role: str) -> Person:
    """Somebody who belongs to the account, acting for it."""
    someone = person()
    Membership.objects.create(account=account, user=someone.user, role=role)
    someone.browser.get(f"/keys?team={account.slug}")
    return someone._replace(account=account)


def text_of(someone: Person, path: str) -> str:
    return someone.browser.get(path, follow=True).content.decode()


def row_of(issued: keys.IssuedKey) -> ApiKey:
    return ApiKey.objects.get(pk=issued.row.pk)
