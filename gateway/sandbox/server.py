"""The stand-in vendor's front door: ``python -m gateway.sandbox.server --host 127.0.0.1 --port N``."""

import argparse
import dataclasses
import logging
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from gateway.sandbox import chat_request, delivery
from gateway.sandbox.anthropic_wire import AnthropicWire
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.exchange import ClientGone, Exchange, Receive, Send
from gateway.sandbox.gemini_wire import GeminiWire
from gateway.sandbox.openai_wire import OpenAiWire
from gateway.sandbox.pace import SLOW_FACTOR, Pace, tokens_per_second_from_environment
from gateway.sandbox.prompt_cache import PromptCache
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.stats import Stats
from gateway.sandbox.wires import Call, Wire

MODELS = ("sandbox", "echo", "slow", "flaky")
#: every third call of `flaky` fails, before output and amid it by turns: the failure's number is odd or even
FLAKY_EVERY = 3
FLAKY_FAILURES: tuple[dict[str, Any], ...] = ({"accident": "cut", "accident_after_chunks": 5}, {"fail_status": 500})
SHUTDOWN_SECONDS = 1


class Sandbox:
    """The ASGI application. It holds counters and cached prefixes, so one process can stand in for every vendor."""

    def __init__(self, tokens_per_second: float) -> None:
        self._tokens_per_second = tokens_per_second
        self._stats = Stats()
        self._cache = PromptCache()
        #: who answers, and with whose errors, below a path
        self._wires: dict[str, Wire] = {
            "/anthropic/": AnthropicWire(self._cache),
            "/google/": GeminiWire(),
            "/": OpenAiWire(),
        }
        self._routes = {
            "/healthz": {"GET": self._health},
            "/stats": {"GET": self._show_stats},
            "/stats/reset": {"POST": self._reset_stats},
            "/v1/models": {"GET": self._models},
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        wire = next(wire for prefix, wire in self._wires.items() if scope["path"].startswith(prefix))
        exchange = Exchange(receive, send, wire.headers)
        try:
            await self._route(scope, wire, exchange)
        except Refusal as refusal:
            body, headers = wire.refusal(refusal, exchange.request_id)
            await exchange.answer_json(refusal.status, body, headers)
        except ClientGone:
            pass
        finally:
            exchange.close()

    async def _route(self, scope: dict[str, Any], wire: Wire, exchange: Exchange) -> None:
        method, path = scope["method"], scope["path"]
        answers_chats = wire.answers(path)
        methods = self._routes.get(path, {})
        if not methods and not answers_chats:
            raise Refusal(404, f"Invalid URL ({method} {path})", code="unknown_url")
        if method in methods:
            await methods[method](exchange)
        elif answers_chats and method == "POST":
            await self._chat(scope, wire, exchange)
        else:
            raise Refusal(405, f"Not allowed to {method} on {path}", code="method_not_allowed")

    async def _health(self, exchange: Exchange) -> None:
        await exchange.answer_json(200, {"ok": True})

    async def _models(self, exchange: Exchange) -> None:
        data = [{"id": model, "object": "model", "created": 0, "owned_by": "sandbox"} for model in MODELS]
        await exchange.answer_json(200, {"object": "list", "data": data})

    async def _show_stats(self, exchange: Exchange) -> None:
        await exchange.answer_json(200, self._stats.as_json())

    async def _reset_stats(self, exchange: Exchange) -> None:
        self._stats.reset()
        self._cache.forget()
        await exchange.answer_json(200, self._stats.as_json())

    async def _chat(self, scope: dict[str, Any], wire: Wire, exchange: Exchange) -> None:
        call = _call(scope, await exchange.body())
        line = self._stats.begin(wire.name, *wire.model_and_stream(call), call.body)
        self._stats.open += 1
        try:
            request = self._in_character(wire.read(call))
            await delivery.deliver(exchange, wire, request, self._pace(request), self._stats, line)
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


def _call(scope: dict[str, Any], body: bytes) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    return Call(scope["path"], query, headers, chat_request.decode(body))


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
