"""The people of every portal test: made fresh each time, because nothing is rolled back."""

import functools
import uuid
from typing import NamedTuple

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.test import Client

from accounts import keys
from accounts.models import Account, User
from accounts.onboarding import open_account

PASSWORD = "a sentence works well"


class Person(NamedTuple):
    user: User
    account: Account
    browser: Client  # signed in


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.test"


@functools.cache
def _hashed() -> str:
    """Hashing is slow on purpose; once is enough for everybody with the same password."""
    return make_password(PASSWORD)


def person(starter_credit_nanos: int | None = 0) -> Person:
    user = User.objects.create(email=new_email(), password=_hashed())
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    account = open_account(user=user, starter_credit_nanos=starter_credit_nanos)
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return Person(user, account, browser)


def key_for(someone: Person, name: str = "Laptop") -> keys.IssuedKey:
    return keys.issue(account=someone.account, created_by=someone.user, name=name)
