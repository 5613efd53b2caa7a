"""Typed reading of the environment, and of what the embedded servers wrote about themselves.

Imported by the settings and by the supervisor (which runs before Django), so it depends on nothing of ours.
"""

import ipaddress
import json
import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
#: addresses of the running embedded servers, written by the supervisor, mode 0600
SERVERS_FILE = "servers.json"
#: generated in development, mode 0600
SECRET_KEY_FILE = "secret_key"  # noqa: S105 - a file name

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}

_env = environ.Env()


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if name not in os.environ or value == "":
        return default
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}: use 1 or 0")


def number(name: str, default: int, *, least: int = 0) -> int:
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ImproperlyConfigured(f"{name} is {value!r}: use a whole number of {least} or more")
    return int(value)


def basis_points(name: str) -> int:
    """A percentage with at most two decimals (``2.75``), in hundredths of a percent; unset: 0."""
    value = text(name, "0")
    whole, _, decimals = value.partition(".")
    if (
        not (value.isascii() and whole.isdigit() and len(decimals) <= 2 and (not decimals or decimals.isdigit()))
        or int(whole) > 100
    ):
        raise ImproperlyConfigured(f"{name} is {value!r}: use a percentage with at most two decimals, such as 5.5")
    return int(whole) * 100 + int(decimals.ljust(2, "0"))


def words(name: str) -> list[str]:
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(word) for word in words(name)]
    except ValueError as e:
        raise ImproperlyConfigured(f"{name}: {e}") from e


def database(url: str) -> dict[str, Any]:
    """Django's settings for a ``postgresql://`` URL. PostgreSQL only: the ledger leans on its locks and constraints."""
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL must begin with postgresql://")
    return dict(_env.db_url_config(url))


def data_dir() -> Path:
    return Path(text("TOKENHUB_DATA_DIR", str(ROOT / "var"))).resolve()


def embedded_servers() -> dict[str, str]:
    """What the supervisor wrote for this data dir: ``database_url, database_owner_url, redis_url``; empty if it does not run."""
    try:
        return dict(json.loads((data_dir() / SERVERS_FILE).read_text()))
    except (OSError, ValueError):
        return {}


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
