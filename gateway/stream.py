"""A streamed chat answer on its way through: events pass as bytes, with our id and model in place of the vendor's.

Only the frames that matter are parsed (the first, usage, errors). The others are kept as they came until somebody must count
them: at a checkpoint, or when the vendor never says what it used.
"""

import time
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from billing.meters import Usage
from gateway import sse, tokens
from gateway.errors import UpstreamError
from gateway.upstreams import openai
from tokenhub.errors import TokenHubError, envelope

if TYPE_CHECKING:
    from gateway.relay import Sink

_EMPTY = msgspec.Raw(b'""')


class ChatStream:
    """Feed it the upstream's bytes; it says what to send on. ``usage`` is what the vendor reported last."""

    def __init__(
        self, *, generation_id: str, model: str, include_usage: bool, sink: "Sink", headers: list[tuple[bytes, bytes]]
    ):
        self._id = orjson.dumps(generation_id)
        self._generation_id = generation_id
        self._model = orjson.dumps(model)
        self._include_usage = include_usage
        self._sink = sink
        self.headers = headers
        self._framer = sse.Framer()
        # the vendor's own spelling of id and model, learned from the first event, and ours
        self._theirs: tuple[bytes, bytes] | None = None
        self._ours = (b'"id":' + self._id, b'"model":' + self._model)
        self._created = b"0"
        self._uncounted: list[bytes] = []  # payloads passed on and not yet read for text
        self._text: list[str] = []
        self._text_counted = self._tokens_counted = 0
        self.usage: Usage | None = None
        self.error: TokenHubError | None = None
        self.has_started = False
        self.wrote = time.monotonic()
        self._waiting: list[bytes] = []
        self._speaks = self._finished = self._done = False

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
        """Bytes to pass on for these bytes from the vendor; the usage event and the end marker are held back."""
        out: list[bytes] = []
        try:
            for event in self._framer.feed(chunk):
                payload = sse.data_of(event)
                if payload == b"[DONE]":
                    self._done = True
                    break
                if payload:
                    self._take(payload, out)
                    if self.error is not None:
                        break
        except sse.EventTooLong:
            self.error = UpstreamError("The model's vendor sent an unreadable answer.")
        return b"".join(out)

    def _take(self, payload: bytes, out: list[bytes]) -> None:
        if self._theirs is None or b'"error"' in payload[:40]:
            self._meet(payload)
            if self.error is not None:
                return
        if _has_value(payload, b'"usage"'):
            payload = self._take_usage(payload)
            if not payload:
                return
        elif not self._include_usage and b'"usage"' in payload:
            payload = payload.replace(b',"usage":null', b"", 1)
        if not self._finished and _has_value(payload, b'"finish_reason"'):
            self._finished = True
        self._uncounted.append(payload)
        if not self._speaks:
            # the opening event says only "assistant": until there is an answer, a failure can still be a proper status
            self._speaks = self._finished or any(_delta_texts(payload))
        self._waiting.append(sse.event(self._signed(payload)))
        if self._speaks:
            out += self._waiting
            self._waiting.clear()

    def _meet(self, payload: bytes) -> None:
        """The first event (or one that looks like an error): learn the vendor's id and model, or that it failed."""
        try:
            fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            self.error = UpstreamError("The model's vendor sent an unreadable answer.")
            return
        if "error" in fields and bytes(fields["error"]) != b"null":
            self.error = UpstreamError("The model's vendor failed while answering.")
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

    # ------------------------------------------------------------ counting

    def text(self) -> str:
        """All that was passed on, read out of the events."""
        for payload in self._uncounted:
            self._text += _delta_texts(payload)
        self._uncounted.clear()
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
        if not self.has_started:
            self.has_started = True
            await self._sink.start(200, self.headers)
        await self._sink.write(data)

    async def keep_alive(self) -> None:
        """Tells proxies and clients that the call lives. After it, failures can only be events."""
        await self.send(sse.KEEP_ALIVE)

    def usage_event(self, usage: bytes) -> bytes:
        return sse.event(
            b'{%b,"object":"chat.completion.chunk","created":%b,%b,"choices":[],"usage":%b}'
            % (self._ours[0], self._created, self._ours[1], usage)
        )

    async def finish(self, last: bytes) -> None:
        if not self.has_started:
            self.has_started = True
            await self._sink.start(200, self.headers)
        await self._sink.end(b"".join(self._waiting) + last + sse.DONE)

    async def fail(self, error: TokenHubError) -> None:
        """One last event with a top-level error (SDKs raise on it), and no end marker."""
        body: dict[str, Any] = {
            **envelope(error, self._generation_id),
            "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
        }
        payload = b'{%b,"object":"chat.completion.chunk","created":%b,%b,' % (
            self._ours[0],
            self._created,
            self._ours[1],
        )
        await self._sink.end(sse.event(payload + orjson.dumps(body)[1:]))


def _has_value(payload: bytes, key: bytes) -> bool:
    """Whether the key is there with anything but null. (A key in content would have its quotes escaped.)"""
    at = payload.find(key)
    if at < 0:
        return False
    rest = payload[at + len(key) : at + len(key) + 16].lstrip(b" :\t")
    return not rest.startswith(b"null")


def _delta_texts(payload: bytes) -> list[str]:
    texts: list[str] = []
    for choice in orjson.loads(payload).get("choices") or ():
        delta = choice.get("delta") or {}
        texts += [delta[key] for key in ("content", "reasoning_content", "refusal") if isinstance(delta.get(key), str)]
        for tool_call in delta.get("tool_calls") or ():
            function = tool_call.get("function") or {}
            texts += [function[key] for key in ("name", "arguments") if isinstance(function.get(key), str)]
    return texts
