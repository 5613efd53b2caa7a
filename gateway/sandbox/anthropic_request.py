"""Reading the body of ``POST /anthropic/v1/messages``: its conversation in OpenAI's terms, and what it wants cached."""

from collections.abc import Iterator
from typing import Any

import orjson

from gateway import tokens
from gateway.sandbox import anthropic_rules, chat_request
from gateway.sandbox.anthropic_rules import blocks_of, turns_of
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.prompt_cache import Block
from gateway.sandbox.wires import Call

type Json = dict[str, Any]

TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
ONE_MESSAGE_TOKENS = tokens.MESSAGE_OVERHEAD_TOKENS + tokens.CONVERSATION_OVERHEAD_TOKENS


def read(call: Call) -> ChatRequest:
    """The request in OpenAI's terms; Refusal (400) where Anthropic would refuse."""
    body = call.body
    anthropic_rules.check(body, call.headers)
    choice = body.get("tool_choice") or {"type": "auto"}
    chat: Json = {
        "model": body["model"],
        "messages": _messages(body),
        "max_tokens": body["max_tokens"],
        "stop": body.get("stop_sequences") or [],
        "stream": body.get("stream") is True,
        "tools": [_tool(tool) for tool in body.get("tools") or [] if tool.get("type", "custom") == "custom"],
        "tool_choice": TOOL_CHOICES.get(choice["type"], {"function": {"name": choice.get("name")}}),
        "parallel_tool_calls": choice.get("disable_parallel_tool_use") is not True,
    }
    answer_format = (body.get("output_config") or {}).get("format")
    if isinstance(answer_format, dict) and answer_format.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": answer_format.get("schema")}}
    return chat_request.read(chat, native=body, thinks=anthropic_rules.thinks(body))


def cache_blocks(body: Json) -> list[Block]:
    """The prompt in the order in which it is cached (tools, system, messages); empty where nothing is to be cached."""
    if not any(True for _ in anthropic_rules.breakpoints(body)):
        return []
    blocks = [Block(_identity("tool", tool), 0, _ttl(tool)) for tool in body.get("tools") or []]
    for role, native in _prompt_blocks(body):
        messages = _turn_messages(role, [native])
        counted = sum(tokens.count_messages([message]) - ONE_MESSAGE_TOKENS for message in messages)
        blocks.append(Block(_identity(role, native), counted, _ttl(native)))
    if body.get("cache_control"):
        blocks[-1] = Block(blocks[-1].content, blocks[-1].tokens, _ttl(body))
    return blocks


def _messages(body: Json) -> list[Json]:
    system = blocks_of(body.get("system") or [], "system")
    messages = _turn_messages("system", system) if system else []
    return messages + [message for role, blocks in turns_of(body) for message in _turn_messages(role, blocks)]


def _turn_messages(role: str, blocks: list[Json]) -> list[Json]:
    """A turn as OpenAI would have it: results are messages of their own, thinking is not said again."""
    messages: list[Json] = [
        {"role": "tool", "tool_call_id": block["tool_use_id"], "content": _parts(_result_blocks(block))}
        for block in blocks
        if block["type"] == "tool_result"
    ]
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": orjson.dumps(block["input"]).decode()},
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    parts = _parts(blocks)
    if calls:
        messages.append({"role": role, "content": parts, "tool_calls": calls})
    elif parts or not messages:
        messages.append({"role": role, "content": parts})
    return messages


def _parts(blocks: list[Json]) -> list[Json]:
    parts = []
    for block in blocks:
        if block["type"] == "text":
            parts.append({"type": "text", "text": block["text"]})
        elif block["type"] in anthropic_rules.SOURCES:
            parts.append({"type": "image_url" if block["type"] == "image" else "file"})
    return parts


def _result_blocks(block: Json) -> list[Json]:
    return blocks_of(block.get("content") or [], "content")


def _tool(tool: Json) -> Json:
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": function}


def _prompt_blocks(body: Json) -> Iterator[tuple[str, Json]]:
    for block in blocks_of(body.get("system") or [], "system"):
        yield "system", block
    for role, blocks in turns_of(body):
        for block in blocks:
            yield role, block


def _identity(role: str, block: Json) -> bytes:
    """What makes two blocks the same: all but where the caller ends its prefixes."""
    said = {name: value for name, value in block.items() if name != "cache_control"}
    return orjson.dumps([role, said], option=orjson.OPT_SORT_KEYS)


def _ttl(block: Json) -> str | None:
    control = block.get("cache_control")
    return (control.get("ttl") or "5m") if control else None
