"""The official SDKs behind one small shape, so that the same conversation can be held in each dialect."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from anthropic import Anthropic
from openai import OpenAI

from tests.gateway.price_file import Counts
from tests.servers import Server

type Json = dict[str, Any]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "The weather"}


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """An answer, whatever dialect it came in. ``ending`` is in chat's words; ``turn`` is how the conversation goes on with it."""

    model: str
    ending: str
    text: str
    calls: list[ToolCall]
    turn: list[Json]
    counts: Counts
    cost_usd: float

    @property
    def cost_nanos(self) -> int:
        return round(self.cost_usd * 1e9)


class Dialect(Protocol):
    def user(self, text: str, image: str | None = None) -> Json: ...
    def result(self, call: ToolCall, text: str) -> Json: ...
    def ask(self, slug: str, turns: list[Json], *, streamed: bool, tools: bool = False) -> Said: ...


class Chat:
    #: how a 400 calls the conversation
    conversation = "messages"

    def __init__(self, site: Server, key: str):
        self._sdk = OpenAI(base_url=site.api, api_key=key, max_retries=0)

    def user(self, text: str, image: str | None = None) -> Json:
        parts: list[Json] = [{"type": "text", "text": text}]
        if image:
            parts.append({"type": "image_url", "image_url": {"url": image}})
        return {"role": "user", "content": parts if image else text}

    def result(self, call: ToolCall, text: str) -> Json:
        return {"role": "tool", "tool_call_id": call.id, "content": text}

    def ask(self, slug: str, turns: list[Json], *, streamed: bool, tools: bool = False) -> Said:
        asked: Json = {"model": slug, "messages": turns, "max_tokens": 3_000}
        if tools:
            asked["tools"] = [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]
        if streamed:
            return self._joined(
                self._sdk.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked)
            )
        answer: Any = self._sdk.chat.completions.create(**asked)
        (choice,) = answer.choices
        calls = [ToolCall(it.id, it.function.name, it.function.arguments) for it in choice.message.tool_calls or ()]
        return self._said(answer.model, choice.finish_reason, choice.message.content or "", calls, answer.usage)

    def _joined(self, stream: Iterable[Any]) -> Said:
        chunks = list(stream)
        assert len({chunk.id for chunk in chunks}) == len({chunk.model for chunk in chunks}) == 1
        assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].choices == []
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        calls: dict[int, list[str]] = {}
        for piece in (piece for choice in choices for piece in choice.delta.tool_calls or ()):
            known = calls.setdefault(piece.index, ["", "", ""])
            for at, text in enumerate((piece.id, piece.function.name, piece.function.arguments)):
                known[at] += text or ""
        text = "".join(choice.delta.content or "" for choice in choices)
        made = [ToolCall(*parts) for parts in calls.values()]
        return self._said(chunks[0].model, choices[-1].finish_reason, text, made, chunks[-1].usage)

    def _said(self, model: str, ending: str, text: str, calls: list[ToolCall], usage: Any) -> Said:
        functions = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
        details = usage.prompt_tokens_details
        counts = Counts(usage.prompt_tokens, usage.completion_tokens, details.cached_tokens, details.cache_write_tokens)
        return Said(model, ending, text, calls, [{"role": "assistant", "tool_calls": functions}], counts, usage.cost)


class Messages:
    conversation = "messages"
    _ENDINGS = {"end_turn": "stop", "tool_use": "tool_calls"}

    def __init__(self, site: Server, key: str):
        self._sdk = Anthropic(base_url=site.url, api_key=key, max_retries=0)

    def user(self, text: str, image: str | None = None) -> Json:
        blocks: list[Json] = [{"type": "text", "text": text}]
        if image and image.startswith("data:"):
            kind, _, data = image.removeprefix("data:").partition(";base64,")
            blocks.append({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
        elif image:
            blocks.append({"type": "image", "source": {"type": "url", "url": image}})
        return {"role": "user", "content": blocks}

    def result(self, call: ToolCall, text: str) -> Json:
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": text}]}

    def ask(self, slug: str, turns: list[Json], *, streamed: bool, tools: bool = False) -> Said:
        asked: Json = {"model": slug, "messages": turns, "max_tokens": 3_000}
        if tools:
            asked["tools"] = [{**TOOL, "input_schema": SCHEMA}]
        if not streamed:
            message = self._sdk.messages.create(**asked)
            return self._said(message, message.usage)
        with self._sdk.messages.stream(**asked) as stream:
            (last,) = [event for event in stream if event.type == "message_delta"]
            return self._said(stream.get_final_message(), last.usage)

    def _said(self, message: Any, usage: Any) -> Said:
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        uses = [block for block in message.content if block.type == "tool_use"]
        return Said(
            model=message.model,
            ending=self._ENDINGS[message.stop_reason],
            text="".join(block.text for block in message.content if block.type == "text"),
            calls=[ToolCall(use.id, use.name, json.dumps(use.input)) for use in uses],
            turn=[{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}],
            counts=Counts(usage.input_tokens + read + written, usage.output_tokens, read, written),
            cost_usd=usage.cost,
        )


class Responses:
    conversation = "input"

    def __init__(self, site: Server, key: str):
        self._sdk = OpenAI(base_url=site.api, api_key=key, max_retries=0)

    def user(self, text: str, image: str | None = None) -> Json:
        parts: list[Json] = [{"type": "input_text", "text": text}]
        if image:
            parts.append({"type": "input_image", "image_url": image, "detail": "auto"})
        return {"role": "user", "content": parts}

    def result(self, call: ToolCall, text: str) -> Json:
        return {"type": "function_call_output", "call_id": call.id, "output": text}

    def ask(self, slug: str, turns: list[Json], *, streamed: bool, tools: bool = False) -> Said:
        asked: Json = {"model": slug, "input": turns, "max_output_tokens": 3_000}
        if tools:
            asked["tools"] = [{"type": "function", **TOOL, "parameters": SCHEMA, "strict": False}]
        if not streamed:
            return self._said(self._sdk.responses.create(**asked))
        events = list(self._sdk.responses.create(stream=True, **asked))
        assert events[0].type == "response.created" and events[-1].type == "response.completed"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        said = self._said(events[-1].response)
        assert said.text == "".join(event.delta for event in events if event.type == "response.output_text.delta")
        return said

    def _said(self, response: Any) -> Said:
        assert response.status == "completed"
        calls = [ToolCall(it.call_id, it.name, it.arguments) for it in response.output if it.type == "function_call"]
        usage, details = response.usage, response.usage.input_tokens_details
        return Said(
            model=response.model,
            ending="tool_calls" if calls else "stop",
            text=response.output_text,
            calls=calls,
            turn=[item.model_dump(exclude_none=True) for item in response.output],
            counts=Counts(usage.input_tokens, usage.output_tokens, details.cached_tokens, details.cache_write_tokens),
            cost_usd=usage.cost,
        )


DIALECTS: dict[str, type[Chat] | type[Messages] | type[Responses]] = {
    "chat": Chat, "messages": Messages, "responses": Responses,
}  # fmt: skip
