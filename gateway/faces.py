"""The dialects that clients speak: how a body is read, and how an answer, a stream and an error look. Inside, all is chat."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import orjson

from billing.meters import Usage
from gateway import parameters, sse
from gateway.adapters import in_our_words
from gateway.dialects import messages_chat, names, responses_chat
from gateway.dialects.faults import Invalid, Unsupported
from gateway.errors import InvalidRequest, UnknownParameter
from gateway.models import Endpoint
from gateway.parameters import ChatRequest
from gateway.stream import ClientEvents, chat_failure, usage_json
from tokenhub.errors import TokenHubError, envelope
from tokenhub.money import usd_number

type Json = dict[str, Any]


class Face(Protocol):
    endpoint: Endpoint
    names: Mapping[str, str]  # of chat's parameters, where the dialect has its own

    def read(self, body: Any) -> ChatRequest:
        """Raises InvalidRequest and its kin."""

    def complete(
        self, request: ChatRequest, generation_id: str, model: str, choices: list[Json], usage: Usage, cost_nanos: int
    ) -> bytes: ...
    def events(
        self, request: ChatRequest, generation_id: str, model: str, input_tokens: Callable[[], int]
    ) -> ClientEvents: ...
    def error_body(self, error: TokenHubError, request_id: str) -> Json: ...


def in_own_names(error: TokenHubError, own: Mapping[str, str]) -> TokenHubError:
    """A fault of the canonical call, naming the field that the client wrote. (What it wrote and we do not know is its own.)"""
    if error.param is None or not isinstance(error, InvalidRequest) or isinstance(error, UnknownParameter):
        return error
    param = names.renamed(error.param, own)
    message = error.message.replace(f"`{error.param}`", f"`{param}`")
    return type(error)(message, param=param, headers=error.headers, **error.data)


# ---------------------------------------------------------------- OpenAI chat completions


class ChatFace:
    endpoint = Endpoint.CHAT
    names: Mapping[str, str] = {}

    def read(self, body: Any) -> ChatRequest:
        return parameters.chat_request(body)

    def complete(
        self, request: ChatRequest, generation_id: str, model: str, choices: list[Json], usage: Usage, cost_nanos: int
    ) -> bytes:
        return msgspec.json.encode(
            {
                "id": generation_id,
                "object": "chat.completion",
                "created": int(time.time()),
                "model": model,
                "choices": choices,
                "usage": msgspec.Raw(usage_json(usage, cost_nanos)),
            }
        )

    def events(
        self, request: ChatRequest, generation_id: str, model: str, input_tokens: Callable[[], int]
    ) -> ClientEvents:
        return _ChatEvents(request, generation_id, model)

    def error_body(self, error: TokenHubError, request_id: str) -> Json:
        return envelope(error, request_id)


class _ChatEvents:
    def __init__(self, request: ChatRequest, generation_id: str, model: str):
        self._generation_id = generation_id
        self._include_usage = request.include_usage
        self._head: Json = {
            "id": generation_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._unused = {"usage": None} if request.include_usage else {}

    def start(self) -> bytes:
        return b""

    def feed(self, chunk: Json) -> bytes:
        return sse.event(orjson.dumps({**self._head, **chunk, **self._unused}))

    def finish(self, usage: Usage, cost_nanos: int) -> bytes:
        last = b""
        if self._include_usage:
            counts = orjson.Fragment(usage_json(usage, cost_nanos))
            last = sse.event(orjson.dumps({**self._head, "choices": [], "usage": counts}))
        return last + sse.DONE

    def error(self, error: TokenHubError) -> bytes:
        return sse.event(orjson.dumps(self._head)[:-1] + b"," + chat_failure(error, self._generation_id)[1:])


# ---------------------------------------------------------------- Anthropic Messages


class MessagesFace:
    endpoint = Endpoint.MESSAGES
    names: Mapping[str, str] = names.MESSAGES

    def read(self, body: Any) -> ChatRequest:
        body, routing = _apart(body)
        try:
            request = parameters.chat_request(messages_chat.request(body) | routing)
        except (Unsupported, Invalid) as fault:
            raise in_our_words(fault) from fault
        request.original = body
        request.is_native_messages = True
        return request

    def complete(
        self, request: ChatRequest, generation_id: str, model: str, choices: list[Json], usage: Usage, cost_nanos: int
    ) -> bytes:
        cost = orjson.Fragment(usd_number(cost_nanos))
        return orjson.dumps(
            messages_chat.complete({"choices": choices}, message_id=generation_id, model=model, usage=usage, cost=cost)
        )

    def events(
        self, request: ChatRequest, generation_id: str, model: str, input_tokens: Callable[[], int]
    ) -> ClientEvents:
        return _MessagesEvents(generation_id, model, input_tokens)

    def error_body(self, error: TokenHubError, request_id: str) -> Json:
        error = in_own_names(error, self.names)
        message = error.message
        if error.param is not None and error.param not in message:  # the envelope has no other place for it
            message = f"{error.param}: {message}"
        return messages_chat.error_body(error.status, error.code, message, request_id)


class _MessagesEvents:
    def __init__(self, generation_id: str, model: str, input_tokens: Callable[[], int]):
        self._generation_id = generation_id
        self._input_tokens = input_tokens
        self._events = messages_chat.Events(message_id=generation_id, model=model)

    def start(self) -> bytes:
        return self._events.start(self._input_tokens())

    def feed(self, chunk: Json) -> bytes:
        return self._events.feed(chunk)

    def finish(self, usage: Usage, cost_nanos: int) -> bytes:
        return self._events.finish(usage, usd_number(cost_nanos))

    def error(self, error: TokenHubError) -> bytes:
        return messages_failure(error, self._generation_id)


def messages_failure(error: TokenHubError, generation_id: str) -> bytes:
    body = messages_chat.error_body(error.status, error.code, error.message, generation_id)
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"


# ---------------------------------------------------------------- OpenAI Responses


class ResponsesFace:
    endpoint = Endpoint.RESPONSES
    names: Mapping[str, str] = names.RESPONSES

    def read(self, body: Any) -> ChatRequest:
        body, routing = _apart(body)
        try:
            request = parameters.chat_request(responses_chat.request(body) | routing)
        except (Unsupported, Invalid) as fault:
            raise in_our_words(fault) from fault
        request.original = body
        return request

    def complete(
        self, request: ChatRequest, generation_id: str, model: str, choices: list[Json], usage: Usage, cost_nanos: int
    ) -> bytes:
        answer = responses_chat.complete(
            choices,
            response_id=generation_id,
            model=model,
            created=int(time.time()),
            usage=usage,
            request=_body_of(request),
        )
        answer["usage"]["cost"] = orjson.Fragment(usd_number(cost_nanos))
        return orjson.dumps(answer)

    def events(
        self, request: ChatRequest, generation_id: str, model: str, input_tokens: Callable[[], int]
    ) -> ClientEvents:
        return _ResponsesEvents(request, generation_id, model)

    def error_body(self, error: TokenHubError, request_id: str) -> Json:
        return envelope(in_own_names(error, self.names), request_id)


class _ResponsesEvents:
    def __init__(self, request: ChatRequest, generation_id: str, model: str):
        self._generation_id = generation_id
        self._events = responses_chat.Events(
            response_id=generation_id, model=model, created=int(time.time()), request=_body_of(request)
        )

    def start(self) -> bytes:
        return self._events.start()

    def feed(self, chunk: Json) -> bytes:
        return self._events.feed(chunk)

    def finish(self, usage: Usage, cost_nanos: int) -> bytes:
        return self._events.finish(usage, usd_number(cost_nanos))

    def error(self, error: TokenHubError) -> bytes:
        return self._events.error(error.code, error.message, self._generation_id, error_type=error.type)


def _apart(body: Any) -> tuple[Any, Json]:
    """What is the vendor's dialect, and the routing wishes that every dialect takes beside it."""
    if not isinstance(body, dict) or not ("models" in body or "provider" in body):
        return body, {}
    own = {name: value for name, value in body.items() if name not in ("models", "provider")}
    routing = {name: body[name] for name in ("models", "provider") if body.get(name) is not None}
    if own.get("model") is None and isinstance(routing.get("models"), list) and routing["models"]:
        own["model"] = routing["models"][0]
    return own, routing


def _body_of(request: ChatRequest) -> Json:
    if request.original is None:
        raise InvalidRequest("The body must be a JSON object.")
    return request.original


CHAT, MESSAGES, RESPONSES = ChatFace(), MessagesFace(), ResponsesFace()
