"""Dangerous mixes of settings refuse to start, in one line that says what to do."""

import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tokenhub import environment
from tokenhub.checks import dangerous_mixes

ROOT = Path(__file__).parents[2]
SECRET = "Zq3-a-secret-of-its-own-that-is-long-enough"
REAL_KEY = {"api_key": "sk-real", "secret_key": "", "base_url": ""}
LOCAL_KEY = {"api_key": "sk-test", "secret_key": "", "base_url": "127.0.0.1"}
NO_KEY = {"api_key": "", "secret_key": "", "base_url": ""}

#: a production set-up without fault, from which each test departs
SAFE: dict[str, Any] = {
    "DEV": False, "HOST": "0.0.0.0", "SANDBOX": False, "STARTER_CREDIT_NANOS": 0, "SECRET_KEY": SECRET,  # noqa: S104
    "PUBLIC_URL": "https://hub.example.com", "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
    "UPSTREAMS": {"openai": REAL_KEY, "xai": NO_KEY},
}  # fmt: skip


def refusals(**changes: Any) -> set[str]:
    with override_settings(**{**SAFE, **changes}):
        return {(it.id or "").removeprefix("tokenhub.") for it in dangerous_mixes(None)}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, set()),
        ({"SANDBOX": True}, {"E001"}),
        ({"SANDBOX": True, "STRIPE_SECRET_KEY": "rk_live_x"}, {"E001"}),
        ({"SANDBOX": True, "STRIPE_SECRET_KEY": "sk_test_x"}, set()),
        ({"STRIPE_WEBHOOK_SECRET": ""}, {"E002"}),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_test"}, {"E007"}),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef,whsec_short"}, {"E007"}),
        ({"STRIPE_SECRET_KEY": "", "STRIPE_WEBHOOK_SECRET": ""}, set()),
        ({"STARTER_CREDIT_NANOS": 1}, {"E003"}),
        ({"STARTER_CREDIT_NANOS": 1, "HOST": "::"}, {"E003"}),
        ({"STARTER_CREDIT_NANOS": 1, "HOST": "hub.example.com"}, {"E003"}),
        ({"STARTER_CREDIT_NANOS": 1, "HOST": "127.0.0.1"}, set()),
        ({"STARTER_CREDIT_NANOS": 1, "HOST": "::1"}, set()),
        ({"STARTER_CREDIT_NANOS": 1, "HOST": "localhost"}, set()),
        ({"STARTER_CREDIT_NANOS": 1, "UPSTREAMS": {"openai": NO_KEY}}, set()),
        ({"STARTER_CREDIT_NANOS": 1, "UPSTREAMS": {"openai": LOCAL_KEY}}, set()),
        ({"SANDBOX": True, "STRIPE_SECRET_KEY": ""}, {"E004"}),
        ({"SANDBOX": True, "STRIPE_SECRET_KEY": "", "HOST": "127.0.0.1"}, set()),
        ({"SANDBOX": True, "STRIPE_SECRET_KEY": "", "UPSTREAMS": {"kling": NO_KEY}}, set()),
        ({"SECRET_KEY": "short"}, {"E005"}),
        ({"SECRET_KEY": "a" * 64}, {"E005"}),
        ({"SECRET_KEY": f"django-insecure-{SECRET}"}, {"E005"}),
        ({"SECRET_KEY": f"CHANGEME-{SECRET}"}, {"E005"}),
        ({"SECRET_KEY": "short", "DEV": True}, set()),
        ({"PUBLIC_URL": ""}, {"E006"}),
    ],
)
def test_a_dangerous_mix_is_refused_and_its_harmless_neighbour_is_not(
    changes: dict[str, Any], refused: set[str]
) -> None:
    assert refusals(**changes) == refused


def preflight(**env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOKENHUB_")}
    safe = {"TOKENHUB_SECRET_KEY": SECRET, "TOKENHUB_PUBLIC_URL": "https://hub.example.com"}
    return subprocess.run(
        [sys.executable, "-m", "tokenhub.preflight"],
        cwd=ROOT, env={**clean, **safe, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "w", "TOKENHUB_SANDBOX": "1"}, "live Stripe key"),
        ({"STRIPE_SECRET_KEY": "sk_test_x"}, "STRIPE_WEBHOOK_SECRET"),
        ({"HOST": "0.0.0.0", "KLING_ACCESS_KEY": "k", "TOKENHUB_STARTER_CREDIT_USD": "0.01"}, "starter credit"),  # noqa: S104
        ({"HOST": "0.0.0.0", "OPENAI_API_KEY": "k", "TOKENHUB_SANDBOX": "1"}, "test checkout"),  # noqa: S104
        ({"TOKENHUB_SECRET_KEY": "insecure"}, "TOKENHUB_SECRET_KEY"),
        ({"TOKENHUB_SECRET_KEY": ""}, "TOKENHUB_SECRET_KEY is not set"),
        ({"TOKENHUB_PUBLIC_URL": ""}, "TOKENHUB_PUBLIC_URL is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "mysql://x/y"}, "postgresql://"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"PORT": "http"}, "PORT is 'http'"),
    ],
)
def test_a_start_is_refused_in_one_line(tmp_path: Path, env: dict[str, str], words: str) -> None:
    done = preflight(TOKENHUB_DATA_DIR=str(tmp_path), **env)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_production_without_fault_starts(tmp_path: Path) -> None:
    done = preflight(TOKENHUB_DATA_DIR=str(tmp_path), HOST="0.0.0.0", OPENAI_API_KEY="k")  # noqa: S104
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- reading the environment


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("TRUE", True), (" yes ", True), ("on", True), ("0", False), ("no", False), ("Off", False)],
)
def test_flags_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("FLAG", value)
    assert environment.flag("FLAG", not expected) is expected


@pytest.mark.parametrize("default", [True, False])
def test_a_flag_that_is_absent_or_empty_has_its_default(monkeypatch: pytest.MonkeyPatch, default: bool) -> None:
    monkeypatch.delenv("FLAG", raising=False)
    assert environment.flag("FLAG", default) is default
    monkeypatch.setenv("FLAG", " ")
    assert environment.flag("FLAG", default) is default


def test_a_flag_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="FLAG is 'maybe'"):
        environment.flag("FLAG", False)


def test_a_number_is_whole_and_large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.number("ABSENT_NUMBER", 7) == 7
    monkeypatch.setenv("NUMBER", " 12 ")
    assert environment.number("NUMBER", 7, least=12) == 12
    for wrong in ("-1", "1.5", "x", "１２", "1e3", "11"):
        monkeypatch.setenv("NUMBER", wrong)
        with pytest.raises(ImproperlyConfigured, match="NUMBER is"):
            environment.number("NUMBER", 7, least=12)


def test_lists_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIST", " 10.0.0.0/8, ::1 ,,")
    assert environment.words("LIST") == ["10.0.0.0/8", "::1"]
    assert environment.networks("LIST") == [ip_network("10.0.0.0/8"), ip_network("::1")]
    monkeypatch.setenv("LIST", "10.0.0.1/8")
    with pytest.raises(ImproperlyConfigured, match="LIST"):
        environment.networks("LIST")


@pytest.mark.parametrize("url", ["", "mysql://a/b", "sqlite:///x", "127.0.0.1/x"])
def test_only_postgresql_is_a_database(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="postgresql://"):
        environment.database(url)


def test_a_database_url_keeps_its_parts() -> None:
    parts = environment.database("postgresql://me:s%40cret@db.example.com:6543/hub")
    names = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    assert tuple(parts[name] for name in names) == ("me", "s@cret", "db.example.com", 6543, "hub")


@pytest.mark.parametrize("text", ["", "{", "7z", None])
def test_without_running_servers_there_are_no_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setenv("TOKENHUB_DATA_DIR", str(tmp_path))
    if text is not None:
        (tmp_path / environment.SERVERS_FILE).write_text(text)
    assert environment.embedded_servers() == {}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False),  # noqa: S104
     ("10.0.0.1", False), ("", False), ("example.com", False)],
)  # fmt: skip
def test_which_hosts_are_loopback(host: str, loopback: bool) -> None:
    assert environment.is_loopback(host) is loopback
