"""What every test may lean on. The ledger is append-only, so nothing is rolled back or flushed between tests: each test
makes accounts of its own."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

# ---------------------------------------------------------------- the database


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """Instead of pytest-django's: no `test_` copy and no rollback, but the database as `make run` has it."""
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        call_command("sync_catalogue", verbosity=0)


@pytest.fixture(scope="session", autouse=True)
def _database_for_all(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def app_db() -> Iterator[psycopg.Connection]:
    """A connection with the application's role, each statement its own transaction."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner_db() -> Iterator[psycopg.Connection]:
    """A superuser's connection, for what neither role may do: looking behind the guards, and arranging damage."""
    with psycopg.connect(os.environ["TOKENHUB_TEST_SUPERUSER_URL"], autocommit=True) as connection:
        yield connection
