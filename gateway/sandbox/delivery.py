"""Sending a reply: plain or streamed, at its pace, with the accidents that directives ask for."""

import asyncio
from typing import Any

import orjson

from gateway.sandbox import replies
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.exchange import Exchange
from gateway.sandbox.pace import Pace
from gateway.sandbox.refusals import KEY_REFUSALS, Refusal
from gateway.sandbox.replies import Choice, Output, Piece
from gateway.sandbox.stats import Stats
from gateway.sandbox.wires import Envelope, Wire

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
HTML_PAGE = b"<!doctype html><title>Bad gateway</title><h1>This is a page, not a completion</h1>\n"
ERROR_AMID = "The server had an error while processing your request."


async def deliver(
    exchange: Exchange, wire: Wire, request: ChatRequest, pace: Pace, stats: Stats, line: dict[str, Any]
) -> None:
    """Answers ``request`` and keeps its ``line`` in the log. Raises Refusal before output, ClientGone at a hang-up.

    Returning before the answer's end cuts the connection: that is how the server treats an unfinished response.
    """
    wishes = request.directives
    line["prompt_tokens"] = request.prompt_tokens
    await exchange.pause(wishes.delay_seconds or 0)
    _refuse_if_asked(request)
    if wishes.hang or (wishes.accident == "hang" and not request.stream):
        await exchange.hang()
    if wishes.html:
        line["status"] = 200
        await exchange.answer(200, "text/html; charset=utf-8", HTML_PAGE)
        return
    choices = replies.choices_for(request)
    await exchange.pause(pace.first_token_seconds if wishes.delay_seconds is None else 0)
    delivery = Delivery(exchange, wire.envelope(request), request, choices, pace, stats, line)
    await (delivery.stream() if request.stream else delivery.plain())


class Delivery:
    """One reply on its way."""

    def __init__(
        self,
        exchange: Exchange,
        envelope: Envelope,
        request: ChatRequest,
        choices: list[Choice],
        pace: Pace,
        stats: Stats,
        line: dict[str, Any],
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._choices = choices
        self._pieces = replies.pieces_of(choices)
        self._envelope = envelope
        self._pace = pace
        self._stats = stats
        self._line = line

    async def plain(self) -> None:
        wishes = self._request.directives
        output = replies.measure(self._pieces)
        await self._exchange.pause(self._pace.token_seconds * output.tokens)
        if wishes.accident == "error":
            raise Refusal(500, ERROR_AMID)
        completion = self._envelope.completion(self._choices, output)
        body = orjson.dumps(completion)
        if wishes.big_line_bytes is not None:
            completion["obfuscation"] = ""
            completion["obfuscation"] = "x" * max(0, wishes.big_line_bytes - len(orjson.dumps(completion)))
            body = orjson.dumps(completion)
        self._line["status"] = 200
        if wishes.accident == "cut":
            await self._exchange.start(200, "application/json", {"content-length": str(len(body))})
            await self._exchange.write(body[: len(body) // 2])
            return
        self._line["completion_tokens"] = output.tokens
        await self._exchange.answer(200, "application/json", body)

    async def stream(self) -> None:
        self._line["status"] = 200
        await self._exchange.start(200, "text/event-stream; charset=utf-8", STREAM_HEADERS)
        await self._exchange.write(self._envelope.opening(self._choices))
        if self._request.directives.big_line_bytes is not None:
            await self._exchange.write(self._envelope.big_line(self._request.directives.big_line_bytes))
        sent: list[Piece] = []
        try:
            await self._send_pieces(sent)
        finally:
            output = replies.measure(sent)
            self._line["completion_tokens"] = output.tokens
        await self._end(output)

    async def _send_pieces(self, sent: list[Piece]) -> None:
        """Sends up to the chunk where an accident is due. ``sent`` tells, also afterwards, how far it came."""
        wishes = self._request.directives
        most = wishes.accident_after_chunks if wishes.accident else None
        clock = asyncio.get_running_loop()
        due = clock.time()
        for piece in self._pieces[:most]:
            await self._exchange.pause(due - clock.time())
            await self._exchange.write(self._envelope.piece(piece))
            sent.append(piece)
            self._line["chunks_sent"] += 1
            self._stats.chunks += 1
            due += self._pace.token_seconds

    async def _end(self, output: Output) -> None:
        wishes = self._request.directives
        if wishes.accident == "cut":
            return
        if wishes.accident == "hang":
            await self._exchange.hang()
        if wishes.accident == "error":
            await self._exchange.end(self._envelope.error(Refusal(500, ERROR_AMID)))
            return
        await self._exchange.end(self._envelope.closing(self._choices, output))


def _refuse_if_asked(request: ChatRequest) -> None:
    wishes = request.directives
    if wishes.key_refused_status is not None:
        raise Refusal(wishes.key_refused_status, KEY_REFUSALS[wishes.key_refused_status])
    if wishes.fail_status is not None:
        message = f"The sandbox was asked to fail with {wishes.fail_status}."
        raise Refusal(wishes.fail_status, message, retry_after_seconds=wishes.retry_after_seconds)
