"""The dialects that clients speak: how a body is read, and how an answer, a stream and an error look. Inside, all is chat."""

import time
from typing import Any, Protocol

import msgspec
import orjson

from billing.meters import Usage
from gateway import parameters, sse
from gateway.adapters import in_our_words
from gateway.dialects import messages_chat, responses_chat
from gateway.dialects.faults import Invalid, Unsupported
from gateway.errors import InvalidRequest
from gateway.parameters import ChatRequest
from gateway.stream import ClientEvents, chat_failure, usage_json
from tokenhub.errors import TokenHubError, envelope
from tokenhub.money import usd_number

type Json = dict[str, Any]


class Face(Protocol):
    def read(self, body: Any) -> ChatRequest:
        """Raises InvalidRequest and its kin."""

    def complete(
        self, request: ChatRequest, generation_id: str, model: str, choices: list[Json], usage: Usage, cost_nanos: int
    ) -> bytes: ...
    def events(self, request: ChatRequest, generation_id: str, model: str, input_tokens: int) -> ClientEvents: ...
    def error_body(self, error: TokenHubError, request_id: str) -> Json: ...


# ---------------------------------------------------------------- OpenAI chat completions


class ChatFace:
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

    def events(self, request: ChatRequest, generation_id: str, model: str, input_tokens: int) -> ClientEvents:
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
    def read(self, body: Any) -> ChatRequest:
        try:
            request = parameters.chat_request(messages_chat.request(body))
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

    def events(self, request: ChatRequest, generation_id: str, model: str, input_tokens: int) -> ClientEvents:
        return _MessagesEvents(generation_id, model, input_tokens)

    def error_body(self, error: TokenHubError, request_id: str) -> Json:
        return messages_chat.error_body(error.status, error.code, error.message, request_id)


class _MessagesEvents:
    def __init__(self, generation_id: str, model: str, input_tokens: int):
        self._generation_id = generation_id
        self._input_tokens = input_tokens
        self._events = messages_chat.Events(message_id=generation_id, model=model)

    def start(self) -> bytes:
        return self._events.start(self._input_tokens)

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
    def read(self, body: Any) -> ChatRequest:
        try:
            request = parameters.chat_request(responses_chat.request(body))
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

    def events(self, request: ChatRequest, generation_id: str, model: str, input_tokens: int) -> ClientEvents:
        return _ResponsesEvents(request, generation_id, model)

    def error_body(self, error: TokenHubError, request_id: str) -> Json:
        return envelope(error, request_id)


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


def _body_of(request: ChatRequest) -> Json:
    if request.original is None:
        raise InvalidRequest("The body must be a JSON object.")
    return request.original


CHAT, MESSAGES, RESPONSES = ChatFace(), MessagesFace(), ResponsesFace()
