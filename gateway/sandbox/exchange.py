"""One HTTP request and its answer over ASGI, aware of a client that hangs up."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import orjson

from gateway.sandbox.refusals import Refusal

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_BYTES_MOST = 32 * 1024 * 1024


class ClientGone(Exception):
    """The client hung up before the answer was complete."""


class Exchange:
    """Reads the body once, then watches the connection while the answer is written."""

    def __init__(self, receive: Receive, send: Send, headers: Callable[[str, int], dict[str, str]]) -> None:
        """``headers`` gives those of every answer, from the request's id and the milliseconds since it came."""
        self.request_id = f"req_{uuid.uuid4().hex}"
        self._receive = receive
        self._send = send
        self._headers = headers
        self._watch: asyncio.Task[None] | None = None
        self._begun = time.monotonic()

    async def body(self) -> bytes:
        received = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            received += message.get("body", b"")
            more = message.get("more_body", False)
            if len(received) > BODY_BYTES_MOST:
                raise Refusal(413, "The request is larger than the sandbox accepts.")
        self._watch = asyncio.create_task(self._disconnect())
        return bytes(received)

    async def pause(self, seconds: float) -> None:
        """Waits, and lets the loop notice a hang-up even where there is nothing to wait for. Raises ClientGone."""
        if seconds > 0 and self._watch is not None:
            await asyncio.wait({self._watch}, timeout=seconds)
        else:
            await asyncio.sleep(0)
        if self._watch is not None and self._watch.done():
            raise ClientGone

    async def hang(self) -> NoReturn:
        """Says nothing more for as long as the client stays."""
        while True:
            await self.pause(3_600)

    async def start(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        elapsed_ms = int((time.monotonic() - self._begun) * 1000)
        sent = {"content-type": content_type, **self._headers(self.request_id, elapsed_ms), **headers}
        lines = [(name.encode(), value.encode()) for name, value in sent.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        await self.start(status, content_type, {"content-length": str(len(body)), **(headers or {})})
        await self.end(body)

    async def answer_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        await self.answer(status, "application/json", orjson.dumps(body), headers)

    def close(self) -> None:
        """Ends the watch; to be called once, when the application is done with the request."""
        if self._watch is not None:
            self._watch.cancel()

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
