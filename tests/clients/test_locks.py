"""What `make clients` installs is pinned by hash, and from wherever the machine gets its packages."""

import json
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LOCKS = sorted(HERE.glob("*/requirements.lock"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_python_locks_pin_hashes_and_name_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "--hash=sha256:" in text and "://" not in text


def test_every_client_has_a_lock() -> None:
    assert [lock.parent for lock in LOCKS] == sorted(wish.parent for wish in HERE.glob("*/requirements.in"))


def test_the_node_lock_pins_hashes_and_names_no_registry() -> None:
    packages = json.loads((HERE / "node" / "package-lock.json").read_text())["packages"]
    del packages[""]  # the project itself
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
