import uuid
from collections.abc import Iterator

import psycopg
import pytest
from django.test import override_settings

from tests import servers
from tests.billing.till import SECRET, Till, forget_client


@pytest.fixture(scope="session")
def stripe_double() -> Iterator[servers.Server]:
    double = servers.start_stripe()
    yield double
    double.stop()


@pytest.fixture
def till(stripe_double: servers.Server) -> Iterator[Till]:
    """Payments go to the stand-in, through the same code and SDK as to Stripe."""
    stripe = {"api_key": "sk_test_x", "api_base": stripe_double.url, "webhook_secrets": [SECRET]}
    forget_client()
    with override_settings(STRIPE=stripe):
        yield Till(stripe_double.url)
    forget_client()


@pytest.fixture
def boot(app_db: psycopg.Connection) -> Iterator[bytes]:
    """A process that takes holds."""
    boot = uuid.uuid4()
    app_db.execute("SELECT start_boot(%s, 'test')", [boot])
    yield boot.bytes
    app_db.execute("SELECT end_boot(%s)", [boot])
