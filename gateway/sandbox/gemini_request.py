"""Reading the body of ``POST /google/v1beta/models/{model}:generateContent``: its conversation in OpenAI's terms."""

import itertools
from collections import deque
from typing import Any

import orjson

from gateway.sandbox import chat_request, gemini_rules
from gateway.sandbox.chat_request import ChatRequest

type Json = dict[str, Any]

CHOICES = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}


def read(body: Json, model: str, stream: bool) -> ChatRequest:
    """The request in OpenAI's terms; Refusal (400) where Google would refuse."""
    gemini_rules.check(body, model)
    config = body.get("generationConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames")
    functions = [_function(declaration) for declaration in gemini_rules.declarations(body)]
    chat: Json = {
        "model": model,
        "messages": _messages(body),
        "stream": stream,
        "n": config.get("candidateCount"),
        "seed": config.get("seed"),
        "max_tokens": config.get("maxOutputTokens"),
        "stop": config.get("stopSequences") or [],
        "tools": [
            {"type": "function", "function": function}
            for function in functions
            if not allowed or function["name"] in allowed
        ],
        "tool_choice": CHOICES[calling.get("mode", "AUTO")],
    }
    if config.get("responseMimeType") == "application/json":
        schema = config.get("responseJsonSchema") or _plain_schema(config.get("responseSchema"))
        chat["response_format"] = {"type": "json_object"}
        if schema:
            chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    thinks = (config.get("thinkingConfig") or {}).get("includeThoughts") is True
    return chat_request.read(chat, native=body, thinks=thinks)


def _messages(body: Json) -> list[Json]:
    ids = itertools.count()
    open_calls: deque[str] = deque()
    system = body.get("systemInstruction")
    messages: list[Json] = [{"role": "system", "content": _parts(system)}] if system else []
    for content in body["contents"]:
        messages += _content_messages(content, ids, open_calls)
    return messages


def _content_messages(content: Json, ids: "itertools.count[int]", open_calls: deque[str]) -> list[Json]:
    """A turn as OpenAI would have it: calls get ids of ours, and results, messages of their own, take them in order."""
    messages: list[Json] = [
        {
            "role": "tool",
            "tool_call_id": open_calls.popleft(),
            "name": answer["name"],
            "content": orjson.dumps(answer["response"]).decode(),
        }
        for answer in gemini_rules.parts_of(content, "functionResponse")
    ]
    calls = []
    for call in gemini_rules.parts_of(content, "functionCall"):
        open_calls.append(f"call_{next(ids)}")
        function = {"name": call["name"], "arguments": orjson.dumps(call.get("args") or {}).decode()}
        calls.append({"id": open_calls[-1], "type": "function", "function": function})
    parts = _parts(content)
    role = "assistant" if content.get("role") == "model" else "user"
    if calls:
        messages.append({"role": role, "content": parts, "tool_calls": calls})
    elif parts or not messages:
        messages.append({"role": role, "content": parts})
    return messages


def _parts(content: Json) -> list[Json]:
    """Texts and media; thoughts are not said again."""
    parts: list[Json] = []
    for part in content["parts"]:
        if "text" in part and part.get("thought") is not True:
            parts.append({"type": "text", "text": part["text"]})
        elif "inlineData" in part or "fileData" in part:
            parts.append({"type": "file"})
    return parts


def _function(declaration: Json) -> Json:
    schema = declaration.get("parametersJsonSchema") or _plain_schema(declaration.get("parameters"))
    return {"name": declaration["name"], "description": declaration.get("description"), "parameters": schema}


def _plain_schema(schema: Any) -> Any:
    """Google's own schemas name types in capitals."""
    if isinstance(schema, list):
        return [_plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _plain_schema(value)
        for name, value in schema.items()
    }
