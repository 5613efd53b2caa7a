"""The lean HTTP client against servers that behave badly on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.upstreams.client import AnswerTooLarge, Client, Lost, NotReached, Response
from tests.servers import free_port

type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: a\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


class Vendor:
    """A raw TCP server: ``serve`` is called for each connection."""

    def __init__(self, serve: Handler):
        self.serve = serve
        self.connections = 0
        self.requests: list[bytes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await self.serve(reader, writer)
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x?y=1"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def answering(*answers: bytes, close: bool = False) -> Vendor:
    """Answers each request of a connection with the next of ``answers``, in pieces of one byte."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            vendor.requests.append(await read_request(reader))
            for i in range(len(answer)):
                writer.write(answer[i : i + 1])
                await writer.drain()
        if not close:
            await reader.read()

    vendor = Vendor(serve)
    return vendor


@asynccontextmanager
async def calling() -> AsyncIterator[Client]:
    client = Client()
    try:
        yield client
    finally:
        await client.close()


async def body_of(response: Response) -> bytes:
    return await response.read(1 << 20)


@pytest.mark.parametrize(
    "answer", [PLAIN, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN], ids=["length", "chunked", "continue"]
)
async def test_answers_are_read_however_they_are_cut(answer: bytes) -> None:
    vendor = answering(answer, answer)
    async with vendor.running() as url, calling() as client:
        for _ in range(2):
            response = await client.post(url, b'{"a":1}', (("authorization", "Bearer k"),))
            assert (response.status, await body_of(response)) == (200, b"hello")
    assert vendor.connections == 1  # kept alive
    request = vendor.requests[0]
    assert request.startswith(b"POST /v1/x?y=1 HTTP/1.1\r\n") and request.endswith(b'\r\n\r\n{"a":1}')
    assert b"\r\nauthorization: Bearer k\r\n" in request and b"\r\naccept-encoding: identity\r\n" in request


async def test_a_body_that_ends_by_closing_is_complete() -> None:
    vendor = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", close=True)
    async with vendor.running() as url, calling() as client:
        assert await body_of(await client.post(url, b"{}", ())) == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["short", "chunks", "head", "words", "bad chunk"],
)
async def test_what_ends_early_is_lost(answer: bytes) -> None:
    vendor = answering(answer, close=True)
    async with vendor.running() as url, calling() as client:
        with pytest.raises(Lost):
            await body_of(await client.post(url, b"{}", ()))


async def test_a_connection_that_the_vendor_closed_meanwhile_is_replaced() -> None:
    vendor = answering(PLAIN, close=True)
    async with vendor.running() as url, calling() as client:
        for _ in range(3):
            assert await body_of(await client.post(url, b"{}", ())) == b"hello"
    assert vendor.connections == 3


async def test_a_vendor_that_never_answers_a_fresh_connection_is_lost_not_asked_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    vendor = Vendor(serve)
    async with vendor.running() as url, calling() as client:
        with pytest.raises(Lost):
            await client.post(url, b"{}", ())
    assert vendor.connections == 1


async def test_nobody_there() -> None:
    async with calling() as client:
        with pytest.raises(NotReached):
            await client.post(f"http://127.0.0.1:{free_port()}/", b"{}", ())
        with pytest.raises(NotReached):
            await client.post("ftp://127.0.0.1/", b"{}", ())
        with pytest.raises(NotReached):
            await client.post("http://127.0.0.1:1/", b"{}", (("x", "a\r\nb: c"),))


async def test_an_answer_beyond_the_bound_is_cut() -> None:
    vendor = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
    async with vendor.running() as url, calling() as client:
        response = await client.post(url, b"{}", ())
        with pytest.raises(AnswerTooLarge):
            await response.read(10)


async def test_a_slow_reader_holds_the_vendor_back() -> None:
    """Backpressure: what nobody reads stays with the vendor, not in our memory."""
    sent = 0
    blocked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        block = b"x" * 65_536
        while sent < 100_000_000:
            writer.write(block)
            sent += len(block)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                blocked.set()
                return

    vendor = Vendor(serve)
    async with vendor.running() as url, calling() as client:
        response = await client.post(url, b"{}", ())
        await asyncio.wait_for(blocked.wait(), 20)
        assert sent < 50_000_000
        response.abort()


async def test_the_vendor_sees_an_abort_at_once() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        try:
            await reader.read()
        finally:
            gone.set()

    vendor = Vendor(serve)
    async with vendor.running() as url, calling() as client:
        response = await client.post(url, b"{}", ())
        async for _ in response.chunks():
            response.abort()
            break
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_cancelled_post_closes_its_connection() -> None:
    gone = asyncio.Event()
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        try:
            await reader.read()
        finally:
            gone.set()

    vendor = Vendor(serve)
    async with vendor.running() as url, calling() as client:
        call = asyncio.create_task(client.post(url, b"{}", ()))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(gone.wait(), 5)
