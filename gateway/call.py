"""One call on its way through the gateway: what it asks, the most it may cost, what was held, and what came back so far."""

import asyncio
import time
from dataclasses import dataclass, field, replace

import orjson

from billing import pricing
from billing.meters import Usage
from billing.pricing import Quote
from gateway import faces, parameters, tokens
from gateway.adapters import ADAPTERS, Adapter
from gateway.admission import Admission, Request
from gateway.attempts import Attempt
from gateway.dialects import messages_chat
from gateway.dialects.names import renamed
from gateway.errors import ContextLengthExceeded, InvalidRequest, NoUpstreamAvailable, UnsupportedParameter
from gateway.faces import Face
from gateway.parameters import ChatRequest
from gateway.route_health import Health
from gateway.routing import Directory, Target, in_order
from gateway.stream import AnswerStream, ChatStream, NativeMessagesStream, Sink, TranslatedStream
from gateway.upstreams import openai
from gateway.upstreams.client import Response
from tokenhub.errors import TokenHubError
from tokenhub.ids import generation_id

#: without a bound from the caller and from the model
OUTPUT_TOKENS_DEFAULT = 32_768
OUTPUT_TOKENS_UNKNOWN_CAP = 128_000
#: what a quarter of the balance buys, but at least this
OUTPUT_TOKENS_LEAST = 1_024

#: what vendors add around each message and call, in tokens, beyond the bytes of its JSON
TEMPLATE_TOKENS = 64
TOOLS_TEMPLATE_TOKENS = 1_024
FILE_TEMPLATE_TOKENS = 4_096


#: the most routes that one call may try, all its fallback models together
LEGS_MAX = 12


@dataclass(slots=True, eq=False)
class Leg:
    """One route that a call may take: the request as this model and this upstream get it, and the most it may cost there."""

    target: Target
    request: ChatRequest
    adapter: Adapter
    serialised: bytes | None  # the body for an OpenAI-shaped upstream, still without the output bound
    input_tokens_max: int
    quote: Quote
    # output tokens per choice; equal where the caller named the bound
    least_tokens: int
    most_tokens: int

    def nanos(self, tokens: int) -> int:
        return self.quote.nanos(tokens * self.request.choices)

    def output_tokens_max(self, amount_nanos: int) -> int:
        """What fits into a hold."""
        affordable = self.quote.affordable_output_tokens(amount_nanos) // self.request.choices
        return min(max(affordable, self.least_tokens), self.most_tokens)


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way through. Times are ``time.monotonic`` seconds."""

    id: bytes
    started: float
    face: Face
    legs: list[Leg]  # in the order in which they are tried
    leg: Leg  # the one taken now
    app: str = ""
    ip: str = ""
    admission: Admission | None = None
    attempts: list[Attempt] = field(default_factory=list)  # that failed
    output_tokens_max: int = 0
    opened: float = 0.0
    first_byte: float = 0.0
    response: Response | None = None
    stream: AnswerStream | None = None
    is_settled: bool = False
    is_asking: bool = False  # a vendor has this call, and may be working on it
    timed_out: bool = False
    task: asyncio.Task[None] | None = None
    checkpointed_nanos: int = 0
    input_tokens_counted: int = -1
    heard: float = 0.0  # when the upstream last said something

    @property
    def generation_id(self) -> str:
        return generation_id(self.id)

    @property
    def target(self) -> Target:
        return self.leg.target

    @property
    def request(self) -> ChatRequest:
        return self.leg.request

    @property
    def adapter(self) -> Adapter:
        return self.leg.adapter

    @property
    def held_nanos(self) -> int:
        return (self.admission.amount_nanos if self.admission else None) or 0

    # ------------------------------------------------------------ admission

    def ask(self, key_hash: bytes) -> Request:
        """The hold that is asked for: the dearest leg's, so that whichever answers can be paid from it."""
        model_ids = list(dict.fromkeys(leg.target.model_id for leg in self.legs))
        return Request(
            call=self.id,
            key_hash=key_hash,
            base_nanos=max(leg.nanos(0) for leg in self.legs),
            least_nanos=max(1, *(leg.nanos(leg.least_tokens) for leg in self.legs)),
            most_nanos=max(1, *(leg.nanos(leg.most_tokens) for leg in self.legs)),
            model_id=self.legs[0].target.model_id,
            price_id=self.legs[0].target.price.id,
            models=b"{%b}" % b",".join(b"%d" % model_id for model_id in model_ids) if len(model_ids) > 1 else None,
            ip=self.ip.encode() or None,
        )

    def served(self) -> tuple[int, int]:
        """Model and price that the hold was not taken for; (0, 0) where they are the same."""
        asked, target = self.legs[0].target, self.target
        same = (asked.model_id, asked.price.id) == (target.model_id, target.price.id)
        return (0, 0) if same else (target.model_id, target.price.id)

    # ------------------------------------------------------------ the pass over the routes

    def begin_attempt(self) -> None:
        self.output_tokens_max = self.leg.output_tokens_max(self.held_nanos)
        self.opened = self.heard = time.monotonic()
        self.first_byte = 0.0
        self.response = None
        self.is_asking = True

    def end_attempt(self, error: TokenHubError) -> None:
        """It failed before a word was passed on."""
        self.is_asking = False
        if self.response is not None:
            self.response.abort()
        self.attempts.append(
            Attempt(
                upstream=self.target.upstream.name,
                model=self.target.served_slug,
                status=error.status,
                ms=int((time.monotonic() - self.opened) * 1000),
                error=error.code,
            )
        )

    def take_next(self, error: TokenHubError) -> bool:
        """Goes on to the next leg that this failure leaves a chance. False if there is none."""
        rest = self.legs[self.legs.index(self.leg) + 1 :]
        if isinstance(error, ContextLengthExceeded):  # another route to the same model has the same window
            rest = [leg for leg in rest if leg.target.model_id != self.target.model_id]
        elif isinstance(error, InvalidRequest):
            return False
        if rest:
            self.leg = rest[0]
        return bool(rest)

    # ------------------------------------------------------------ counting

    def input_tokens(self) -> int:
        """Counted here, once, for calls whose vendor does not say; never above what was held for."""
        if self.input_tokens_counted < 0:
            self.input_tokens_counted = tokens.count_messages(self.request.body["messages"])
        return min(self.input_tokens_counted, self.leg.input_tokens_max)

    def counted(self, text: str) -> Usage:
        return Usage(input_tokens=self.input_tokens(), output_tokens=tokens.count(text) if text else 0)

    def received(self, stream: "AnswerStream | None") -> tuple[Usage, bool]:
        """What an answer that did not end had cost so far. A vendor's counts stand only for an answer that it ended."""
        if not self.is_asking:
            return Usage(), False
        if stream is None:
            return self.counted(""), True
        if stream.usage is not None and stream.is_complete:
            return stream.usage, False
        return self.counted(stream.text()), True

    # ------------------------------------------------------------ out

    def body(self) -> bytes:
        leg, target = self.leg, self.target
        if leg.serialised is not None:
            return openai.with_output_bound(leg.serialised, self.output_tokens_max, target.upstream.output_bound_name)
        return self.adapter.body(
            self.request, target.upstream, target.upstream_model, target.supports, self.output_tokens_max
        )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``server-timing`` tells our own milliseconds apart from the upstream's."""
        upstream_seconds = (self.first_byte - self.opened) if self.first_byte else 0.0
        own_seconds = time.monotonic() - self.started - upstream_seconds
        headers = [
            (b"server-timing", b"tokenhub;dur=%.1f, upstream;dur=%.1f" % (own_seconds * 1000, upstream_seconds * 1000))
        ]
        if self.target.served_slug != self.legs[0].target.slug:
            headers.append((b"x-tokenhub-served-model", self.target.served_slug.encode()))
        if self.request.adjusted:
            headers.append((b"x-tokenhub-adjusted", ", ".join(self.adjusted()).encode()))
        return headers

    def adjusted(self) -> list[str]:
        """What was clamped or dropped, as the caller knows it."""
        return [renamed(name, self.face.names) for name in self.request.adjusted]

    def detail(self) -> bytes | None:
        """What the receipt shows beyond the counts; most calls have nothing to tell."""
        detail: dict[str, object] = {}
        asked = self.legs[0].target.slug
        if self.target.served_slug != asked:
            detail["asked_model"] = asked
        if self.request.max_tokens is None:
            detail["max_tokens_chosen"] = self.output_tokens_max
        if self.request.adjusted:
            detail["adjusted"] = self.adjusted()
        if len(self.legs) > 1 or self.attempts:
            detail["upstream"] = self.target.upstream.name
        if self.attempts:
            detail["attempts"] = [attempt._asdict() for attempt in self.attempts]
        return orjson.dumps(detail) if detail else None


# ---------------------------------------------------------------- preparing


def prepare(
    directory: Directory,
    health: Health,
    call_id: bytes,
    started: float,
    key_hash: bytes,
    face: Face,
    request: ChatRequest,
) -> Call:
    """Everything that can be refused before any money moves, and the most that the call may cost."""
    legs = _legs(directory, health, key_hash, request)
    return Call(id=call_id, started=started, face=face, legs=legs, leg=legs[0])


def _legs(directory: Directory, health: Health, key_hash: bytes, request: ChatRequest) -> list[Leg]:
    """The model's routes, then those of its fallbacks. A fallback that cannot take this request is passed over; an unknown one
    is a slip, and refused like an unknown model.
    """
    models = [directory.routes_to(request.model)] if not request.fallbacks else _models(directory, request)
    legs: list[Leg] = []
    faults: list[TokenHubError] = []
    for routes in models:
        targets = in_order(routes, request.preferences, health)
        if not targets:
            faults.append(_no_wished_route(routes))
        for target in targets[: LEGS_MAX - len(legs)]:
            is_only = len(models) == len(targets) == 1
            try:
                legs.append(_leg(target, request if is_only else _copy(request), key_hash))
            except (InvalidRequest, NoUpstreamAvailable) as fault:
                faults.append(fault)
    if not legs:
        raise faults[0]
    return legs


def _models(directory: Directory, request: ChatRequest) -> list[list[Target]]:
    found: list[list[Target]] = []
    away: list[NoUpstreamAvailable] = []
    for slug in dict.fromkeys((request.model, *request.fallbacks)):
        try:
            found.append(directory.routes_to(slug))
        except NoUpstreamAvailable as e:
            away.append(e)
    if not found:
        raise away[0]
    return found


def _no_wished_route(routes: list[Target]) -> InvalidRequest:
    names = ", ".join(sorted({target.upstream.name for target in routes}))
    return InvalidRequest(
        f"No route to `{routes[0].slug}` is left by `provider`. It can be reached through: {names}.", param="provider"
    )


def _copy(request: ChatRequest) -> ChatRequest:
    """Fitting a request to a model takes fields out of it; each route needs its own."""
    return replace(request, body=dict(request.body), adjusted=[])


def _leg(target: Target, request: ChatRequest, key_hash: bytes) -> Leg:
    parameters.fit(request, target.supports, target.input_modalities)
    parameters.scope_identifiers(request, key_hash)
    upstream = target.upstream
    adapter = ADAPTERS[upstream.dialect or "openai"]
    adapter.check(request, upstream, target.upstream_model, target.supports)
    if request.is_native_messages and not adapter.passes_messages and request.original is not None:
        request.adjusted += messages_chat.dropped(request.original)
    # once for two purposes: the bytes bound the prompt's tokens, and an OpenAI-shaped upstream gets these very bytes
    canonical = (
        openai.fitted(request.body, upstream, request.has_extras) if upstream.dialect == "openai" else request.body
    )
    serialised = parameters.serialise(
        openai.request_body(canonical, target.upstream_model, request.stream, upstream.adds)
    )
    least, most = _output_bounds(request, target)
    if request.preferences.require_parameters and request.adjusted:
        name = request.adjusted[0]
        raise UnsupportedParameter(f"`{target.slug}` would not follow `{name}`.", param=name)
    input_tokens_max = _input_tokens_max(serialised, request, target)
    return Leg(
        target=target,
        request=request,
        adapter=adapter,
        serialised=serialised if upstream.dialect == "openai" else None,
        input_tokens_max=input_tokens_max,
        quote=pricing.quote(target.price, input_tokens_max),
        least_tokens=least,
        most_tokens=most,
    )


def _output_bounds(request: ChatRequest, target: Target) -> tuple[int, int]:
    """Least and most output tokens per choice. Equal where the caller named the bound (cut to what the model can do)."""
    cap = target.max_output_tokens or OUTPUT_TOKENS_UNKNOWN_CAP
    if request.max_tokens is not None:
        if request.max_tokens > cap:
            request.adjusted.append("max_tokens")
        bound = min(request.max_tokens, cap)
        return bound, bound
    most = min(cap, OUTPUT_TOKENS_DEFAULT)
    return min(OUTPUT_TOKENS_LEAST, most), most


STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def stream_for(call: Call, sink: Sink) -> AnswerStream:
    """Bytes pass through where client and vendor speak the same dialect; every other pair is translated."""
    headers = [*STREAM_HEADERS, *call.headers()]
    dialect, slug = call.target.upstream.dialect, call.target.slug
    if call.face is faces.CHAT and dialect == "openai":
        return ChatStream(
            sink, headers, generation_id=call.generation_id, model=slug, include_usage=call.request.include_usage
        )
    if call.request.is_native_messages and dialect == "anthropic":
        return NativeMessagesStream(
            sink, headers, generation_id=call.generation_id, model=slug,
            failure=lambda error: faces.messages_failure(error, call.generation_id),
        )  # fmt: skip
    client = call.face.events(call.request, call.generation_id, slug, call.input_tokens)
    return TranslatedStream(sink, headers, upstream=call.adapter.events(), client=client)


def _input_tokens_max(serialised: bytes, request: ChatRequest, target: Target) -> int:
    """An upper bound of the prompt's tokens: its UTF-8 bytes plus the maximum of each image; no vendor takes more than the window."""
    bound = parameters.text_bytes(serialised, request) + TEMPLATE_TOKENS
    bound += request.image_count * target.upstream.image_tokens_max
    # a document's pages cannot be counted without opening it: a page's text and picture stay below its bytes
    bound += request.file_count * FILE_TEMPLATE_TOKENS + request.file_bytes
    if "tools" in request.body:
        bound += TOOLS_TEMPLATE_TOKENS
    return min(bound, target.context_window) if target.context_window else bound
