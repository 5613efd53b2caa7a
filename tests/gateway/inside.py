"""A gateway inside the test's process, served over real HTTP, with a vendor behind it that speaks when the test lets it.

Its watch, its clock and the vendor's pauses are the test's to move, so nothing has to be waited for.
"""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator

import httpx
import uvicorn

from gateway import limits
from gateway.app import Gateway
from gateway.call import Call

VENDOR_TIMEOUT_SECONDS = 120.0
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class HesitantVendor:
    """Says what the sandbox says: status and opening events at once, the rest when it ``may_speak``.

    ``opening_events`` is None for a vendor that keeps even its status back.
    """

    def __init__(self, sandbox_url: str, opening_events: int | None):
        self._sandbox_url = sandbox_url
        self._opening_events = opening_events
        self.was_asked = asyncio.Event()
        self.may_speak = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            try:
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            finally:
                self.may_speak.set()  # to nobody: a server closes once its answers have ended

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            assert length is not None
            request_body = await reader.readexactly(int(length[1]))
            self.was_asked.set()
            status, said, is_whole = await self._asked(path, request_body)
            if self._opening_events is None:
                await self.may_speak.wait()
            ends = [blank.end() for blank in _BLANK_LINE.finditer(said)][: self._opening_events or 0]
            opening, rest = said[: max(ends, default=0)], said[max(ends, default=0) :]
            writer.write(b"HTTP/1.1 %d \r\ncontent-type: text/event-stream\r\n" % status)
            writer.write(b"transfer-encoding: chunked\r\n\r\n" + _chunk(opening))
            await self.may_speak.wait()
            writer.write(_chunk(rest) + (b"0\r\n\r\n" if is_whole else b""))
            await writer.drain()

    async def _asked(self, path: str, body: bytes) -> tuple[int, bytes, bool]:
        """The sandbox's status, what it says, and whether it came to its end."""
        said = b""
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        async with (
            httpx.AsyncClient(base_url=self._sandbox_url) as http,
            http.stream("POST", path, content=body, headers=headers) as answer,
        ):
            try:
                async for part in answer.aiter_raw():
                    said += part
            except httpx.RemoteProtocolError:
                return answer.status_code, said, False
        return answer.status_code, said, True


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Gateway, str]]:
    """The gateway and its address; the vendor is where the settings' ``SANDBOX_URL`` says."""
    gateway = Gateway()
    await gateway.open()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(gateway, lifespan="off", log_config=None))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield gateway, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            await gateway.close()


async def answering_call(gateway: Gateway) -> Call:
    """The one open call, once its vendor has begun to answer."""
    async with asyncio.timeout(20):
        while True:  # what a socket brings has no event to await
            for call in gateway.relay.open_calls:
                if call.response is not None:
                    return call
            await asyncio.sleep(0.005)


async def let_pass(gateway: Gateway, seconds: float) -> None:
    """What the gateway's watch does after that many seconds of silence."""
    for comment in gateway.relay.watch(time.monotonic() + seconds, limits.KEEP_ALIVE_SECONDS, VENDOR_TIMEOUT_SECONDS):
        await comment


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
