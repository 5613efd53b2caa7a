"""The front door: ``python -m billing.stripe_sandbox.server --host 127.0.0.1 --port N``.

Environment: ``TOKENHUB_STRIPE_SANDBOX_FILE`` (SQLite file; in memory when unset), ``…_SECRET`` (the webhooks' signing
secret; without one nothing is sent), ``…_WEBHOOK_URL`` (where events are posted) and ``…_PAGE_URL`` (the payable pages'
base; this process's own ``/c/pay`` when unset).
"""

import argparse
import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import uvicorn

from billing.stripe_sandbox import deliveries, errands, expansion, faults, pages, params, routes
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.deliveries import Courier
from billing.stripe_sandbox.errors import Json, StripeError, invalid, unauthorized
from billing.stripe_sandbox.events import API_VERSION
from billing.stripe_sandbox.store import Store, new_id

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGES = "/c/pay/"
HELPERS = "/v1/test_helpers/"
BODY_BYTES_MOST = 1024 * 1024
KEY_LIFE_SECONDS = 24 * 3600
SHUTDOWN_SECONDS = 1
ERRANDS_SECONDS = 1
log = logging.getLogger("stripe_sandbox")


class Hangup(Exception):
    """The connection ends without a whole answer; ``waits`` for the client to lose patience."""

    def __init__(self, *, waits: bool = False) -> None:
        super().__init__()
        self.waits = waits


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    id: str

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") if self.method == "POST" else None

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.method} {self.path}\n".encode() + self.body).hexdigest()


class StripeSandbox:
    """The ASGI application."""

    def __init__(self, store: Store, *, secret: str = "", webhook_url: str = "", page_url: str = "") -> None:
        self._store = store
        self._page_url = page_url.rstrip("/")
        self._courier = Courier(store, secret=secret, url=webhook_url)
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._tasks = [asyncio.create_task(self._courier.run()), asyncio.create_task(self._run_errands())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _run_errands(self) -> None:
        while True:
            await asyncio.sleep(ERRANDS_SECONDS)
            with self._store.transaction():
                busy = errands.run_due(Call(self._store))
            if busy:
                self._courier.wake()

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = await _read(scope, receive)
        try:
            answer = await self._answer(request)
        except StripeError as error:
            answer = _json(error.status, error.as_json())
        except Hangup as hangup:
            while hangup.waits and (await receive())["type"] != "http.disconnect":
                pass
            # an answer that promises more than it brings makes the server close the connection
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            answer = _json(500, StripeError(500, "An unknown error occurred.", type="api_error").as_json())
        self._courier.wake()
        sent = {"content-type": "application/json", "request-id": request.id, **answer.headers}
        sent["content-length"] = str(len(answer.body))
        lines = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": lines})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request) -> Answer:
        if request.path == "/healthz":
            return _json(200, {"ok": True})
        if request.path.startswith(PAGES):
            return self._page(request)
        _authorize(request)
        if len(request.body) > BODY_BYTES_MOST:
            raise StripeError(413, "The request is too large.")
        if request.path == HELPERS + "deliver" and request.method == "POST":
            return _json(200, await self._deliver(params.decode(request.body.decode())))
        return self._api(request)

    def _api(self, request: Request) -> Answer:
        """A fault, a former answer, or the work itself; then its answer is kept for the key, or lost on the way."""
        fault = None if request.path.startswith(HELPERS) else faults.take(self._store, request.method, request.path)
        if fault in ("429", "500"):
            raise faults.as_error(fault)
        if fault in ("timeout", "reset"):
            raise Hangup(waits=fault == "timeout")
        answer = self._former_answer(request) or self._work(request)
        if fault == "lost_answer":
            self._courier.wake()
            raise Hangup
        answer.headers["stripe-version"] = request.headers.get("stripe-version", API_VERSION)
        if request.idempotency_key:
            answer.headers["idempotency-key"] = request.idempotency_key
        return answer

    def _work(self, request: Request) -> Answer:
        found = routes.find(request.method, request.path)
        if found is None:
            raise StripeError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        handler, names = found
        call = self._call(request)
        try:
            with self._store.transaction():
                body = handler(call, **names)
                errands.run_due(call)
                answer = _json(200, expansion.expand(call, body))
                self._keep(request, answer)
        except StripeError as error:
            answer = _json(error.status, error.as_json())
            if error.executed:  # a request that was refused at the door may be mended and sent again
                self._keep(request, answer)
        return answer

    def _call(self, request: Request) -> Call:
        try:
            given = params.decode(request.body.decode() if request.method == "POST" else request.query)
        except UnicodeDecodeError:
            raise invalid("Invalid request: the body is not UTF-8.") from None
        page_url = self._page_url or f"http://{request.headers.get('host', 'localhost')}{PAGES.rstrip('/')}"
        return Call(self._store, given, request.id, request.idempotency_key, page_url)

    def _former_answer(self, request: Request) -> Answer | None:
        rows = self._store.execute(
            "SELECT * FROM answers WHERE idempotency_key = ? AND created > ?",
            request.idempotency_key, self._store.now() - KEY_LIFE_SECONDS,
        )  # fmt: skip
        if not rows:
            return None
        if rows[0]["fingerprint"] != request.fingerprint:
            raise StripeError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{request.idempotency_key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        replayed = {"idempotent-replayed": "true", "original-request": rows[0]["request_id"]}
        return Answer(rows[0]["status"], rows[0]["body"], replayed)

    def _keep(self, request: Request, answer: Answer) -> None:
        if request.idempotency_key:
            self._store.execute(
                "INSERT OR REPLACE INTO answers (idempotency_key, created, fingerprint, request_id, status, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                request.idempotency_key, self._store.now(), request.fingerprint, request.id, answer.status, answer.body,
            )  # fmt: skip

    def _page(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD", "POST"):
            raise StripeError(405, "A page is read or posted to.")
        call, id = self._call(request), request.path.removeprefix(PAGES)
        page = pages.post(call, id) if request.method == "POST" else pages.show(call, id)
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": pages.POLICY}
        if page.status == 303:
            headers["location"] = page.location or id
        return Answer(page.status, page.html.encode(), headers)

    async def _deliver(self, given: Json) -> Json:
        """Posts once, now, all that is held or waits for another try, and says how each fared."""
        params.only(given, "order", "type", "limit")
        order = params.choice(given, "order", ("given", "reverse", "random"), "given")
        wanted, limit = params.text(given, "type"), params.integer(given, "limit")
        rows = [row for row in deliveries.undelivered(self._store) if wanted in (None, row["type"])]
        rows = (rows[::-1] if order == "reverse" else rows)[:limit]
        if not self._courier.url:
            raise invalid("No webhook address or no signing secret is configured.", "url")
        return {"deliveries": await self._courier.send(rows, shuffle=order == "random")}


def _authorize(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise unauthorized(None)
    if not key.startswith("sk_test_"):
        raise unauthorized(key)


async def _read(scope: dict[str, Any], receive: Receive) -> Request:
    body, more = bytearray(), True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        if len(body) <= BODY_BYTES_MOST:
            body += message.get("body", b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    return Request(scope["method"], scope["path"], query, headers, bytes(body), new_id("req", 14))


def _json(status: int, body: Json) -> Answer:
    return Answer(status, orjson.dumps(body, option=orjson.OPT_INDENT_2), {})


def application() -> StripeSandbox:
    def setting(name: str) -> str:
        return os.environ.get(f"TOKENHUB_STRIPE_SANDBOX_{name}", "")

    return StripeSandbox(
        Store(setting("FILE") or None),
        secret=setting("SECRET"),
        webhook_url=setting("WEBHOOK_URL"),
        page_url=setting("PAGE_URL"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m billing.stripe_sandbox.server", description="The test checkout.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    # a cut connection is a fault on order: nothing to report
    logging.getLogger("uvicorn.error").addFilter(lambda entry: "without completing response" not in entry.getMessage())
    uvicorn.run(
        application(),
        host=options.host,
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
