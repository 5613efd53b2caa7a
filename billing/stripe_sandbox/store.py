"""What the stand-in remembers, in one SQLite file: objects as JSON rows, answers by idempotency key, deliveries."""

import secrets
import sqlite3
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from billing.stripe_sandbox.errors import Json, StripeError, missing

ID_LETTERS = string.ascii_letters + string.digits
ID_LENGTH = 24

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  place INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  created INTEGER NOT NULL,
  body TEXT NOT NULL,
  backstage TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, place);
CREATE INDEX IF NOT EXISTS objects_intent ON objects (json_extract(body, '$.payment_intent'), kind);
CREATE INDEX IF NOT EXISTS objects_charge ON objects (json_extract(body, '$.charge'), kind);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (json_extract(body, '$.customer'), kind);
CREATE TABLE IF NOT EXISTS answers (
  idempotency_key TEXT PRIMARY KEY,
  created INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  request_id TEXT NOT NULL,
  status INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL,
  type TEXT NOT NULL,
  state TEXT NOT NULL,
  queued_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_status INTEGER
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due_at);
CREATE TABLE IF NOT EXISTS errands (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due_at INTEGER NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def new_id(prefix: str, length: int = ID_LENGTH) -> str:
    return prefix + "_" + "".join(secrets.choice(ID_LETTERS) for _ in range(length))


class Store:
    """All state. It is used by one thread, so a request's transaction is never interleaved with another."""

    def __init__(self, file: str | None) -> None:
        """``file`` None keeps everything in memory."""
        self._db = sqlite3.connect(file or ":memory:", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything or nothing. A refusal after the work had begun keeps the work: a declined charge exists."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except StripeError as error:
            self._db.execute("COMMIT" if error.executed else "ROLLBACK")
            raise
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def now(self) -> int:
        """Unix seconds by the stand-in's own clock, which can be advanced."""
        return int(time.time()) + int(self.setting("clock_offset_seconds", 0))

    def execute(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    # objects

    def add(self, obj: Json, **backstage: Any) -> Json:
        """``backstage`` is what the API does not show: a card's number, a session's lines."""
        self.execute(
            "INSERT INTO objects (id, kind, created, body, backstage) VALUES (?, ?, ?, ?, ?)",
            obj["id"], obj["object"], obj.get("created") or self.now(), _dump(obj), _dump(backstage),
        )  # fmt: skip
        return obj

    def save(self, obj: Json, **backstage: Any) -> Json:
        self.execute("UPDATE objects SET body = ? WHERE id = ?", _dump(obj), obj["id"])
        if backstage:
            merged = {**self.backstage(obj["id"]), **backstage}
            self.execute("UPDATE objects SET backstage = ? WHERE id = ?", _dump(merged), obj["id"])
        return obj

    def find(self, id: str) -> Json | None:
        rows = self.execute("SELECT body FROM objects WHERE id = ?", id)
        return orjson.loads(rows[0]["body"]) if rows else None

    def get(self, kind: str, id: str, *, param: str | None = None) -> Json:
        """Raises Stripe's 404, or its 400 where the id was the parameter ``param``."""
        obj = self.find(id)
        if obj is None or obj["object"] != kind:
            name = kind.replace(".", " ") if param is None else kind.replace("_", " ").replace(".", " ")
            raise missing(name, id, status=404 if param is None else 400, param=param or "id")
        return obj

    def backstage(self, id: str) -> Json:
        rows = self.execute("SELECT backstage FROM objects WHERE id = ?", id)
        return orjson.loads(rows[0]["backstage"]) if rows else {}

    def where(self, kind: str, **fields: Any) -> list[Json]:
        """Oldest first."""
        tests = "".join(f" AND json_extract(body, '$.{name}') = ?" for name in fields)
        sql = f"SELECT body FROM objects WHERE kind = ?{tests} ORDER BY place"  # noqa: S608 - names are our own
        return [orjson.loads(row["body"]) for row in self.execute(sql, kind, *fields.values())]

    # settings, errands

    def setting(self, name: str, default: Any = None) -> Any:
        rows = self.execute("SELECT value FROM settings WHERE name = ?", name)
        return orjson.loads(rows[0]["value"]) if rows else default

    def set_setting(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, _dump(value))

    def add_errand(self, kind: str, target: str, *, after_seconds: int) -> None:
        self.execute(
            "INSERT INTO errands (due_at, kind, target) VALUES (?, ?, ?)", self.now() + after_seconds, kind, target
        )

    def take_due_errands(self) -> list[tuple[str, str]]:
        now = self.now()
        rows = self.execute("SELECT kind, target FROM errands WHERE due_at <= ? ORDER BY due_at, id", now)
        if rows:
            self.execute("DELETE FROM errands WHERE due_at <= ?", now)
        return [(row["kind"], row["target"]) for row in rows]


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
