"""Chat completions, as an answer ↔ OpenAI's Responses API: the Response object and the events of its stream. Pure.

Both are put together by ``_Output``, so a stream ends with the very object that a plain answer would have been.
Shapes and order of events: developers.openai.com/api/reference/responses, openai.types.responses of openai-python 3.54.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from billing.meters import Usage
from gateway.dialects.responses_reasoning import pack_reasoning

type Json = dict[str, Any]

#: what a part is called → the field of its text, its events, the events around it, the name of its position
_PARTS = {
    "output_text": ("text", "response.output_text", "response.content_part", "content_index"),
    "refusal": ("refusal", "response.refusal", "response.content_part", "content_index"),
    "reasoning_text": ("text", "response.reasoning_text", "response.content_part", "content_index"),
    "summary_text": ("text", "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index"),
}

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}

_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "prompt_cache_key", "reasoning",
    "safety_identifier", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "user",
)  # fmt: skip


def complete(choices: list[Json], *, response_id: str, model: str, created: int, usage: Usage, request: Json) -> Json:
    """The Response object for chat's ``choices``, of which the first is the answer.

    ``request`` is the client's own checked body, which the answer echoes; ``created`` is in seconds since 1970.
    The charge is put in by the caller, as ``["usage"]["cost"]``.
    """
    choice: Json = choices[0] if choices else {}
    output = _Output(response_id, request)
    for _ in output.take(choice.get("message") or {}, _logprobs(choice)):
        pass  # a plain answer tells only how it ended
    status, details = _ending(choice.get("finish_reason"))
    for _ in output.close(status):
        pass
    envelope = _envelope(response_id, model, created, request)
    return envelope | {
        "status": status,
        "incomplete_details": details,
        "output": output.items(),
        "usage": _usage(usage),
    }


class Events:
    """Chat chunks in, a Responses stream out. ``start``, then ``feed`` per chunk, then either ``finish`` or ``error``."""

    def __init__(self, *, response_id: str, model: str, created: int, request: Json):
        self._envelope = _envelope(response_id, model, created, request)
        self._output = _Output(response_id, request)
        self._finish_reason: str | None = None
        self._sequence_number = 0

    def start(self) -> bytes:
        response = self._envelope | {"status": "in_progress"}
        return self._written(
            {"type": "response.created", "response": response},
            {"type": "response.in_progress", "response": response},
        )

    def feed(self, chunk: Json) -> bytes:
        """Empty while the answer says nothing: until then a failure can still be a proper status."""
        written = b""
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                written += self._written(*self._output.take(choice.get("delta") or {}, _logprobs(choice)))
                self._finish_reason = choice.get("finish_reason") or self._finish_reason
        if "tokenhub" in chunk:  # why we ended the answer ourselves
            self._envelope["tokenhub"] = chunk["tokenhub"]
        return written

    def finish(self, usage: Usage, cost_json: bytes) -> bytes:
        """``cost_json`` is the charge in USD, a JSON number."""
        status, details = _ending(self._finish_reason)
        written = self._written(*self._output.close(status))
        counts = _usage(usage) | {"cost": orjson.Fragment(cost_json)}
        ended = {"status": status, "incomplete_details": details, "output": self._output.items(), "usage": counts}
        return written + self._written({"type": f"response.{status}", "response": self._envelope | ended})

    def error(self, code: str, message: str, request_id: str, *, error_type: str = "server_error") -> bytes:
        """``response.failed``, then ``error``.

        The SDKs yield ``response.failed`` and go on, and raise on a top-level ``error`` member only; so the last event
        has OpenAI's fields and that member beside them.
        """
        written = b"" if self._sequence_number else self.start()
        for _ in self._output.close("incomplete"):
            pass  # no item is told to be done: the answer broke off
        # the Response's own codes are a closed list, on which typed clients rely
        failure = {"code": code if code == "rate_limit_exceeded" else "server_error", "message": message}
        failed = {"status": "failed", "error": failure, "output": self._output.items()}
        said = {"code": code, "message": message, "param": None}
        return written + self._written(
            {"type": "response.failed", "response": self._envelope | failed},
            {"type": "error", **said, "error": {**said, "type": error_type, "request_id": request_id}},
        )

    def _written(self, *events: Json) -> bytes:
        written = b""
        for event in events:
            payload = orjson.dumps({**event, "sequence_number": self._sequence_number})
            self._sequence_number += 1
            written += b"event: %b\ndata: %b\n\n" % (event["type"].encode(), payload)
        return written


# ---------------------------------------------------------------- what surrounds the output


def _envelope(response_id: str, model: str, created: int, request: Json) -> Json:
    """A Response that has said nothing yet, with what was asked echoed and OpenAI's defaults for what was not."""
    echoed = {name: request[name] for name in _ECHOED if request.get(name) is not None}
    text = {"format": {"type": "text"}} | {k: v for k, v in echoed.pop("text", {}).items() if v is not None}
    reasoning = {"effort": None, "summary": None} | echoed.pop("reasoning", {})
    tools = [{"description": None, "parameters": None, "strict": False} | tool for tool in echoed.pop("tools", [])]
    defaults: Json = dict.fromkeys(_ECHOED) | {
        "metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "top_logprobs": 0,
    }  # fmt: skip
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **defaults,
        **echoed,
        "text": text,
        "reasoning": reasoning,
        "tools": tools,
    }


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _ending(finish_reason: str | None) -> tuple[str, Json | None]:
    reason = _INCOMPLETE.get(finish_reason or "")
    return ("incomplete", {"reason": reason}) if reason else ("completed", None)


def _logprobs(choice: Json) -> list[Json]:
    """Chat's, with ``bytes`` where chat has null."""
    return [
        {
            **_logprob(token),
            "top_logprobs": [_logprob(top) for top in token.get("top_logprobs") or ()],
        }
        for token in (choice.get("logprobs") or {}).get("content") or ()
    ]


def _logprob(token: Json) -> Json:
    return {"token": token.get("token"), "logprob": token.get("logprob"), "bytes": token.get("bytes") or []}


# ---------------------------------------------------------------- the output


class _Output:
    """The items of an answer, growing delta by delta. Each step yields the events that tell of it, unnumbered.

    Texts end where something else begins. Calls end with the answer, because vendors may interleave their arguments.
    """

    def __init__(self, response_id: str, request: Json):
        self._stem = response_id.removeprefix("resp_")
        # who asked for summaries listens for those; otherwise reasoning is what it is, text
        reasoning = request.get("reasoning") or {}
        self._reasoning_kind = (
            "summary_text" if reasoning.get("summary") or reasoning.get("generate_summary") else "reasoning_text"
        )
        self._items: list[_Texts | _Call] = []
        self._open: _Texts | None = None
        self._calls: dict[int, _Call] = {}
        self._thinks_aloud = False

    def items(self) -> list[Json]:
        return [item.shape() for item in self._items]

    def take(self, delta: Json, logprobs: list[Json]) -> Iterator[Json]:
        """``delta`` is chat's delta, or a whole message."""
        details = [detail for detail in delta.get("reasoning_details") or () if isinstance(detail, dict)]
        thought = delta.get("reasoning_content") or ""
        self._thinks_aloud = self._thinks_aloud or bool(thought)
        if not self._thinks_aloud:  # else the details only repeat what was said
            thought = "".join(d.get("text") or "" for d in details if d.get("type") == "reasoning.text")
        if details or thought:
            yield from self._reason(thought, details)
        for kind, key in (("output_text", "content"), ("refusal", "refusal")):
            if delta.get(key):
                yield from self._say(kind, delta[key], logprobs if kind == "output_text" else [])
        for position, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._call(call.get("index", position), call)

    def close(self, status: str) -> Iterator[Json]:
        """Ends all that is open; an incomplete answer stopped within its last item."""
        for item in self._items:
            if item.status == "in_progress":
                yield from item.close(status if item is self._items[-1] else "completed")

    def _reason(self, thought: str, details: list[Json]) -> Iterator[Json]:
        item, opened = self._texts("reasoning")
        yield from opened
        item.details += details
        if thought:
            yield from item.say(self._reasoning_kind, thought, [])

    def _say(self, kind: str, text: str, logprobs: list[Json]) -> Iterator[Json]:
        item, opened = self._texts("message")
        yield from opened
        yield from item.say(kind, text, logprobs)

    def _texts(self, kind: str) -> tuple["_Texts", list[Json]]:
        """The open item of that kind, or a new one with the events that end the item before it and begin this one."""
        if self._open is not None and self._open.kind == kind:
            return self._open, []
        events = list(self._open.close("completed")) if self._open is not None else []
        prefix = "rs" if kind == "reasoning" else "msg"
        self._open = _Texts(f"{prefix}_{self._stem}_{len(self._items)}", len(self._items), kind)
        return self._open, [*events, self._added(self._open)]

    def _call(self, index: int, delta: Json) -> Iterator[Json]:
        function = delta.get("function") or {}
        if index not in self._calls:
            if self._open is not None:
                yield from self._open.close("completed")
                self._open = None
            position = len(self._items)
            call_id = delta.get("id") or f"call_{self._stem}_{position}"
            call = _Call(f"fc_{self._stem}_{position}", position, call_id, function.get("name") or "")
            self._calls[index] = call
            yield self._added(call)
        if function.get("arguments"):
            yield self._calls[index].argue(function["arguments"])

    def _added(self, item: "_Texts | _Call") -> Json:
        self._items.append(item)
        return {"type": "response.output_item.added", "output_index": item.output_index, "item": item.shape()}


@dataclass(slots=True)
class _Part:
    kind: str
    texts: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)

    def shape(self) -> Json:
        shape: Json = {"type": self.kind, _PARTS[self.kind][0]: "".join(self.texts)}
        return shape | {"annotations": [], "logprobs": self.logprobs} if self.kind == "output_text" else shape


@dataclass(slots=True, eq=False)
class _Texts:
    """A message, or reasoning: parts one after the other, of which the last is open."""

    id: str
    output_index: int
    kind: str
    parts: list[_Part] = field(default_factory=list)
    details: list[Json] = field(default_factory=list)
    status: str = "in_progress"

    def shape(self) -> Json:
        if self.kind == "message":
            content = [part.shape() for part in self.parts]
            return {"type": "message", "id": self.id, "role": "assistant", "status": self.status, "content": content}
        shape: Json = {"type": "reasoning", "id": self.id, "status": self.status, "summary": []}
        for part in self.parts:
            shape.setdefault("summary" if part.kind == "summary_text" else "content", []).append(part.shape())
        sealed = pack_reasoning(self.details)
        return shape | {"encrypted_content": sealed} if sealed else shape

    def say(self, kind: str, text: str, logprobs: list[Json]) -> Iterator[Json]:
        if not self.parts or self.parts[-1].kind != kind:
            yield from self._end_part()
            self.parts.append(_Part(kind))
            yield self._told(f"{_PARTS[kind][2]}.added", part=self.parts[-1].shape())
        self.parts[-1].texts.append(text)
        self.parts[-1].logprobs += logprobs
        more = {"logprobs": logprobs} if kind == "output_text" else {}
        yield self._told(f"{_PARTS[kind][1]}.delta", delta=text, **more)

    def close(self, status: str) -> Iterator[Json]:
        self.status = status
        yield from self._end_part()
        yield {"type": "response.output_item.done", "output_index": self.output_index, "item": self.shape()}

    def _end_part(self) -> Iterator[Json]:
        if self.parts:
            part = self.parts[-1]
            key, name, around, _ = _PARTS[part.kind]
            more = {"logprobs": part.logprobs} if part.kind == "output_text" else {}
            yield self._told(f"{name}.done", **{key: "".join(part.texts)}, **more)
            yield self._told(f"{around}.done", part=part.shape())

    def _told(self, event: str, **more: Any) -> Json:
        """An event about the open part."""
        position = {_PARTS[self.parts[-1].kind][3]: len(self.parts) - 1}
        return {"type": event, "item_id": self.id, "output_index": self.output_index, **position, **more}


@dataclass(slots=True, eq=False)
class _Call:
    id: str
    output_index: int
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    status: str = "in_progress"

    def shape(self) -> Json:
        return {
            "type": "function_call",
            "id": self.id,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": "".join(self.arguments),
            "status": self.status,
        }

    def argue(self, arguments: str) -> Json:
        self.arguments.append(arguments)
        return self._told("response.function_call_arguments.delta", delta=arguments)

    def close(self, status: str) -> Iterator[Json]:
        self.status = status
        arguments = "".join(self.arguments)
        yield self._told("response.function_call_arguments.done", name=self.name, arguments=arguments)
        yield {"type": "response.output_item.done", "output_index": self.output_index, "item": self.shape()}

    def _told(self, event: str, **more: Any) -> Json:
        return {"type": event, "item_id": self.id, "output_index": self.output_index, **more}
