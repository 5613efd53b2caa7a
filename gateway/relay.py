"""The story of a call: route → quote → admit → open upstream → pass on what it says → settle.

A call is a small payment. What it may cost at most is held before the vendor is asked; what it did cost is captured, durably,
before the last byte leaves. Whatever goes wrong in between ends in exactly one settlement (docs/billing-policy.md).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable

import msgspec
from django.conf import settings

from billing import pricing
from billing.group_commit import Refused, Unavailable
from billing.meters import Usage
from gateway.admission import (
    CLOSED_BEFORE,
    ESTIMATED,
    SANDBOX,
    STREAMED,
    Admission,
    Checkpoint,
    Code,
    Desk,
    Request,
    Settlement,
)
from gateway.call import STREAM_HEADERS, Call, prepare, stream_for
from gateway.errors import (
    AccountFrozen,
    BillingUnavailable,
    InsufficientCredits,
    InvalidApiKey,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.faces import Face
from gateway.limits import ANSWER_BYTES_MAX, DRAIN_SECONDS
from gateway.models import Outcome
from gateway.parameters import ChatRequest
from gateway.plain import PlainAnswer
from gateway.routing import Directory
from gateway.stream import AnswerStream, Sink
from gateway.upstreams.client import AnswerTooLarge, Client, Lost, NotReached, Response
from tokenhub.errors import TokenHubError
from tokenhub.money import usd_string

log = logging.getLogger("tokenhub.relay")


class Relay:
    """What calls share: the ledger's desk, the way out, the catalogue, and the set of open calls."""

    def __init__(self, desk: Desk, client: Client, directory: Directory):
        self._desk = desk
        self._client = client
        self._directory = directory
        self.open_calls: set[Call] = set()
        self._drains: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ the story

    async def answer(
        self, call_id: bytes, started: float, key_hash: bytes, face: Face, request: ChatRequest, sink: Sink
    ) -> None:
        call = prepare(self._directory, call_id, started, key_hash, face, request)
        await self._admit(call, key_hash)
        call.task = asyncio.current_task()
        self.open_calls.add(call)
        try:
            await self._answer(call, sink)
        except asyncio.CancelledError:
            await self._stopped(call, sink)
        except BaseException:
            # a fault of ours: nobody pays for it, and the hold must not linger
            self._settle_once(call, Usage(), 500, Outcome.UPSTREAM_LOST)
            raise
        finally:
            self.open_calls.discard(call)
            if call.response is not None and call.is_settled:  # else it is being drained
                call.response.abort()

    async def _answer(self, call: Call, sink: Sink) -> None:
        response = await self._open(call)
        if call.request.stream:
            await self._pass_stream(call, response, sink)
        else:
            await self._pass_plain(call, response, sink)

    async def _admit(self, call: Call, key_hash: bytes) -> None:
        least, most = call.output_bounds()
        choices, quote = call.request.choices, call.quote
        request = Request(
            call=call.id,
            key_hash=key_hash,
            base_nanos=quote.nanos(0),
            least_nanos=max(quote.nanos(least * choices), 1),
            most_nanos=max(quote.nanos(most * choices), 1),
            model_id=call.target.model_id,
            price_id=call.price_id,
        )
        try:
            admission = await self._desk.admit(request)
            if (
                admission.code == Code.BOOT_ENDED
            ):  # this process was taken for dead; it has a new boot by the next heartbeat
                await self._desk.renew_boot()
                admission = await self._desk.admit(request)
        except Unavailable as e:
            raise BillingUnavailable("Balances cannot be read right now. Nothing was charged; try again.") from e
        except Refused as e:
            log.error("admission of %s refused by the database: %s", call.generation_id, e)
            raise BillingUnavailable("This call could not be admitted. Nothing was charged; try again.") from e
        if not admission.is_held:
            raise _not_admitted(admission, request, call)
        call.admission = admission
        affordable = quote.affordable_output_tokens(admission.amount_nanos or 0) // choices
        call.output_tokens_max = min(max(affordable, least), most)

    # ------------------------------------------------------------ the upstream

    async def _open(self, call: Call) -> Response:
        """The upstream's 200, or the error of ours that its answer amounts to. Errors before output are free."""
        upstream = call.target.upstream
        url = call.adapter.url(upstream, call.target.upstream_model, call.request.stream)
        body = call.body()
        call.opened = call.heard = time.monotonic()
        try:
            response = call.response = await self._client.post(url, body, upstream.headers)
            if response.status == 200:
                return response
            answer = await response.read(ANSWER_BYTES_MAX)
        except NotReached as e:
            log.warning("upstream %s not reached: %s", upstream.name, e)
            error: TokenHubError = NoUpstreamAvailable("The model's vendor cannot be reached right now.")
        except (Lost, AnswerTooLarge) as e:
            log.warning("upstream %s lost before its answer: %r", upstream.name, e)
            error = UpstreamError("The model's vendor broke off. Nothing was charged; try again.")
        else:
            log.warning("upstream %s answered %d to %s", upstream.name, response.status, call.generation_id)
            error = call.adapter.error_of(upstream, response.status, response.headers, answer)
        raise await self._free(call, error, Outcome.UPSTREAM_REFUSED)

    async def _pass_plain(self, call: Call, response: Response, sink: Sink) -> None:
        try:
            plain = PlainAnswer(call.face, call.adapter, call.request, await response.read(ANSWER_BYTES_MAX))
        except Lost as e:
            log.warning("upstream %s lost in a plain answer: %s", call.target.upstream.name, e)
            error = UpstreamError("The model's vendor broke off. Nothing was charged; try again.")
            raise await self._free(call, error, Outcome.UPSTREAM_LOST) from e
        except (AnswerTooLarge, msgspec.DecodeError, ValueError) as e:
            log.warning("upstream %s sent no answer: %s", call.target.upstream.name, e)
            error = UpstreamError("The model's vendor sent an unreadable answer. Nothing was charged.")
            raise await self._free(call, error, Outcome.UPSTREAM_LOST) from e
        call.first_byte = time.monotonic()
        usage = plain.usage if plain.usage is not None else call.counted(plain.text())
        cost = await self._settle(call, usage, 200, Outcome.COMPLETED, estimated=plain.usage is None)
        body = plain.body(call.generation_id, call.target.slug, usage, cost)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *call.headers()]
        await sink.start(200, headers)
        await sink.end(body)

    async def _pass_stream(self, call: Call, response: Response, sink: Sink) -> None:
        """Events pass through as they come. The last ones wait for the capture."""
        stream = call.stream = stream_for(call, sink)
        try:
            async for chunk in response.chunks():
                call.heard = time.monotonic()
                await self._pass_on(call, stream, stream.feed(chunk))
                if stream.is_over:
                    break
            await self._pass_on(call, stream, stream.feed_rest())
        except Lost as e:
            log.warning("upstream %s lost mid-stream: %s", call.target.upstream.name, e)
        if not stream.is_complete:
            error = stream.error or UpstreamError("The model's vendor broke off.")
            return await self._break_off(call, error, Outcome.UPSTREAM_LOST)
        usage = stream.usage if stream.usage is not None else call.counted(stream.text())
        cost = await self._settle(call, usage, 200, Outcome.COMPLETED, estimated=stream.usage is None)
        await stream.finish(usage, cost)
        return None

    async def _pass_on(self, call: Call, stream: AnswerStream, data: bytes) -> None:
        if not data:
            return
        if not call.first_byte:
            call.first_byte = call.heard
            stream.headers = [*STREAM_HEADERS, *call.headers()]
        await stream.send(data)

    # ------------------------------------------------------------ other endings

    async def _stopped(self, call: Call, sink: Sink) -> None:
        """The task was cancelled: the client hung up, the upstream fell silent, or this process is stopping."""
        task = asyncio.current_task()
        if sink.has_left:
            if task is not None:
                task.uncancel()
            await self._hung_up(call)
        elif call.timed_out:
            if task is not None:
                task.uncancel()
            await self._break_off(call, UpstreamTimeout("The model's vendor fell silent."), Outcome.UPSTREAM_TIMEOUT)
        else:
            if call.stream is not None and call.stream.has_started:
                await self._break_off(call, UpstreamError("The gateway is restarting."), Outcome.UPSTREAM_LOST)
            else:
                self._settle_once(call, Usage(), 503, Outcome.UPSTREAM_LOST)
            raise asyncio.CancelledError

    async def _hung_up(self, call: Call) -> None:
        """Charged for what was received. A vendor that bills on is read on, for its count, after the client has gone."""
        if call.is_settled:
            return
        if call.target.upstream.bills_after_hang_up and call.stream is not None and call.response is not None:
            drain = asyncio.create_task(self._drain(call, call.stream, call.response))
            self._drains.add(drain)
            drain.add_done_callback(self._drains.discard)
            return
        if call.response is not None:
            call.response.abort()
        usage, estimated = call.received(call.stream)
        self._settle_once(call, usage, 499, Outcome.CLIENT_CLOSED, estimated=estimated)

    async def _drain(self, call: Call, stream: AnswerStream, response: Response) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for chunk in response.chunks():
                    stream.feed(chunk)
                    if stream.is_over:
                        break
        except (TimeoutError, Lost):
            pass
        finally:
            response.abort()
            usage, estimated = call.received(stream)
            self._settle_once(call, usage, 499, Outcome.CLIENT_CLOSED, estimated=estimated)

    async def _break_off(self, call: Call, error: TokenHubError, outcome: Outcome) -> None:
        """Before output: an error, free. After it: what was passed on is charged, and the stream ends in an error event."""
        stream = call.stream
        if stream is None or not stream.text():
            error = await self._free(call, error, outcome)
            if stream is not None and stream.has_started:
                return await stream.fail(error)
            raise error
        usage, estimated = call.received(stream)
        await self._settle(call, usage, error.status, outcome, estimated=estimated)
        return await stream.fail(error)

    # ------------------------------------------------------------ settling

    async def _free(self, call: Call, error: TokenHubError, outcome: Outcome) -> TokenHubError:
        """Releases the hold; the error is then the client's to raise."""
        await self._settle(call, Usage(), error.status, outcome)
        return error

    async def _settle(self, call: Call, usage: Usage, status: int, outcome: Outcome, *, estimated: bool = False) -> int:
        """Commits what the call cost, and returns the nano-USD that were charged."""
        cost = min(pricing.cost(call.target.price, usage), call.held_nanos)
        future = self._settle_once(call, usage, status, outcome, estimated=estimated)
        if future is None:
            return cost
        try:
            code = await future
        except (Unavailable, Refused) as e:
            log.error("%s is not settled: %s", call.generation_id, e)
            raise BillingUnavailable(
                "The answer could not be accounted for, so it cannot be given.", headers={"x-should-retry": "false"}
            ) from e
        if code == CLOSED_BEFORE:
            log.error("%s was settled before: this process had been taken for dead", call.generation_id)
        return cost

    def _settle_once(
        self, call: Call, usage: Usage, status: int, outcome: Outcome, *, estimated: bool = False
    ) -> "asyncio.Future[int] | None":
        """Queues the settlement; it is committed whether or not anybody waits for it."""
        if call.is_settled or call.admission is None or call.admission.wallet_id is None:
            return None
        call.is_settled = True
        now = time.monotonic()
        cost = pricing.cost(call.target.price, usage)
        if cost > call.held_nanos:
            log.error(
                "%s cost more than was held: %d > %d nanos, model %s",
                call.generation_id,
                cost,
                call.held_nanos,
                call.target.slug,
            )
        flags = (
            STREAMED * call.request.stream
            + SANDBOX * call.target.upstream.is_sandbox
            + ESTIMATED * (estimated and cost > 0)
        )
        return self._desk.settle(
            Settlement(
                call=call.id,
                wallet_id=call.admission.wallet_id,
                cost_nanos=cost,
                status=status,
                outcome=outcome,
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                duration_ms=int((now - call.started) * 1000),
                first_byte_ms=int((call.first_byte - call.started) * 1000) if call.first_byte else -1,
                flags=flags,
                detail=call.detail(),
            )
        )

    # ------------------------------------------------------------ the watch (called once a second by the edge)

    def watch(self, now: float, keep_alive_seconds: float, timeout_seconds: float) -> list[Awaitable[None]]:
        """Ends calls whose upstream fell silent; returns the keep-alive comments that are due."""
        due: list[Awaitable[None]] = []
        for call in list(self.open_calls):
            if call.is_settled:
                continue
            if now - call.heard > timeout_seconds and not call.timed_out:
                call.timed_out = True
                if call.task is not None:
                    call.task.cancel()
            elif call.stream is not None and now - call.stream.wrote > keep_alive_seconds:
                due.append(call.stream.keep_alive())
        return due

    def checkpoint(self) -> None:
        """Tells the ledger what open streams have cost so far: the most that ``kill -9`` of this process can lose is one interval."""
        for call in self.open_calls:
            if call.stream is None or call.is_settled:
                continue
            output_tokens = call.stream.tokens_so_far()
            if not output_tokens:
                continue
            usage = Usage(input_tokens=call.input_tokens(), output_tokens=output_tokens)
            cost = min(pricing.cost(call.target.price, usage), call.held_nanos)
            if cost > call.checkpointed_nanos:
                call.checkpointed_nanos = cost
                self._desk.checkpoint(Checkpoint(call.id, cost, usage.input_tokens, usage.output_tokens))

    async def close(self) -> None:
        if self._drains:
            await asyncio.wait(self._drains)


def _not_admitted(admission: Admission, request: Request, call: Call) -> TokenHubError:
    free, held = admission.free_nanos or 0, admission.held_nanos or 0
    match admission.code:
        case Code.UNKNOWN_KEY | Code.REVOKED | Code.EXPIRED:
            return InvalidApiKey()
        case Code.FROZEN:
            return AccountFrozen("This account is frozen because of a disputed payment. Contact support.")
        case Code.RATE_LIMITED:
            return RateLimitExceeded("This key's request rate is used up.")
        case Code.KEY_LIMIT | Code.INSUFFICIENT_CREDITS:
            source = "key" if admission.code == Code.KEY_LIMIT else "balance"
            affordable = max(call.quote.affordable_output_tokens(free) // call.request.choices, 0)
            what = "This key's spending limit leaves" if source == "key" else "The balance has"
            return InsufficientCredits(
                f"{what} ${usd_string(free)} available; this call may cost up to ${usd_string(request.least_nanos)}."
                " Lower `max_tokens`, wait for running calls, or top up.",
                available=usd_string(free),
                required=usd_string(request.least_nanos),
                held=usd_string(held),
                limit_source=source,
                affordable_max_tokens=affordable,
                top_up_url=f"{settings.PUBLIC_URL}/billing",
            )
    return BillingUnavailable("This call could not be admitted. Nothing was charged; try again.")
