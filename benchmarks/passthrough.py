"""The baseline: the least that uvicorn and aiohttp can do for a call. No key, no price, no ledger."""

import os
import sys

import aiohttp
import uvicorn

UPSTREAM = os.environ.get("UPSTREAM", "")
_session: list[aiohttp.ClientSession] = []


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] == "lifespan":
        await receive()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        _session.append(
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _session[0].close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    headers = {"content-type": "application/json", "authorization": "Bearer upstream"}
    async with _session[0].post(UPSTREAM, data=b"".join(parts), headers=headers) as response:
        body = await response.read()
        head = [(b"content-type", response.headers["content-type"].encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": response.status, "headers": head})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
    )
