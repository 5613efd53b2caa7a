"""How a checked call is put to an upstream, and what its answer means. One adapter a wire format; vendors are rows of the registry.

Inside, a call is OpenAI chat completions; the pure translations live in ``dialects/``.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from billing.meters import Usage
from gateway import sse
from gateway.dialects import chat_anthropic, chat_google, messages_anthropic
from gateway.dialects.counts import UsageReader
from gateway.dialects.faults import AddressNotAllowed, Invalid, Unknown, Unsupported
from gateway.errors import InvalidRequest, UnknownParameter, UnsupportedParameter, UrlNotAllowed
from gateway.parameters import ChatRequest, serialise
from gateway.upstreams import anthropic, google, openai, quirks
from gateway.upstreams.registry import Upstream
from tokenhub.errors import TokenHubError

type Json = dict[str, Any]

#: a translation is tried before any money moves; the real bound is known only once the call is admitted
OUTPUT_TOKENS_TRIED = 4_096


class AnswerEvents(Protocol):
    """A streamed answer, read event by event into canonical chunks (``choices`` only)."""

    usage: Usage | None
    done: bool
    error: TokenHubError | Json | None  # what it means, or the vendor's own words

    @property
    def finished(self) -> bool: ...
    def feed(self, event: bytes) -> Iterable[Json]: ...


class Adapter(Protocol):
    #: a chat client can be given this vendor's bytes; a Messages client can
    passes_chat: bool
    passes_messages: bool

    @property
    def usage_of(self) -> UsageReader:
        """Every wire reads its counts by one, and none can be made that leaves open what its input count holds."""

    def url(self, upstream: Upstream, upstream_model: str, stream: bool) -> str: ...

    def check(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json) -> None:
        """Before any money moves: raises what cannot be said to this upstream, and names what will be dropped.

        Afterwards the parameters of ``request.body`` may be in this upstream's own words: for another one, begin anew.
        """

    def body(
        self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json, bound: int
    ) -> bytes: ...
    def complete(self, answer: bytes) -> tuple[list[Json], Usage | None]:
        """A plain answer's choices and counts. Raises ValueError for what is no answer."""

    def events(self) -> AnswerEvents: ...
    def error_of(self, upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError: ...


def in_our_words(fault: ValueError) -> InvalidRequest:
    """A translation's fault as the API's error."""
    message, param = getattr(fault, "message", str(fault)), getattr(fault, "param", None)
    match fault:
        case Unsupported():
            return UnsupportedParameter(message, param=param)
        case Unknown():
            return UnknownParameter(message, param=param)
        case AddressNotAllowed():
            return UrlNotAllowed(message, param=param)
    return InvalidRequest(message, param=param)


# ---------------------------------------------------------------- OpenAI and its kin


class OpenAIAdapter:
    passes_chat = True
    passes_messages = False
    usage_of = openai.usage_of

    def url(self, upstream: Upstream, upstream_model: str, stream: bool) -> str:
        return upstream.base_url + upstream.path_prefix + openai.PATH

    def check(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json) -> None:
        try:
            request.body, adjusted = quirks.fitted_parameters(
                request.body, upstream, upstream_model, stream=request.stream
            )
        except Unsupported as fault:
            raise in_our_words(fault) from fault
        request.adjusted += adjusted

    def body(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json, bound: int) -> bytes:
        body = openai.request_body(
            openai.fitted(request.body, upstream, request.has_extras), upstream_model, request.stream, upstream.adds
        )
        return openai.with_output_bound(serialise(body), bound, upstream.output_bound_name)

    def complete(self, answer: bytes) -> tuple[list[Json], Usage | None]:
        fields = orjson.loads(answer)
        if not isinstance(fields, dict):
            raise ValueError("no object")
        openai.check_base_response(fields.get("base_resp"))
        choices = fields.get("choices")
        if not isinstance(choices, list):
            raise ValueError("no choices")
        openai.normalise_ends(choices)
        return choices, self.usage_of(fields.get("usage"))

    def events(self) -> AnswerEvents:
        return ChatEvents()

    def error_of(self, upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
        return openai.error_of(upstream, status, headers, body)


class ChatEvents:
    """OpenAI's own chunks, parsed: for clients that speak another dialect. (Chat clients get the bytes: stream.py.)"""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.error: TokenHubError | Json | None = None
        self.done = self.finished = False

    def feed(self, event: bytes) -> Iterable[Json]:
        payload = sse.data_of(event)
        if not payload:
            return []
        if payload == b"[DONE]":
            self.done = True
            return []
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self.error = {"message": "unreadable"}
            return []
        if not isinstance(chunk, dict) or chunk.get("error"):
            self.error = {"message": "failed"}
            return []
        self.usage = openai.usage_of(chunk.get("usage")) or self.usage
        choices = chunk.get("choices") or []
        try:
            openai.check_base_response(chunk.get("base_resp"))
            openai.normalise_ends(choices)
        except openai.Failed as e:
            self.error = e.error
            return []
        self.finished = self.finished or any(choice.get("finish_reason") for choice in choices)
        return [{"choices": choices}] if choices else []


# ---------------------------------------------------------------- vendors with a wire of their own


class TranslatingAdapter:
    """Says a canonical call in a vendor's dialect, and reads its answers back; the words are the dialect module's."""

    passes_chat = passes_messages = False
    dialect: Any  # a module of dialects/: request, dropped, complete, usage_of, Stream

    @property
    def usage_of(self) -> UsageReader:
        reader: UsageReader = self.dialect.usage_of
        return reader

    def check(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json) -> None:
        request.adjusted += self.dialect.dropped(request.body, upstream_model=upstream_model, supports=supports)
        self.body(request, upstream, upstream_model, supports, request.max_tokens or OUTPUT_TOKENS_TRIED)

    def body(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json, bound: int) -> bytes:
        try:
            out = self.dialect.request(
                request.body, upstream_model=upstream_model, stream=request.stream, output_tokens_max=bound, supports=supports,
            )  # fmt: skip
        except (Unsupported, Invalid) as fault:
            raise in_our_words(fault) from fault
        return serialise(out)

    def complete(self, answer: bytes) -> tuple[list[Json], Usage | None]:
        choices, usage = self.dialect.complete(orjson.loads(answer))
        return choices, usage

    def events(self) -> AnswerEvents:
        events: AnswerEvents = self.dialect.Stream()
        return events


class AnthropicAdapter(TranslatingAdapter):
    """Messages clients pass through: their body was checked in its own dialect."""

    passes_messages = True
    dialect = chat_anthropic

    def url(self, upstream: Upstream, upstream_model: str, stream: bool) -> str:
        return upstream.base_url + anthropic.PATH

    def check(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json) -> None:
        if not request.is_native_messages:
            super().check(request, upstream, upstream_model, supports)

    def body(self, request: ChatRequest, upstream: Upstream, upstream_model: str, supports: Json, bound: int) -> bytes:
        if not request.is_native_messages or request.original is None:
            return super().body(request, upstream, upstream_model, supports, bound)
        out = messages_anthropic.request(
            request.original, upstream_model=upstream_model, output_tokens_max=bound,
            user=request.body.get("user"), adjusted=request.adjusted,
        )  # fmt: skip
        return serialise(out)

    def error_of(self, upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
        return anthropic.error_of(upstream, status, headers, body)


class GoogleAdapter(TranslatingAdapter):
    dialect = chat_google

    def url(self, upstream: Upstream, upstream_model: str, stream: bool) -> str:
        return upstream.base_url + google.path(upstream_model, stream)

    def error_of(self, upstream: Upstream, status: int, headers: Any, body: bytes) -> TokenHubError:
        return google.error_of(upstream, status, headers, body)


ADAPTERS: dict[str, Adapter] = {"openai": OpenAIAdapter(), "anthropic": AnthropicAdapter(), "google": GoogleAdapter()}
