"""A served gateway, a vendor behind it, and customers with keys."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from accounts import keys, onboarding
from accounts.models import Account, ApiKey, User
from billing import ledger
from billing.models import LedgerAccount
from tests import servers


@pytest.fixture(scope="session")
def sandbox() -> Iterator[servers.Server]:
    server = servers.start_sandbox()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def site(django_db_setup: None, sandbox: servers.Server) -> Iterator[servers.Server]:
    server = servers.start_web(sandbox)
    yield server
    server.stop()


@dataclass
class Customer:
    account: Account
    key: str
    key_row: ApiKey

    @property
    def wallet(self) -> LedgerAccount:
        return ledger.wallet(self.account.pk)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


def new_customer(nanos: int = 1_000_000_000, **key: Any) -> Customer:
    user = User.objects.create_user(f"{uuid.uuid4().hex}@example.com")
    account = onboarding.open_account(user=user, starter_credit_nanos=nanos)
    issued = keys.issue(account=account, name="test", created_by=user, **key)
    return Customer(account, issued.secret, issued.row)


@pytest.fixture
def customer() -> Customer:
    return new_customer()


@pytest.fixture
def client(site: servers.Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.api, timeout=30) as http:
        yield http


def chat(content: str = "Hello!", model: str = "openai/gpt-4.1", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}
