"""The account that `make run` has ready for whoever starts it: a sign-in and a key, kept in the data dir, mode 0600."""

import json
import secrets
from pathlib import Path
from typing import NamedTuple

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts import keys
from accounts.models import Account, User
from accounts.onboarding import open_account
from tokenhub.servers import write_private

EMAIL = "owner@localhost.localdomain"
FILE = "first_run.json"


class FirstRun(NamedTuple):
    email: str
    password: str  # empty once the owner has chosen another one
    api_key: str


def ensure(data_dir: Path) -> FirstRun:
    """Keeps what is there and creates what is missing: an operator with account and starter credit, and a live key."""
    known = _read(data_dir / FILE)
    with transaction.atomic():
        user, password = _user_and_password(known)
        api_key = _live_key(known, user)
    now = FirstRun(user.email, password, api_key)
    if now != known:
        write_private(data_dir / FILE, json.dumps(now._asdict()))
    return now


def _read(file: Path) -> FirstRun | None:
    try:
        return FirstRun(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _user_and_password(known: FirstRun | None) -> tuple[User, str]:
    user = User.objects.filter(email=EMAIL).first()
    if user is not None and known is not None:
        return user, known.password if user.check_password(known.password) else ""
    password = known.password if known and known.password else secrets.token_urlsafe(12)
    if user is None:
        user = User.objects.create_user(EMAIL, password, is_staff=True)
        EmailAddress.objects.create(user=user, email=EMAIL, verified=True, primary=True)
        open_account(user=user)
    else:  # the file is lost
        user.set_password(password)
        user.save(update_fields=["password"])
    return user, password


def _live_key(known: FirstRun | None, user: User) -> str:
    if known is not None and keys.find(known.api_key) is not None:
        return known.api_key
    account = Account.objects.filter(members=user).earliest("pk")
    return keys.issue(account=account, name="make run", created_by=user).secret
