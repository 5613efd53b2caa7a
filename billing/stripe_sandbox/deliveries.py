"""Webhooks: each event is posted with a signed header, and again with growing delays while the far end fails."""

import asyncio
import hashlib
import hmac
import http.client
import random
import sqlite3
import time
from urllib.parse import urlsplit

import orjson

from billing.stripe_sandbox.errors import Json
from billing.stripe_sandbox.store import Store

#: quick at first, for a server that is just starting; then as patient as Stripe, which gives up after three days
RETRY_SECONDS = (1, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 3 * 3600)
GIVE_UP_SECONDS = 3 * 24 * 3600
POST_SECONDS = 20
PARALLEL_POSTS = 8
TICK_SECONDS = 1
DEFAULTS: Json = {"mode": "now", "duplicates": 0, "shuffle": False, "url": None}
#: the state in which an event's deliveries begin, by the mode
FIRST_STATES = {"now": "waiting", "hold": "held", "drop": "dropped"}


def queue(store: Store, event: str, type: str, *, further_copies: int = 0) -> None:
    control = delivery_control(store)
    now = int(time.time())
    for _ in range(1 + further_copies + control["duplicates"]):
        store.execute(
            "INSERT INTO deliveries (event, type, state, queued_at, due_at) VALUES (?, ?, ?, ?, ?)",
            event, type, FIRST_STATES[control["mode"]], now, now,
        )  # fmt: skip


def delivery_control(store: Store) -> Json:
    return {**DEFAULTS, **store.setting("delivery", {})}


def signature_header(body: bytes, secret: str, timestamp: int) -> str:
    """``t=…,v1=…``: HMAC-SHA256 over the time, a dot and the raw bytes. https://docs.stripe.com/webhooks/signature"""
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def undelivered(store: Store) -> list[sqlite3.Row]:
    """Held, or waiting for another try; oldest first."""
    return store.execute("SELECT * FROM deliveries WHERE state IN ('held', 'waiting') ORDER BY id")


class Courier:
    """Posts what is due. Deliveries go in order, one after the other, unless they are to be shuffled."""

    def __init__(self, store: Store, *, secret: str, url: str) -> None:
        self._store = store
        self._secret = secret
        self._url = url
        self._woken = asyncio.Event()
        # a former process may have died amid a post: its answer is unknown, so it is posted again, as Stripe would
        store.execute("UPDATE deliveries SET state = 'waiting' WHERE state = 'sending'")

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self.send(self.due())
            try:
                await asyncio.wait_for(self._woken.wait(), TICK_SECONDS)
            except TimeoutError:
                pass
            self._woken.clear()

    def due(self) -> list[sqlite3.Row]:
        if not self.url:
            return []
        return self._store.execute(
            "SELECT * FROM deliveries WHERE state = 'waiting' AND due_at <= ? ORDER BY id", int(time.time())
        )

    @property
    def url(self) -> str:
        """Where events go: the environment's address unless a test named another. Without a secret, nowhere."""
        return (delivery_control(self._store)["url"] or self._url) if self._secret else ""

    async def send(self, rows: list[sqlite3.Row], *, shuffle: bool = False) -> list[Json]:
        """Posts each once and says how each fared, in the order given."""
        for row in rows:
            self._store.execute("UPDATE deliveries SET state = 'sending' WHERE id = ?", row["id"])
        if not (shuffle or delivery_control(self._store)["shuffle"]):
            return [await self._send_one(row) for row in rows]
        gate = asyncio.Semaphore(PARALLEL_POSTS)

        async def in_turn(row: sqlite3.Row) -> Json:
            async with gate:
                return await self._send_one(row)

        return await asyncio.gather(*(in_turn(row) for row in random.sample(rows, len(rows))))

    async def _send_one(self, row: sqlite3.Row) -> Json:
        body = orjson.dumps(self._store.get("event", row["event"]), option=orjson.OPT_INDENT_2)
        status = await asyncio.to_thread(self._post, self.url, body)
        delivered = status is not None and 200 <= status < 300
        attempts, now = row["attempts"] + 1, int(time.time())
        delay_seconds = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
        gives_up = now + delay_seconds > row["queued_at"] + GIVE_UP_SECONDS
        state = "delivered" if delivered else "failed" if gives_up else "waiting"
        self._store.execute(
            "UPDATE deliveries SET state = ?, attempts = ?, last_status = ?, due_at = ? WHERE id = ?",
            state, attempts, status, now + delay_seconds, row["id"],
        )  # fmt: skip
        if delivered:
            event = self._store.get("event", row["event"])
            self._store.save({**event, "pending_webhooks": 0})
        return {"id": row["id"], "event": row["event"], "type": row["type"], "state": state, "status": status}

    def _post(self, url: str, body: bytes) -> int | None:
        """The status of the answer, or None where there was none."""
        target = urlsplit(url)
        connect = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = connect(target.netloc, timeout=POST_SECONDS)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": signature_header(body, self._secret, int(time.time())),
        }
        try:
            connection.request(
                "POST", target._replace(scheme="", netloc="", fragment="").geturl() or "/", body, headers
            )
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
