"""The one narrow way out to a vendor: post a body, get a status, headers and bytes.

A lean HTTP/1.1 client on asyncio.Protocol and llhttp (httptools), because this is where most of a call's CPU went: a general
client costs two to three times as much (docs/map.md has the figures). It knows no redirects, cookies, proxies or compression:
a prompt goes to the configured host alone. Anything else with this interface could take its place.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS = 5.0
#: idle connections are closed before vendors close them
IDLE_SECONDS_MAX = 20.0
IDLE_CONNECTIONS_MAX = 256
HEAD_BYTES_MAX = 64 * 1024
#: what may wait here for a slow client; beyond it the vendor's connection is not read
WAITING_BYTES_MAX = 256 * 1024

type Origin = tuple[str, int, bool]  # host, port, TLS


class NotReached(Exception):
    """No connection: nothing was sent."""


class Lost(Exception):
    """The connection broke after the request was sent."""


class AnswerTooLarge(Exception):
    pass


class _Stale(Exception):
    """A pooled connection turned out to be closed already: not one byte of an answer came."""


class _Connection(asyncio.Protocol):
    """One connection, at most one exchange at a time. It feeds the exchange's Response."""

    transport: asyncio.Transport

    def __init__(self, pool: "deque[_Connection]"):
        self._pool = pool
        self._response: Response | None = None
        self.is_open = False
        self.idle_since = 0.0

    def send(self, data: bytes, response: "Response") -> None:
        self._response = response
        self._parser = httptools.HttpResponseParser(self)
        self._status = self._head_bytes = 0
        self._headers: dict[str, str] = {}
        self._heard = self._headed = False
        self.transport.write(data)

    # ------------------------------------------------------------ asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # a vendor that talks unasked is not to be trusted with the next request
            self.transport.abort()
            return
        self._heard = True
        try:
            if not self._headed:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES_MAX + len(data):
                    raise httptools.HttpParserError("the headers never end")
            self._parser.feed_data(data)
        except httptools.HttpParserError as e:
            self._fail(Lost(f"not HTTP: {e}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        response = self._response
        if response is None:
            return
        if not self._heard:
            self._fail(_Stale("closed before a byte of the answer"))
        elif self._headed and not response.is_framed:  # the old way to end a body: by closing
            self._complete()
        else:
            self._fail(Lost("closed in the middle of the answer"))

    # ------------------------------------------------------------ llhttp's callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and its kin: the answer is still to come
            self._headers = {}
            return
        self._headed = True
        if self._response is not None:
            self._response.begin(status, self._headers)

    def on_body(self, data: bytes) -> None:
        if self._response is not None:
            self._response.add(data)

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete()

    # ------------------------------------------------------------ ends

    def _complete(self) -> None:
        response, self._response = self._response, None
        if self.is_open and self._parser.should_keep_alive() and len(self._pool) < IDLE_CONNECTIONS_MAX:
            self.transport.resume_reading()
            self.idle_since = time.monotonic()
            self._pool.append(self)
        elif self.is_open:
            self.transport.close()
        if response is not None:
            response.finish(None)

    def _fail(self, error: Exception) -> None:
        response, self._response = self._response, None
        self.abort()
        if response is not None:
            response.finish(error)

    def abort(self) -> None:
        if self.is_open:
            self.is_open = False
            self.transport.abort()


class Response:
    """An upstream's answer. Reading to the end or ``abort`` must follow."""

    __slots__ = (
        "_connection",
        "_error",
        "_is_over",
        "_parts",
        "_waiter",
        "_waiting_bytes",
        "headers",
        "is_framed",
        "status",
    )

    def __init__(self, connection: _Connection):
        self._connection = connection
        self._parts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._is_over = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_framed = False  # a length or chunks tell where the body ends

    # ------------------------------------------------------------ from the connection

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        self.is_framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "")
        self._wake()

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self._connection.transport.pause_reading()
        self._wake()

    def finish(self, error: Exception | None) -> None:
        self._is_over, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # ------------------------------------------------------------ to the relay

    async def head(self) -> None:
        """Returns once status and headers are here."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self, bytes_max: int) -> bytes:
        """The whole body. Raises Lost if it ends early, AnswerTooLarge beyond ``bytes_max``."""
        parts, size = [], 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > bytes_max:
                self.abort()
                raise AnswerTooLarge
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they arrive. Raises Lost if the body ends before it is complete."""
        while True:
            if self._parts:
                chunk = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts.clear()
                if self._waiting_bytes > WAITING_BYTES_MAX and not self._is_over:
                    self._connection.transport.resume_reading()
                self._waiting_bytes = 0
                yield chunk
            elif self._error is not None:
                raise self._error if isinstance(self._error, Lost) else Lost(str(self._error))
            elif self._is_over:
                return
            else:
                await self._wait()

    def abort(self) -> None:
        """Closes the connection at once: the vendor sees that nobody listens. Harmless after the end."""
        if not self._is_over:
            self._connection.abort()


class Client:
    """Keep-alive pools by origin, the most recently used connection first."""

    def __init__(self) -> None:
        self._pools: dict[Origin, deque[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None
        self._targets: dict[str, tuple[Origin, str]] = {}

    async def post(self, url: str, body: bytes, headers: tuple[tuple[str, str], ...]) -> Response:
        """Raises NotReached or Lost.

        A pooled connection that the vendor had closed already is replaced once: nothing was answered, and whatever the
        vendor may have begun, the customer's call is one hold and one settlement.
        """
        origin, head = self._target(url, headers)
        data = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        connection = self._pooled(origin)
        if connection is not None:
            try:
                return await _exchange(connection, data)
            except _Stale:
                pass
        try:
            return await _exchange(await self._connect(origin), data)
        except _Stale as e:
            raise Lost(str(e)) from e

    def _target(self, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
        known = self._targets.get(url)
        if known is None:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise NotReached(f"not an http address: {url}")
            is_tls = parts.scheme == "https"
            origin = (parts.hostname, parts.port or (443 if is_tls else 80), is_tls)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            head = (
                f"POST {path} HTTP/1.1\r\nhost: {parts.netloc.rpartition('@')[2]}\r\nuser-agent: TokenHub\r\n"
                "accept: application/json, text/event-stream\r\naccept-encoding: identity\r\ncontent-type: application/json\r\n"
            )
            known = self._targets[url] = (origin, head)
        origin, head = known
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        if "\n" in extra.replace("\r\n", "") or "\r" in extra.replace("\r\n", ""):
            raise NotReached("a header holds a line break")
        return origin, f"{head}{extra}content-length: ".encode("latin-1")

    def _pooled(self, origin: Origin) -> _Connection | None:
        pool = self._pools.setdefault(origin, deque())
        oldest = time.monotonic() - IDLE_SECONDS_MAX
        while pool and (pool[0].idle_since < oldest or not pool[0].is_open):
            pool.popleft().abort()
        while pool:
            connection = pool.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        host, port, is_tls = origin
        if is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
        pool = self._pools[origin]
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(pool), host, port, ssl=self._tls if is_tls else None
                )
        except (OSError, TimeoutError) as e:
            raise NotReached(str(e) or "no connection in time") from e
        return connection

    async def close(self) -> None:
        for pool in self._pools.values():
            while pool:
                pool.pop().abort()
        await asyncio.sleep(0)  # lets the transports finish closing


async def _exchange(connection: _Connection, data: bytes) -> Response:
    response = Response(connection)
    connection.send(data, response)
    try:
        await response.head()
    except BaseException:
        response.abort()
        raise
    return response
