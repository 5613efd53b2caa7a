"""The stand-in vendor's front door: ``python -m gateway.sandbox.server --host 127.0.0.1 --port N``."""

import argparse
import dataclasses
import logging
from typing import Any

import uvicorn

from gateway.sandbox import chat_request, delivery
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.exchange import ClientGone, Exchange, Receive, Send
from gateway.sandbox.pace import SLOW_FACTOR, Pace, tokens_per_second_from_environment
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.stats import Stats

MODELS = ("sandbox", "echo", "slow", "flaky")
#: every third call of `flaky` fails, before output and amid it by turns: the failure's number is odd or even
FLAKY_EVERY = 3
FLAKY_FAILURES: tuple[dict[str, Any], ...] = ({"accident": "cut", "accident_after_chunks": 5}, {"fail_status": 500})
SHUTDOWN_SECONDS = 1


class Sandbox:
    """The ASGI application. It holds counters and nothing else, so one process can stand in for every vendor."""

    def __init__(self, tokens_per_second: float) -> None:
        self._tokens_per_second = tokens_per_second
        self._stats = Stats()
        self._routes = {
            "/healthz": {"GET": self._health},
            "/stats": {"GET": self._show_stats},
            "/stats/reset": {"POST": self._reset_stats},
            "/v1/models": {"GET": self._models},
            "/v1/chat/completions": {"POST": self._chat},
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(receive, send)
        try:
            await self._route(scope["method"], scope["path"], exchange)
        except Refusal as refusal:
            await exchange.answer_json(refusal.status, refusal.body(), refusal.headers)
        except ClientGone:
            pass
        finally:
            exchange.close()

    async def _route(self, method: str, path: str, exchange: Exchange) -> None:
        methods = self._routes.get(path)
        if methods is None:
            raise Refusal(404, f"Invalid URL ({method} {path})", code="unknown_url")
        if method not in methods:
            raise Refusal(405, f"Not allowed to {method} on {path}", code="method_not_allowed")
        await methods[method](exchange)

    async def _health(self, exchange: Exchange) -> None:
        await exchange.answer_json(200, {"ok": True})

    async def _models(self, exchange: Exchange) -> None:
        data = [{"id": model, "object": "model", "created": 0, "owned_by": "sandbox"} for model in MODELS]
        await exchange.answer_json(200, {"object": "list", "data": data})

    async def _show_stats(self, exchange: Exchange) -> None:
        await exchange.answer_json(200, self._stats.as_json())

    async def _reset_stats(self, exchange: Exchange) -> None:
        self._stats.reset()
        await exchange.answer_json(200, self._stats.as_json())

    async def _chat(self, exchange: Exchange) -> None:
        body = chat_request.decode(await exchange.body())
        line = self._stats.begin(body)
        self._stats.open += 1
        try:
            request = self._in_character(chat_request.read(body))
            await delivery.deliver(exchange, request, self._pace(request), self._stats, line)
        except Refusal as refusal:
            line["status"] = refusal.status
            raise
        except ClientGone:
            line["aborted"] = True
            self._stats.aborted += 1
            raise
        finally:
            self._stats.open -= 1

    def _in_character(self, request: ChatRequest) -> ChatRequest:
        """`flaky` behaves as if every third call carried a directive."""
        if request.persona != "flaky":
            return request
        self._stats.flaky_calls += 1
        failures, others = divmod(self._stats.flaky_calls, FLAKY_EVERY)
        if others:
            return request
        accident = FLAKY_FAILURES[failures % 2]
        return dataclasses.replace(request, directives=dataclasses.replace(request.directives, **accident))

    def _pace(self, request: ChatRequest) -> Pace:
        wished = request.directives.tokens_per_second
        if wished is not None:
            return Pace(wished)
        return Pace(self._tokens_per_second / SLOW_FACTOR if request.persona == "slow" else self._tokens_per_second)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.sandbox.server", description="The sandbox: a stand-in vendor."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    application = Sandbox(tokens_per_second_from_environment())
    # a cut connection is an answer that ends too early, on purpose: nothing to report
    logging.getLogger("uvicorn.error").addFilter(lambda entry: "without completing response" not in entry.getMessage())
    uvicorn.run(
        application,
        host=options.host,
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
