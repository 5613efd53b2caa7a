"""The story of a call: routes → quote → admit → one pass over the routes until one answers → pass on what it says → settle.

A call is a small payment. What it may cost at most is held before the vendor is asked; what it did cost is captured, durably,
before the last byte leaves. Whatever goes wrong in between ends in exactly one settlement (docs/billing-policy.md).
"""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from typing import Any, NoReturn

import msgspec

from billing import pricing
from billing.group_commit import Refused, Unavailable
from billing.meters import Usage
from gateway.admission import (
    CLOSED_BEFORE,
    ENDPOINT,
    ESTIMATED,
    SANDBOX,
    STREAMED,
    Checkpoint,
    Code,
    Desk,
    Settlement,
)
from gateway.attempts import AttemptFailed
from gateway.call import STREAM_HEADERS, Call, stream_for
from gateway.denials import denial_of
from gateway.errors import (
    BillingUnavailable,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.limits import ANSWER_BYTES_MAX, DRAIN_SECONDS
from gateway.models import Outcome
from gateway.plain import PlainAnswer
from gateway.route_health import Health
from gateway.routing import health_of
from gateway.stream import AnswerStream, Sink
from gateway.upstreams.client import AnswerTooLarge, Client, Lost, NotReached, Response
from gateway.upstreams.openai import Failed
from tokenhub.errors import TokenHubError

log = logging.getLogger("tokenhub.relay")

#: a vendor that asks for more patience than this is left to the client's own retry
RETRY_SECONDS_MAX = 2
JITTER_SECONDS = 0.25

#: wherever something was charged: SDKs would repeat a 5xx by themselves
NO_RETRY = {"x-should-retry": "false"}


class Relay:
    """What calls share: the ledger's desk, the way out, the catalogue, and the set of open calls."""

    def __init__(self, desk: Desk, client: Client):
        self._desk = desk
        self._client = client
        self.health = Health()
        self.open_calls: set[Call] = set()
        self._drains: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ the story

    async def answer(self, call: Call, key_hash: bytes, sink: Sink) -> None:
        await self._admit(call, key_hash)
        call.task = asyncio.current_task()
        self.open_calls.add(call)
        try:
            await self._to_the_end(call, sink)
        except TokenHubError as error:
            # once a stream has begun there is no status to send: the error is its last event
            if call.stream is None or not call.stream.has_started:
                raise
            await call.stream.fail(error)
        finally:
            self.open_calls.discard(call)
            if call.response is not None and call.is_settled:  # else it is being drained
                call.response.abort()

    async def _to_the_end(self, call: Call, sink: Sink) -> None:
        """However it ends, it ends settled."""
        try:
            await self._answer(call, sink)
        except asyncio.CancelledError:
            await self._stopped(call, sink)
        except TokenHubError:
            raise
        except Exception as e:
            log.exception("%s failed", call.generation_id)
            if call.is_settled:  # the answer was paid for, and a retry would pay again
                raise TokenHubError("Something went wrong on our side.", headers=NO_RETRY) from e
            # a fault of ours: nobody pays for it, and the hold must not linger
            self._settle_once(call, Usage(), 500, Outcome.UPSTREAM_LOST)
            raise TokenHubError("Something went wrong on our side. Nothing was charged.") from e

    async def _answer(self, call: Call, sink: Sink) -> None:
        """One pass over the routes, until one of them has something to say. From then on the call is that route's."""
        if len(call.legs) == 1:
            health_of(self.health, call.target).note_request(time.monotonic())
        while True:
            try:
                return await self._attempt(call, sink)
            except AttemptFailed as failed:
                call.end_attempt(failed.error)
                self._note_failure(call, failed.error)
                if not await self._goes_on(call, failed):
                    raise await self._free(call, failed.error, failed.outcome) from failed

    async def _attempt(self, call: Call, sink: Sink) -> None:
        """Raises AttemptFailed as long as nothing was passed on."""
        call.begin_attempt()
        try:
            if call.request.stream:
                started = call.stream is not None and call.stream.has_started
                call.stream = stream_for(call, sink)
                call.stream.has_started = started  # by a keep-alive of an earlier attempt
                await self._pass_stream(call, call.stream, await self._open(call))
            else:
                await self._pass_plain(call, await self._open(call), sink)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not call.timed_out or sink.has_left or call.first_byte or task is None:
                raise
            task.uncancel()  # it was the watch: this vendor is silent, the next may not be
            call.timed_out = False
            raise AttemptFailed(UpstreamTimeout("The model's vendor fell silent."), Outcome.UPSTREAM_TIMEOUT) from None

    async def _goes_on(self, call: Call, failed: AttemptFailed) -> bool:
        """To the next route; or once more to the only one, if the failure may pass and the budget of retries allows it."""
        if call.take_next(failed.error):
            return True
        is_worth_it = (
            isinstance(failed.error, (UpstreamError, RateLimitExceeded)) and failed.outcome != Outcome.UPSTREAM_TIMEOUT
        )
        if not is_worth_it or failed.wait_seconds > RETRY_SECONDS_MAX:
            return False
        if len(call.legs) > 1 or len(call.attempts) > 1 or call.target.upstream.is_sandbox:
            return False
        if not health_of(self.health, call.target).may_retry(time.monotonic()):
            return False
        await asyncio.sleep(failed.wait_seconds + random.random() * JITTER_SECONDS)  # noqa: S311
        return True

    async def _admit(self, call: Call, key_hash: bytes) -> None:
        request = call.ask(key_hash)
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
            raise denial_of(admission, request, call)
        call.admission = admission

    # ------------------------------------------------------------ the upstream

    async def _open(self, call: Call) -> Response:
        """The upstream's 200. Raises AttemptFailed with the error of ours that anything else amounts to."""
        upstream = call.target.upstream
        url = call.adapter.url(upstream, call.target.upstream_model, call.request.stream)
        wait_seconds = 0
        try:
            response = call.response = await self._client.post(url, call.body(), upstream.headers)
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
            if isinstance(error, RateLimitExceeded) or "retry-after" in response.headers:
                wait_seconds = int(error.headers.get("retry-after", "0"))
        raise AttemptFailed(error, Outcome.UPSTREAM_REFUSED, wait_seconds=wait_seconds)

    async def _pass_plain(self, call: Call, response: Response, sink: Sink) -> None:
        try:
            plain = PlainAnswer(call.face, call.adapter, call.request, await response.read(ANSWER_BYTES_MAX))
        except Lost as e:
            log.warning("upstream %s lost in a plain answer: %s", call.target.upstream.name, e)
            error = UpstreamError("The model's vendor broke off. Nothing was charged; try again.")
            raise AttemptFailed(error, Outcome.UPSTREAM_LOST) from e
        except Failed as e:  # a 200 that says so
            raise AttemptFailed(e.error, Outcome.UPSTREAM_LOST) from e
        except (AnswerTooLarge, msgspec.DecodeError, ValueError) as e:
            log.warning("upstream %s sent no answer: %s", call.target.upstream.name, e)
            error = UpstreamError("The model's vendor sent an unreadable answer. Nothing was charged.")
            raise AttemptFailed(error, Outcome.UPSTREAM_LOST) from e
        call.first_byte = time.monotonic()
        usage = plain.usage if plain.usage is not None else call.counted(plain.text())
        self._note_answer(call, usage)
        cost = await self._settle(call, usage, 200, Outcome.COMPLETED, estimated=plain.usage is None)
        body = plain.body(call.generation_id, call.target.slug, usage, cost)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *call.headers()]
        await sink.start(200, headers)
        await sink.end(body)

    async def _pass_stream(self, call: Call, stream: AnswerStream, response: Response) -> None:
        """Events pass through as they come. The last ones wait for the capture."""
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
            if not call.first_byte:
                raise AttemptFailed(error, Outcome.UPSTREAM_LOST)
            self._note_failure(call, error)
            await self._break_off(call, error, Outcome.UPSTREAM_LOST)
        usage = stream.usage if stream.usage is not None else call.counted(stream.text())
        self._note_answer(call, usage)
        cost = await self._settle(call, usage, 200, Outcome.COMPLETED, estimated=stream.usage is None)
        await stream.finish(usage, cost)

    async def _pass_on(self, call: Call, stream: AnswerStream, data: bytes) -> None:
        if not data:
            return
        if not call.first_byte:
            call.first_byte = call.heard
            stream.headers = [*STREAM_HEADERS, *call.headers()]
        await stream.send(data)

    # ------------------------------------------------------------ the routes' health

    def _note_answer(self, call: Call, usage: Usage) -> None:
        upstream = call.target.upstream
        if upstream.is_sandbox:
            return
        now = time.monotonic()
        first_byte_seconds = (call.first_byte or now) - call.opened
        streaming_seconds = now - call.first_byte if call.request.stream and call.first_byte else 0.0
        tokens_per_second = usage.output_tokens / streaming_seconds if streaming_seconds > 0.05 else None
        health_of(self.health, call.target).note_answer(now, first_byte_seconds, tokens_per_second)

    def _note_failure(self, call: Call, error: TokenHubError) -> None:
        """A refusal of the request itself says nothing about the route. (The sandbox fails only where it was asked to.)"""
        if call.target.upstream.is_sandbox or isinstance(error, InvalidRequest):
            return
        route, now = health_of(self.health, call.target), time.monotonic()
        if isinstance(error, RateLimitExceeded):
            route.rest(now, int(error.headers.get("retry-after", "1")))
        else:
            route.note_failure(now)

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
            error = UpstreamTimeout("The model's vendor fell silent.")
            self._note_failure(call, error)
            await self._break_off(call, error, Outcome.UPSTREAM_TIMEOUT)
        else:
            if call.stream is not None and call.stream.has_started:
                await self._break_off(call, UpstreamError("The gateway is restarting."), Outcome.UPSTREAM_LOST)
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
        outcome = Outcome.CLIENT_CLOSED if call.is_asking else Outcome.CANCELLED
        self._settle_once(call, usage, 499, outcome, estimated=estimated)

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

    async def _break_off(self, call: Call, error: TokenHubError, outcome: Outcome) -> NoReturn:
        """Before output: an error, free. After it: what was passed on is charged. Raises the error."""
        stream = call.stream
        if stream is None or not stream.text():
            raise await self._free(call, error, outcome)
        usage, estimated = call.received(stream)
        await self._settle(call, usage, error.status, outcome, estimated=estimated)
        error.headers = {**error.headers, **NO_RETRY}
        raise error

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
                "The answer could not be accounted for, so it cannot be given.", headers=NO_RETRY
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
            ENDPOINT * call.face.endpoint
            + STREAMED * call.request.stream
            + SANDBOX * call.target.upstream.is_sandbox
            + ESTIMATED * (estimated and cost > 0)
        )
        model_id, price_id = call.served()
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
                model_id=model_id,
                price_id=price_id,
                app=call.app.encode() or None,
            )
        )

    # ------------------------------------------------------------ the watch (called once a second by the edge)

    def watch(self, now: float, keep_alive_seconds: float, timeout_seconds: float) -> list[Coroutine[Any, Any, None]]:
        """Ends calls whose upstream fell silent; returns the keep-alive comments that are due."""
        due: list[Coroutine[Any, Any, None]] = []
        for call in list(self.open_calls):
            if call.is_settled:
                continue
            if call.is_asking and now - call.heard > timeout_seconds and not call.timed_out:
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
                self._desk.checkpoint(
                    Checkpoint(call.id, cost, usage.input_tokens, usage.output_tokens, *call.served())
                )

    async def close(self) -> None:
        if self._drains:
            await asyncio.wait(self._drains)
