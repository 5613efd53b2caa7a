"""One call on its way through the gateway: what it asks, the most it may cost, what was held, and what came back so far."""

import asyncio
import time
from dataclasses import dataclass

import orjson

from billing import pricing
from billing.meters import Usage
from billing.pricing import Quote
from gateway import faces, parameters, tokens
from gateway.adapters import ADAPTERS, Adapter
from gateway.admission import Admission
from gateway.dialects import messages_chat
from gateway.faces import Face
from gateway.parameters import ChatRequest
from gateway.routing import Directory, Target
from gateway.stream import AnswerStream, ChatStream, NativeMessagesStream, Sink, TranslatedStream
from gateway.upstreams import openai
from gateway.upstreams.client import Response
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


@dataclass(slots=True, eq=False)
class Call:
    """One call on its way through. Times are ``time.monotonic`` seconds."""

    id: bytes
    started: float
    target: Target
    request: ChatRequest
    input_tokens_max: int
    face: Face
    adapter: Adapter
    serialised: bytes | None  # the body for an OpenAI-shaped upstream, still without the output bound
    quote: Quote
    price_id: int
    admission: Admission | None = None
    output_tokens_max: int = 0
    opened: float = 0.0
    first_byte: float = 0.0
    response: Response | None = None
    stream: AnswerStream | None = None
    is_settled: bool = False
    timed_out: bool = False
    task: asyncio.Task[None] | None = None
    checkpointed_nanos: int = 0
    input_tokens_counted: int = -1
    heard: float = 0.0  # when the upstream last said something

    @property
    def generation_id(self) -> str:
        return generation_id(self.id)

    def input_tokens(self) -> int:
        """Counted here, once, for calls whose vendor does not say; never above what was held for."""
        if self.input_tokens_counted < 0:
            counted = tokens.count_messages(self.request.body["messages"])
            self.input_tokens_counted = min(counted, self.input_tokens_max)
        return self.input_tokens_counted

    @property
    def held_nanos(self) -> int:
        return (self.admission.amount_nanos if self.admission else None) or 0

    def output_bounds(self) -> tuple[int, int]:
        """Least and most output tokens per choice. Equal where the caller named the bound (cut to what the model can do)."""
        cap = self.target.max_output_tokens or OUTPUT_TOKENS_UNKNOWN_CAP
        if self.request.max_tokens is not None:
            if self.request.max_tokens > cap:
                self.request.adjusted.append("max_tokens")
            bound = min(self.request.max_tokens, cap)
            return bound, bound
        most = min(cap, OUTPUT_TOKENS_DEFAULT)
        return min(OUTPUT_TOKENS_LEAST, most), most

    def counted(self, text: str) -> Usage:
        return Usage(input_tokens=self.input_tokens(), output_tokens=tokens.count(text) if text else 0)

    def received(self, stream: "AnswerStream | None") -> tuple[Usage, bool]:
        """What an answer that did not end had cost so far. A vendor's counts stand only for an answer that it ended."""
        if stream is None:
            return self.counted(""), True
        if stream.usage is not None and stream.is_complete:
            return stream.usage, False
        return self.counted(stream.text()), True

    def body(self) -> bytes:
        if self.serialised is not None:
            return openai.with_output_bound(
                self.serialised, self.output_tokens_max, self.target.upstream.output_bound_name
            )
        target = self.target
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
        if self.target.served_slug != self.target.slug:
            headers.append((b"x-tokenhub-served-model", self.target.served_slug.encode()))
        if self.request.adjusted:
            headers.append((b"x-tokenhub-adjusted", ", ".join(self.request.adjusted).encode()))
        return headers

    def detail(self) -> bytes | None:
        """What the receipt shows beyond the counts; most calls have nothing to tell."""
        detail: dict[str, object] = {}
        if self.target.served_slug != self.target.slug:
            detail["asked_model"] = self.target.slug
        if self.request.max_tokens is None:
            detail["max_tokens_chosen"] = self.output_tokens_max
        if self.request.adjusted:
            detail["adjusted"] = self.request.adjusted
        return orjson.dumps(detail) if detail else None


def prepare(
    directory: Directory, call_id: bytes, started: float, key_hash: bytes, face: Face, request: ChatRequest
) -> Call:
    """Everything that can be refused before any money moves, and the most that the call may cost."""
    target = directory.find(request.model)
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
    input_tokens_max = _input_tokens_max(serialised, request, target)
    return Call(
        id=call_id,
        started=started,
        target=target,
        request=request,
        input_tokens_max=input_tokens_max,
        face=face,
        adapter=adapter,
        serialised=serialised if upstream.dialect == "openai" else None,
        quote=pricing.quote(target.price, input_tokens_max),
        price_id=target.price.id,
    )


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
    client = call.face.events(call.request, call.generation_id, slug, call.input_tokens())
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
