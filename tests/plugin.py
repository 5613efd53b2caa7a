"""Starts the real PostgreSQL and Valkey that the tests use, before anything reads the settings.

Loaded by ``-p tests.plugin`` (pyproject.toml). ``DATABASE_URL`` and ``REDIS_URL`` given from outside are used instead;
the former then needs ``TOKENHUB_TEST_SUPERUSER_URL`` beside it for what only a superuser may try.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenhub.embedded import Postgres, Valkey

#: whatever the developer's shell says about vendors, payments and addresses must not reach a test
FOREIGN_PREFIXES = (
    "TOKENHUB_", "STRIPE_", "EMAIL_", "MEDIA_STORAGE_",
    "OPENAI_", "ANTHROPIC_", "GOOGLE_", "XAI_", "DASHSCOPE_", "ZHIPU_", "MINIMAX_", "MIMO_", "MOONSHOT_", "DEEPSEEK_",
    "ARK_", "KLING_",
)  # fmt: skip
FOREIGN_NAMES = ("HOST", "PORT", "WEB_CONCURRENCY", "DJANGO_SETTINGS_MODULE")


@pytest.hookimpl(wrapper=True)  # a wrapper runs before pytest-django reads the settings
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    prepare_environment()
    asked = early_config.known_args_namespace
    shares_out = (
        getattr(asked, "numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ
    )  # its workers have theirs
    if not (asked.help or asked.version or asked.collectonly or shares_out):
        start_servers(Path(os.environ["TOKENHUB_DATA_DIR"]))
    return (yield)


def prepare_environment() -> None:
    superuser_url = os.environ.get("TOKENHUB_TEST_SUPERUSER_URL")
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES) or name in FOREIGN_NAMES:
            del os.environ[name]
    folder = tempfile.mkdtemp(prefix="tokenhub-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ |= {"TOKENHUB_DEV": "1", "TOKENHUB_DATA_DIR": folder}
    if superuser_url:
        os.environ["TOKENHUB_TEST_SUPERUSER_URL"] = superuser_url
    trust_nobody(Path(folder) / "no-certificates")
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        compile_once(Path(folder) / "pycache")


def trust_nobody(empty: Path) -> None:
    """No test speaks TLS, and reading the machine's certificates for each HTTP client costs more than most tests do."""
    empty.mkdir()
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(empty)


def compile_once(cache: Path) -> None:
    """Where nothing may be written beside the sources, each child process would compile all it imports, for seconds."""
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(cache)
    sys.dont_write_bytecode = False


def start_servers(folder: Path) -> None:
    if "DATABASE_URL" not in os.environ:
        postgres = Postgres(folder / "postgres", durable=False)
        atexit.register(postgres.stop)
        postgres.start()
        os.environ |= {
            "DATABASE_URL": postgres.database_url,
            "DATABASE_OWNER_URL": postgres.owner_url,
            "TOKENHUB_TEST_SUPERUSER_URL": postgres.superuser_url,
        }
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(folder / "valkey", durable=False)
        atexit.register(valkey.stop)
        valkey.start()
        os.environ["REDIS_URL"] = valkey.url
