"""The gateway's edge: a raw ASGI app for relays, outside Django's handler (its middleware alone costs more than a whole call).

Reads and bounds the request, finds the key's hash, runs the relay, renders every error in one envelope, and watches whether the
client is still there.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import orjson
from django.conf import settings

from accounts import keys
from gateway import faces, limits
from gateway.admission import Desk
from gateway.call import prepare
from gateway.errors import InvalidApiKey, InvalidJson, MethodNotAllowed, RequestTooLarge, UnsupportedMediaType
from gateway.relay import Relay
from gateway.routing import Directory
from gateway.upstreams.client import Client
from tokenhub.client_address import client_address
from tokenhub.errors import TokenHubError
from tokenhub.ids import generation_id, new_uuid7

log = logging.getLogger("tokenhub.gateway")

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[dict[str, Any]]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]
type Headers = list[tuple[bytes, bytes]]

#: relays, and the dialect that each speaks
FACES: dict[str, faces.Face] = {
    "/chat/completions": faces.CHAT,
    "/messages": faces.MESSAGES,
    "/responses": faces.RESPONSES,
}
PATHS: dict[str, faces.Face] = {base + path: face for base in ("/api/v1", "/v1") for path, face in FACES.items()}

REFRESH_SECONDS = 5.0
APP_CHARACTERS_MAX = 40

EXPOSED = "x-request-id, x-generation-id, retry-after, x-should-retry, server-timing, x-tokenhub-adjusted, x-tokenhub-served-model"
CORS: Headers = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED.encode())]
PREFLIGHT: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-max-age", b"86400"),
]


class Exchange:
    """One request and its answer over ASGI. It is the relay's sink."""

    def __init__(self, scope: Scope, receive: Receive, send: Send):
        self._receive = receive
        self._send = send
        self.started = time.monotonic()
        self.face = PATHS[scope["path"]]
        self.id = new_uuid7()
        self.generation_id = generation_id(self.id)
        self.headers: dict[bytes, bytes] = {}
        self.repeated: set[bytes] = set()
        for name, value in scope["headers"]:
            if name in self.headers and self.headers[name] != value:
                self.repeated.add(name)
            self.headers[name] = value
        peer = scope.get("client")
        forwarded = self.headers.get(b"x-forwarded-for", b"") if settings.TRUSTED_PROXIES else b""
        self.ip = client_address(peer[0] if peer else "", forwarded.decode("latin-1"), settings.TRUSTED_PROXIES)
        self.has_left = False
        self.has_answered = False
        self._body_read = False

    def app(self) -> str:
        """What the client calls itself: OpenRouter's ``X-Title``, or the program of its User-Agent without the version."""
        title = self.headers.get(b"x-title")
        if title is None:
            program, *version = self.headers.get(b"user-agent", b"").partition(b" ")[0].rsplit(b"/", 1)
            title = program if not version or version[0][:1].isdigit() else b"/".join((program, *version))
        return "".join(filter(str.isprintable, title.decode("utf-8", "replace")))[:APP_CHARACTERS_MAX].strip()

    # ------------------------------------------------------------ in

    async def body(self) -> bytes:
        """The whole body. Raises RequestTooLarge at the limit, whatever the Content-Length said."""
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limits.BODY_BYTES_MAX:
            raise _too_large()
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.has_left = self._body_read = True
                raise asyncio.CancelledError
            part = message.get("body", b"")
            size += len(part)
            if size > limits.BODY_BYTES_MAX:
                raise _too_large()
            parts.append(part)
            if not message.get("more_body"):
                self._body_read = True
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard_rest(self) -> None:
        """Reads on after a refusal, within bounds: a client that is still sending would otherwise meet a reset, not the answer."""
        size = 0
        try:
            async with asyncio.timeout(limits.DISCARD_SECONDS):
                while not self._body_read and size < limits.DISCARD_BYTES_MAX:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    self._body_read = not message.get("more_body")
        except TimeoutError:
            pass

    async def watch_hang_up(self, relaying: asyncio.Task[Any]) -> None:
        """After the body the only thing that can still come is the disconnect."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.has_answered:
            self.has_left = True
            relaying.cancel()

    # ------------------------------------------------------------ out

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        ours = self.generation_id.encode()
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"x-request-id", ours), (b"x-generation-id", ours), *CORS],
            }
        )

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        self.has_answered = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def fail(self, error: TokenHubError) -> None:
        body = orjson.dumps(self.face.error_body(error, self.generation_id))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
        if not self._body_read:
            headers.append((b"connection", b"close"))
        await self.start(error.status, headers)
        if not self._body_read:
            await self.write(body)
            await self.discard_rest()
            await self.end(b"")
        else:
            await self.end(body)


class Gateway:
    """The ASGI app. ``open`` and ``close`` belong to the server's lifespan."""

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._desk = Desk(settings.DATABASE_URL, name="web")
        self._client = Client()
        self._directory = Directory()
        await self._desk.open()
        await asyncio.to_thread(_in_own_connection, self._directory.load)
        self.relay = Relay(self._desk, self._client)
        self._keep_alives: set[asyncio.Task[None]] = set()
        self._clock = asyncio.create_task(self._tick())

    async def close(self) -> None:
        self._clock.cancel()
        await self.relay.close()
        await self._desk.close()
        await self._client.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(scope, exchange)
        except asyncio.CancelledError:
            if not exchange.has_left:
                raise
        except TokenHubError as error:
            await exchange.fail(error)
        except Exception:
            log.exception("%s failed", exchange.generation_id)
            if not exchange.has_answered:
                await exchange.fail(TokenHubError("Something went wrong on our side. Nothing was charged."))

    async def _serve(self, scope: Scope, exchange: Exchange) -> None:
        if scope["method"] != "POST":
            raise MethodNotAllowed("Use POST.", headers={"allow": "POST, OPTIONS"})
        key_hash = key_hash_of(exchange)
        _check_content(exchange)
        request = exchange.face.read(_json(await exchange.body()))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - an ASGI app runs in a task
        # started in place: it only has to reach its wait, and a turn of the loop for that would be paid by every call
        watch = asyncio.Task(exchange.watch_hang_up(task), loop=self._loop, eager_start=True)
        try:
            call = prepare(
                self._directory, self.relay.health, exchange.id, exchange.started, key_hash, exchange.face, request
            )
            call.app, call.ip = exchange.app(), exchange.ip
            await self.relay.answer(call, key_hash, exchange)
        finally:
            watch.cancel()

    def _keep(self, keep_alive: Coroutine[Any, Any, None]) -> None:
        """By itself: a client that does not read must not stop the clock for all others."""
        task = asyncio.create_task(keep_alive)
        self._keep_alives.add(task)
        task.add_done_callback(self._keep_alives.discard)

    async def _tick(self) -> None:
        """One coarse clock for all calls: no timer per call and none per chunk."""
        checkpointed = refreshed = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            try:
                for keep_alive in self.relay.watch(now, limits.KEEP_ALIVE_SECONDS, settings.UPSTREAM_TIMEOUT_SECONDS):
                    self._keep(keep_alive)
                if now - checkpointed >= limits.CHECKPOINT_SECONDS:
                    checkpointed = now
                    self.relay.checkpoint()
                if now - refreshed >= REFRESH_SECONDS:
                    refreshed = now
                    await asyncio.to_thread(_in_own_connection, self._directory.load)
            except Exception:
                log.exception("the gateway's clock stumbled")


def key_hash_of(exchange: Exchange) -> bytes:
    """The hash of the one key that was sent. Raises InvalidApiKey, without a query, for everything that is no key."""
    bearer, x_api_key = exchange.headers.get(b"authorization"), exchange.headers.get(b"x-api-key")
    if {b"authorization", b"x-api-key"} & exchange.repeated:
        raise InvalidApiKey
    key = x_api_key
    if bearer is not None:
        scheme, _, key = bearer.partition(b" ")
        key = key.strip()
        if scheme.lower() != b"bearer" or (x_api_key is not None and x_api_key != key):
            raise InvalidApiKey
    digest = keys.hash_of(key) if key else None
    if digest is None:
        raise InvalidApiKey
    return digest


def _check_content(exchange: Exchange) -> None:
    if exchange.headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMediaType("Send the body as plain JSON, without Content-Encoding.")
    kind = exchange.headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise UnsupportedMediaType("Send JSON with `Content-Type: application/json`.")


def _json(body: bytes) -> Any:
    try:
        if b"\\u0000" in body:
            raise ValueError("the text holds a NUL character")
        return orjson.loads(body)
    except ValueError as e:  # orjson refuses NaN, lone surrogates and nesting beyond 1,024 by itself
        raise InvalidJson(f"The body is not valid JSON: {e}.") from e


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limits.BODY_BYTES_MAX // 1024 // 1024} MiB.")


def _in_own_connection(load: Callable[[], None]) -> None:
    """Django's connections belong to threads; a pool thread must not keep one that died."""
    from django.db import close_old_connections

    close_old_connections()
    try:
        load()
    finally:
        close_old_connections()
