"""A streamed answer on its way through, in three ways: a chat client of an OpenAI-shaped vendor gets the vendor's bytes, a Messages
client of Anthropic likewise, and every other pair is translated event by event.

Only what matters of passed bytes is parsed (the first event, usage, errors). The rest is kept as it came until somebody must count
it: at a checkpoint, or when the vendor never says what it used.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import orjson

from billing.meters import Usage
from gateway import sse, tokens
from gateway.dialects import messages_anthropic, messages_chat
from gateway.errors import UpstreamError
from gateway.upstreams import openai
from tokenhub.errors import TokenHubError, envelope
from tokenhub.money import usd_number

type Headers = list[tuple[bytes, bytes]]

_EMPTY = msgspec.Raw(b'""')
_FAILED = "The model's vendor failed while answering."


class Sink(Protocol):
    """Where an answer goes. ``has_left`` is True once the client hung up; then the relaying task is cancelled."""

    has_left: bool

    async def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None: ...
    async def end(self, data: bytes) -> None: ...


class AnswerStream:
    """What the three ways share: the client's end, the framing, and counting what was said.

    ``usage`` is what the vendor reported last; it stands for the whole answer only once ``is_complete``.
    """

    def __init__(self, sink: Sink, headers: Headers):
        self._sink = sink
        self.headers = headers
        self._framer = sse.Framer()
        self._text: list[str] = []
        self._text_counted = self._tokens_counted = 0
        self.usage: Usage | None = None
        self.error: TokenHubError | None = None
        self.has_started = False
        self.wrote = time.monotonic()
        self._finished = self._done = False

    # ------------------------------------------------------------ to be said by each way

    def _take(self, event: bytes, out: list[bytes]) -> None:
        """One event from the vendor; what is to be passed on goes into ``out``."""
        raise NotImplementedError

    def _closing(self, usage: Usage, cost_nanos: int) -> bytes:
        raise NotImplementedError

    def _failure(self, error: TokenHubError) -> bytes:
        raise NotImplementedError

    # ------------------------------------------------------------ in

    @property
    def is_over(self) -> bool:
        """Nothing that follows matters."""
        return self._done or self.error is not None

    @property
    def is_complete(self) -> bool:
        """The vendor said how it ended. (Some forget the final marker; an end without a finish reason is a death.)"""
        return self.error is None and (self._done or self._finished)

    def feed(self, chunk: bytes) -> bytes:
        """Bytes to pass on for these bytes from the vendor; the last events are held back until the call is paid."""
        out: list[bytes] = []
        try:
            for event in self._framer.feed(chunk):
                self._take(event, out)
                if self.is_over:
                    break
        except (sse.EventTooLong, msgspec.DecodeError, orjson.JSONDecodeError):
            self._unreadable()
        return b"".join(out)

    def feed_rest(self) -> bytes:
        """What came after the last blank line: some vendors end, or fail, without one."""
        out: list[bytes] = []
        if self._framer.rest and not self.is_over:
            try:
                self._take(self._framer.rest, out)
            except (msgspec.DecodeError, orjson.JSONDecodeError):
                self._unreadable()
        return b"".join(out)

    def _unreadable(self) -> None:
        self.error = UpstreamError("The model's vendor sent an unreadable answer.")

    # ------------------------------------------------------------ counting

    def text(self) -> str:
        """All that was passed on so far."""
        return "".join(self._text)

    def tokens_so_far(self) -> int:
        """A running count for checkpoints: only what is new is counted."""
        self.text()
        fresh = "".join(self._text[self._text_counted :])
        self._text_counted = len(self._text)
        self._tokens_counted += tokens.count(fresh) if fresh else 0
        return self._tokens_counted

    # ------------------------------------------------------------ out

    async def send(self, data: bytes) -> None:
        self.wrote = time.monotonic()
        await self._start()
        await self._sink.write(data)

    async def keep_alive(self) -> None:
        """Tells proxies and clients that the call lives. After it, failures can only be events."""
        await self.send(sse.KEEP_ALIVE)

    async def finish(self, usage: Usage, cost_nanos: int) -> None:
        await self._start()
        await self._sink.end(self._closing(usage, cost_nanos))

    async def fail(self, error: TokenHubError) -> None:
        """One last event that SDKs raise on, and no end marker: a broken answer must not look like a short one."""
        await self._sink.end(self._failure(error))

    async def _start(self) -> None:
        if not self.has_started:
            self.has_started = True
            await self._sink.start(200, self.headers)


class ChatStream(AnswerStream):
    """Chat to chat: events pass as bytes, with our id and model spliced in."""

    def __init__(self, sink: Sink, headers: Headers, *, generation_id: str, model: str, include_usage: bool):
        super().__init__(sink, headers)
        self._id, self._model = orjson.dumps(generation_id), orjson.dumps(model)
        self._generation_id = generation_id
        self._include_usage = include_usage
        # the vendor's own spelling of id and model, learned from the first event, and ours
        self._theirs: tuple[bytes, bytes] | None = None
        self._ours = (b'"id":' + self._id, b'"model":' + self._model)
        self._created = b"0"
        self._unread: list[bytes] = []  # payloads passed on and not yet read for text
        self._waiting: list[bytes] = []
        self._speaks = False

    def _take(self, event: bytes, out: list[bytes]) -> None:
        payload = sse.data_of(event)
        if payload == b"[DONE]":
            self._done = True
            return
        if not payload:
            return
        if self._theirs is None or b'"error"' in payload[:40]:
            self._meet(payload)
            if self.error is not None:
                return
        if b'"base_resp"' in payload and self._has_failed(payload):
            return
        if has_value(payload, b'"usage"'):
            payload = self._take_usage(payload)
            if not payload:
                return
        elif self._finished and not msgspec.json.decode(payload).get("choices"):
            return  # nothing after the end but counts, and there are none
        elif not self._include_usage and b'"usage"' in payload:
            payload = payload.replace(b',"usage":null', b"", 1)
        if not self._finished and has_value(payload, b'"finish_reason"'):
            payload = self._take_end(payload)
            if self.error is not None:
                return
        self._unread.append(payload)
        if not self._speaks:
            # the opening event says only "assistant": until there is an answer, a failure can still be a proper status
            self._speaks = self._finished or any(texts_of(orjson.loads(payload)))
        self._waiting.append(sse.event(self._signed(payload)))
        if self._speaks:
            out += self._waiting
            self._waiting.clear()

    def _has_failed(self, payload: bytes) -> bool:
        try:
            openai.check_base_response(orjson.loads(payload).get("base_resp"))
        except openai.Failed as e:
            self.error = e.error
        return self.error is not None

    def _meet(self, payload: bytes) -> None:
        """The first event (or one that looks like an error): learn the vendor's id and model, or that it failed."""
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        if "error" in fields and bytes(fields["error"]) != b"null":
            self.error = UpstreamError(_FAILED)
        elif self._theirs is None:
            self._theirs = (
                b'"id":' + bytes(fields.get("id", _EMPTY)),
                b'"model":' + bytes(fields.get("model", _EMPTY)),
            )
            self._created = bytes(fields.get("created", msgspec.Raw(b"0")))

    def _signed(self, payload: bytes) -> bytes:
        """Our id and model spliced in. A quote inside JSON text is escaped, so the pattern cannot occur in content."""
        theirs, ours = self._theirs or self._ours, self._ours
        if theirs[0] in payload and theirs[1] in payload:
            return payload.replace(theirs[0], ours[0], 1).replace(theirs[1], ours[1], 1)
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        fields["id"], fields["model"] = msgspec.Raw(self._id), msgspec.Raw(self._model)
        return msgspec.json.encode(fields)

    def _take_usage(self, payload: bytes) -> bytes:
        """Remembers the counts (they are cumulative: the last ones hold); returns what is left of the event, if anything."""
        fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        usage = openai.usage_of(msgspec.json.decode(fields.pop("usage")))
        self.usage = usage if usage is not None else self.usage
        if "choices" in fields and msgspec.json.decode(fields["choices"]):
            if self._include_usage:
                fields["usage"] = msgspec.Raw(b"null")
            return msgspec.json.encode(fields)
        return b""

    def _take_end(self, payload: bytes) -> bytes:
        """The event that ends the answer, in OpenAI's words; vendors have some of their own."""
        if not openai.ends_in_standard_words(payload):
            chunk = orjson.loads(payload)
            try:
                openai.normalise_ends(chunk.get("choices") or [])
            except openai.Failed as e:
                self.error = e.error
                return payload
            payload = orjson.dumps(chunk)
            if not any(choice.get("finish_reason") for choice in chunk.get("choices") or ()):
                return payload  # an empty word in the middle of an answer
        self._finished = True
        return payload

    def text(self) -> str:
        for payload in self._unread:
            self._text += texts_of(orjson.loads(payload))
        self._unread.clear()
        return super().text()

    def _closing(self, usage: Usage, cost_nanos: int) -> bytes:
        last = b""
        if self._include_usage:
            last = sse.event(self._head() + b'"choices":[],"usage":%b}' % usage_json(usage, cost_nanos))
        return b"".join(self._waiting) + last + sse.DONE

    def _failure(self, error: TokenHubError) -> bytes:
        return sse.event(self._head() + chat_failure(error, self._generation_id)[1:])

    def _head(self) -> bytes:
        return b'{%b,"object":"chat.completion.chunk","created":%b,%b,' % (
            self._ours[0],
            self._created,
            self._ours[1],
        )


class ClientEvents(Protocol):
    """Canonical chunks as the events of the client's dialect (gateway/faces.py)."""

    def start(self) -> bytes: ...
    def feed(self, chunk: dict[str, Any]) -> bytes: ...
    def finish(self, usage: Usage, cost_nanos: int) -> bytes: ...
    def error(self, error: TokenHubError) -> bytes: ...


class UpstreamEvents(Protocol):
    """The vendor's events as canonical chunks (gateway/adapters.py)."""

    usage: Usage | None
    done: bool
    error: TokenHubError | dict[str, Any] | None  # what it means, or the vendor's own words

    @property
    def finished(self) -> bool: ...
    def feed(self, event: bytes) -> Any: ...


class TranslatedStream(AnswerStream):
    """Any vendor to any client, through canonical chunks."""

    def __init__(self, sink: Sink, headers: Headers, *, upstream: UpstreamEvents, client: ClientEvents):
        super().__init__(sink, headers)
        self._upstream = upstream
        self._client = client
        self._held: list[dict[str, Any]] | None = []  # until there is an answer

    def _take(self, event: bytes, out: list[bytes]) -> None:
        chunks = self._upstream.feed(event)
        if self._upstream.error is not None:
            said = self._upstream.error
            self.error = said if isinstance(said, TokenHubError) else UpstreamError(_FAILED)
        for chunk in chunks:
            texts = texts_of(chunk)
            self._text += texts
            if self._held is None:
                out.append(self._client.feed(chunk))
                continue
            self._held.append(chunk)
            if any(texts) or self._upstream.finished:
                out.append(self._open())
        self.usage = self._upstream.usage
        self._finished, self._done = self._upstream.finished, self._upstream.done

    def _open(self) -> bytes:
        held, self._held = self._held or [], None
        return self._client.start() + b"".join(map(self._client.feed, held))

    def _closing(self, usage: Usage, cost_nanos: int) -> bytes:
        opening = self._open() if self._held is not None else b""
        return opening + self._client.finish(usage, cost_nanos)

    def _failure(self, error: TokenHubError) -> bytes:
        return self._client.error(error)


class NativeMessagesStream(AnswerStream):
    """Messages to Anthropic: events pass as bytes; id and model are ours, and the last counts carry the charge."""

    def __init__(
        self, sink: Sink, headers: Headers, *, generation_id: str, model: str, failure: Callable[[TokenHubError], bytes]
    ):
        super().__init__(sink, headers)
        self._id, self._model = orjson.dumps(generation_id), orjson.dumps(model)
        self._events = messages_anthropic.Stream()
        self._unread: list[bytes] = []
        self._waiting: list[bytes] = []  # until the answer begins, then from the counts on
        self._speaks = False
        self._failure_of = failure

    def _take(self, event: bytes, out: list[bytes]) -> None:
        events = self._events
        events.feed(event)
        self.usage, self._finished, self._done = events.usage, events.finished, events.done
        if events.error is not None:
            self.error = UpstreamError(_FAILED)
            return
        self._unread.append(event)
        self._waiting.append(messages_anthropic.splice(event, message_id=self._id, model=self._model))
        self._speaks = self._speaks or b'"content_block_' in event[:120]
        if self._speaks and not self._finished:
            out.append(b"".join(one + b"\n\n" for one in self._waiting))
            self._waiting.clear()

    def text(self) -> str:
        for event in self._unread:
            self._text += self._events.texts(event)
        self._unread.clear()
        return super().text()

    def _closing(self, usage: Usage, cost_nanos: int) -> bytes:
        counts, cost = messages_chat.usage_object(usage), usd_number(cost_nanos)
        return b"".join(messages_anthropic.priced(event, counts, cost) + b"\n\n" for event in self._waiting)

    def _failure(self, error: TokenHubError) -> bytes:
        return self._failure_of(error)


# ---------------------------------------------------------------- shapes


def usage_json(usage: Usage, cost_nanos: int) -> bytes:
    """OpenAI's usage object plus ``cost``, the charge in USD to the last digit."""
    return (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,'
        b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0},"cost":%b}'
    ) % (
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens + usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usd_number(cost_nanos),
    )


def chat_failure(error: TokenHubError, generation_id: str) -> bytes:
    """The members of chat's last event after a failure: a top-level error, and a finish reason of its own."""
    choices = [{"index": 0, "delta": {}, "finish_reason": "error"}]
    return orjson.dumps({**envelope(error, generation_id), "choices": choices})


def has_value(payload: bytes, key: bytes) -> bool:
    """Whether the key is there with anything but null. (A key in content would have its quotes escaped.)"""
    at = payload.find(key)
    if at < 0:
        return False
    rest = payload[at + len(key) : at + len(key) + 16].lstrip(b" :\t")
    return not rest.startswith(b"null")


def texts_of(chunk: dict[str, Any]) -> list[str]:
    """What a chunk says: content, reasoning, refusals, and the names and arguments of tools."""
    texts: list[str] = []
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        texts += [delta[key] for key in ("content", "reasoning_content", "refusal") if isinstance(delta.get(key), str)]
        if not delta.get("reasoning_content"):  # else they say the same
            details = delta.get("reasoning_details")
            texts += [
                one["text"] for one in details or () if isinstance(one, dict) and isinstance(one.get("text"), str)
            ]
        for tool_call in delta.get("tool_calls") or ():
            function = tool_call.get("function") or {}
            texts += [function[key] for key in ("name", "arguments") if isinstance(function.get(key), str)]
    return texts
