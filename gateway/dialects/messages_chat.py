"""Anthropic's Messages, as clients speak it, to and from canonical chat.

Wire facts: docs.anthropic.com/en/api/messages and the types of anthropic-sdk-python (2026). The check is an allow-list at every
depth: a body that ``request`` accepts holds nothing but what is named here and the caller's own JSON (tool schemas and inputs),
which is why gateway/dialects/messages_anthropic.py may send its parts on as they are.
"""

from collections.abc import Collection
from typing import Any

import orjson

from billing.meters import Usage
from gateway.dialects.faults import Invalid, Unknown, Unsupported

MESSAGES_MAX = 10_000
STOPS_MAX = 64
TOOLS_MAX = 512
USER_CHARACTERS_MAX = 512
#: what counting a prompt assumes, where no answer is asked for
_OUTPUT_TOKENS_ANY = 10_000_000

#: refused by name: each has a price of its own, names an object of the vendor account that all customers share, or does both
REFUSED = {
    "container": "containers belong to the vendor account",
    "context_management": "send the conversation as the model shall see it",
    "fallbacks": "name the model to use",
    "inference_geo": "inference regions have prices of their own and are not sold here",
    "mcp_servers": "servers called by the vendor are not sold here; offer their tools as your own",
    "speed": "fast modes have prices of their own and are not sold here",
    "user_profile_id": "user profiles belong to the vendor account",
}
#: thinking budgets, the inverse of the efforts that are sent to models which know budgets alone
_EFFORT_BY_BUDGET = ((1024, "low"), (2048, "medium"), (4096, "high"), (8192, "xhigh"))
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

type Json = dict[str, Any]


# ---------------------------------------------------------------- requests


def request(body: Any) -> Json:
    """A Messages request as canonical chat, with ``model``, ``stream`` and ``max_tokens``. The body is left as it is.

    Cache breakpoints stay on the parts that carry them. Raises Invalid, Unknown or Unsupported, naming the parameter.
    """
    _check_fields(body)
    chat: Json = {"model": _text(body.get("model"), "model"), "max_tokens": _whole(body.get("max_tokens"), "max_tokens", 1)}
    if body.get("stream") is not None:
        chat["stream"] = _flag(body["stream"], "stream")
    chat["messages"] = _system(body.get("system")) + _messages(body.get("messages"))
    if body.get("cache_control") is not None:
        _mark(chat["messages"], _cache_control(body["cache_control"], "cache_control"), "cache_control")
    _take_tools(body, chat)
    _take_sampling(body, chat)
    _take_thinking(body, chat)
    return chat


def dropped(body: Json) -> list[str]:
    """What a checked request says and canonical chat has no word for: named to the caller, not refused."""
    names = ["top_k"] if body.get("top_k") is not None else []
    if (body.get("thinking") or {}).get("display") == "omitted":
        names.append("thinking.display")
    return names


def count_text(body: Any) -> list[Json]:
    """The messages to count for ``/messages/count_tokens``: the whole prompt, tools and answer schema as JSON text.

    Raises as ``request`` does; ``max_tokens`` may be missing.
    """
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    chat = request({**body, "max_tokens": body.get("max_tokens") or _OUTPUT_TOKENS_ANY})
    prompt = {name: chat[name] for name in ("tools", "response_format") if name in chat}
    extra = [{"role": "system", "content": _json(prompt, "tools")}] if prompt else []
    return [*chat["messages"], *extra]


_FIELDS = {
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k",
    "stream", "thinking", "output_config", "metadata", "cache_control", "service_tier",
}  # fmt: skip


def _check_fields(body: Any) -> None:
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    for name, value in body.items():
        if value is None or name in _FIELDS:  # null means absent
            continue
        if name in REFUSED:
            raise Unsupported(f"`{name}` is not supported: {REFUSED[name]}.", name)
        raise Unknown(f"Unknown parameter: `{name}`.", name)
    if body.get("service_tier") not in (None, "auto", "standard_only"):
        raise Unsupported("`service_tier`: other tiers have prices of their own and are not sold here.", "service_tier")


def _take_sampling(body: Json, chat: Json) -> None:
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is not None:
            if type(value) not in (int, float) or not 0 <= value <= 1:
                raise Invalid(f"`{name}` must be a number from 0 to 1.", name)
            chat[name] = value
    if body.get("top_k") is not None:
        _whole(body["top_k"], "top_k", 0)
    stops = body.get("stop_sequences")
    if stops is not None:
        if not isinstance(stops, list) or len(stops) > STOPS_MAX or not all(isinstance(stop, str) and stop for stop in stops):
            raise Invalid(f"`stop_sequences` must be a list of at most {STOPS_MAX} strings.", "stop_sequences")
        if stops:
            chat["stop"] = stops
    metadata = body.get("metadata")
    if metadata is not None:
        user = _object(metadata, "metadata", {"user_id"}).get("user_id")
        if user is not None and (not isinstance(user, str) or len(user) > USER_CHARACTERS_MAX):
            raise Invalid(f"`metadata.user_id` must be a string of at most {USER_CHARACTERS_MAX} characters.", "metadata.user_id")
        if user is not None:
            chat["user"] = user


def _take_thinking(body: Json, chat: Json) -> None:
    """Thinking and ``output_config``. A named effort says more than a budget; thinking switched off says the last word."""
    effort = _thinking_effort(body.get("thinking"), body["max_tokens"])
    config = body.get("output_config")
    if config is not None:
        _object(config, "output_config", {"effort", "format"})
        if config.get("effort") is not None:
            asked = _one_of(config["effort"], "output_config.effort", ("low", "medium", "high", "xhigh", "max"))
            effort = effort if effort == "none" else asked
        if config.get("format") is not None:
            where = "output_config.format"
            form = _object(config["format"], where, {"type", "schema"})
            _one_of(form.get("type"), f"{where}.type", ("json_schema",))
            schema = _object(form.get("schema"), f"{where}.schema")
            chat["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
    if effort is not None:
        chat["reasoning_effort"] = effort


def _thinking_effort(thinking: Any, max_tokens: int) -> str | None:
    """None where the model shall judge for itself."""
    if thinking is None:
        return None
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    _one_of(kind, "thinking.type", ("enabled", "adaptive", "disabled", "between_tools"))
    allowed = {"enabled": {"budget_tokens", "display"}, "adaptive": {"display"}}.get(str(kind), set())
    _object(thinking, "thinking", {"type", *allowed})
    if thinking.get("display") is not None:
        _one_of(thinking["display"], "thinking.display", ("summarized", "omitted"))
    if kind != "enabled":
        return "none" if kind == "disabled" else None
    budget = _whole(thinking.get("budget_tokens"), "thinking.budget_tokens", 1024)
    if budget >= max_tokens:
        raise Invalid("`thinking.budget_tokens` must be less than `max_tokens`.", "thinking.budget_tokens")
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget <= most), "max")


# ---------------------------------------------------------------- tools


def _take_tools(body: Json, chat: Json) -> None:
    tools = body.get("tools")
    if tools is not None and (not isinstance(tools, list) or len(tools) > TOOLS_MAX):
        raise Invalid(f"`tools` must be a list of at most {TOOLS_MAX} tools.", "tools")
    if tools:
        chat["tools"] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    _one_of(kind, "tool_choice.type", ("auto", "any", "tool", "none"))
    _object(choice, "tool_choice", {"type", "disable_parallel_tool_use", *(["name"] if kind == "tool" else [])})
    name = _text(choice.get("name"), "tool_choice.name") if kind == "tool" else None
    one_at_a_time = _flag(choice.get("disable_parallel_tool_use") or False, "tool_choice.disable_parallel_tool_use")
    if not tools:
        if kind in ("any", "tool"):
            raise Invalid("`tool_choice` asks for a tool and `tools` is empty.", "tool_choice")
        return  # nothing to choose from: OpenAI's dialect refuses a choice without tools
    named = {"type": "function", "function": {"name": name}}
    chat["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}.get(str(kind), named)
    if one_at_a_time:
        chat["parallel_tool_calls"] = False


def _tool(tool: Any, where: str) -> Json:
    if isinstance(tool, dict) and tool.get("type") not in (None, "custom"):
        raise Unsupported(
            f"`{where}.type`: only custom tools; the vendor's own tools have prices of their own and are not sold here.",
            f"{where}.type",
        )
    _object(
        tool,
        where,
        {
            "type", "name", "description", "input_schema", "strict", "cache_control",
            "eager_input_streaming", "defer_loading", "allowed_callers",
        },
    )  # fmt: skip
    if tool.get("defer_loading"):
        raise Unsupported(f"`{where}.defer_loading` goes with the vendor's tool search, which is not sold here.", f"{where}.defer_loading")
    if tool.get("allowed_callers") not in (None, ["direct"]):
        raise Unsupported(f"`{where}.allowed_callers` can only be [\"direct\"].", f"{where}.allowed_callers")
    for flag in ("eager_input_streaming", "defer_loading"):
        _flag(False if tool.get(flag) is None else tool[flag], f"{where}.{flag}")
    function: Json = {
        "name": _text(tool.get("name"), f"{where}.name"),
        "parameters": _object(tool.get("input_schema"), f"{where}.input_schema"),
    }
    if tool.get("description") is not None:
        function["description"] = _text(tool["description"], f"{where}.description", can_be_empty=True)
    if tool.get("strict") is not None:
        function["strict"] = _flag(tool["strict"], f"{where}.strict")
    return _marked({"type": "function", "function": function}, tool, where)


# ---------------------------------------------------------------- messages


def _system(system: Any) -> list[Json]:
    if system is None or system in ("", []):
        return []
    return [{"role": "system", "content": _texts(system, "system")}]


def _messages(messages: Any) -> list[Json]:
    if not isinstance(messages, list) or not 0 < len(messages) <= MESSAGES_MAX:
        raise Invalid("`messages` is required: a list with at least one message.", "messages")
    chat: list[Json] = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        _object(message, where, {"role", "content"})
        role = _one_of(message.get("role"), f"{where}.role", ("user", "assistant", "system"))
        content, where = message.get("content"), f"{where}.content"
        if role == "system":  # newer models take instructions in mid-conversation
            chat.append({"role": "system", "content": _texts(content, where)})
        elif isinstance(content, str):
            chat.append({"role": role, "content": content})
        elif not isinstance(content, list) or not content:
            raise Invalid(f"`{where}` must be a string or a list of at least one block.", where)
        elif role == "user":
            chat += _user(content, where)
        else:
            chat += _assistant(content, where, chat)
    return chat


def _user(blocks: list[Any], where: str) -> list[Json]:
    """Tool results become messages of their own. Chat's tools answer in text alone, so their media move to the user's turn."""
    results: list[Json] = []
    parts: list[Json] = []
    for i, block in enumerate(blocks):
        at = f"{where}[{i}]"
        kind = _kind(block, at, ("text", "image", "document", "tool_result"))
        if kind != "tool_result":
            parts += _parts(block, at)
            continue
        result, media = _tool_result(block, at)
        results.append(result)
        if media:
            parts += [{"type": "text", "text": f"Media returned by tool call {block['tool_use_id']}:"}, *media]
    return [*results, *([{"role": "user", "content": _plain(parts)}] if parts else [])]


def _tool_result(block: Json, where: str) -> tuple[Json, list[Json]]:
    _object(block, where, {"type", "tool_use_id", "content", "is_error", "cache_control"})
    call_id = _text(block.get("tool_use_id"), f"{where}.tool_use_id")
    content, where_content = block.get("content"), f"{where}.content"
    if content is None or isinstance(content, str):
        parts = [{"type": "text", "text": content or ""}]
    elif isinstance(content, list):
        parts = []
        for i, part in enumerate(content):
            _kind(part, f"{where_content}[{i}]", ("text", "image", "document"))
            parts += _parts(part, f"{where_content}[{i}]")
    else:
        raise Invalid(f"`{where_content}` must be a string or a list of blocks.", where_content)
    texts = [part for part in parts if part["type"] == "text"]
    media = [part for part in parts if part["type"] != "text"]
    if not texts:
        texts = [{"type": "text", "text": "The media follow." if media else ""}]
    if block.get("is_error") is not None and _flag(block["is_error"], f"{where}.is_error"):
        texts[0]["text"] = f"Error: {texts[0]['text']}"  # chat has no flag for it, and the model must know
    if block.get("cache_control") is not None:
        texts[-1] = _marked(texts[-1], block, where)
    return {"role": "tool", "tool_call_id": call_id, "content": _plain(texts)}, media


def _assistant(blocks: list[Any], where: str, earlier: list[Json]) -> list[Json]:
    parts: list[Json] = []
    calls: list[Json] = []
    details: list[Json] = []
    message: Json = {"role": "assistant"}
    for i, block in enumerate(blocks):
        at = f"{where}[{i}]"
        kind = _kind(block, at, ("text", "thinking", "redacted_thinking", "tool_use"))
        if kind == "text":
            parts += _parts(block, at)
        elif kind == "tool_use":
            calls.append(_tool_call(block, at))
        else:
            details.append(_reasoning(block, at) | {"index": len(details)})
    message["content"] = _plain(parts) if parts else (None if calls else "")
    if details:
        message["reasoning_content"] = "".join(detail.get("text", "") for detail in details)
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    for i, block in enumerate(blocks):
        if block["type"] == "tool_use" and block.get("cache_control") is not None:
            control = _cache_control(block["cache_control"], f"{where}[{i}].cache_control")
            _mark([*earlier, message], control, f"{where}[{i}].cache_control")
    return [message]


def _tool_call(block: Json, where: str) -> Json:
    _object(block, where, {"type", "id", "name", "input", "cache_control", "caller", "toolset_name"})
    if block.get("caller") not in (None, {"type": "direct"}):
        raise Unsupported(f"`{where}.caller` can only be direct.", f"{where}.caller")
    if block.get("toolset_name") is not None:
        raise Unsupported(f"`{where}.toolset_name`: the vendor's own toolsets are not sold here.", f"{where}.toolset_name")
    arguments = _json(_object(block.get("input"), f"{where}.input"), f"{where}.input")
    name = _text(block.get("name"), f"{where}.name")
    return {
        "id": _text(block.get("id"), f"{where}.id"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _reasoning(block: Json, where: str) -> Json:
    if block["type"] == "redacted_thinking":
        _object(block, where, {"type", "data"})
        return {"type": "reasoning.encrypted", "data": _text(block.get("data"), f"{where}.data")}
    _object(block, where, {"type", "thinking", "signature"})
    thinking = _text(block.get("thinking"), f"{where}.thinking", can_be_empty=True)
    signature = _text(block.get("signature") or "", f"{where}.signature", can_be_empty=True)
    return {"type": "reasoning.text", "text": thinking, **({"signature": signature} if signature else {})}


# ---------------------------------------------------------------- blocks


def _parts(block: Json, where: str) -> list[Json]:
    """A text, image or document block as canonical parts."""
    if block["type"] == "text":
        _object(block, where, {"type", "text", "cache_control", "citations"})
        if block.get("citations"):
            raise Unsupported(f"`{where}.citations` are not supported.", f"{where}.citations")
        text = _text(block.get("text"), f"{where}.text", can_be_empty=True)
        return [_marked({"type": "text", "text": text}, block, where)]
    if block["type"] == "image":
        _object(block, where, {"type", "source", "cache_control"})
        source = _source(block.get("source"), f"{where}.source", {"base64": _IMAGE_TYPES, "url": ()})
        return [_marked({"type": "image_url", "image_url": {"url": _address(source)}}, block, where)]
    return _document(block, where)


def _document(block: Json, where: str) -> list[Json]:
    _object(block, where, {"type", "source", "cache_control", "title", "context", "citations"})
    if _object(block.get("citations") or {}, f"{where}.citations", {"enabled"}).get("enabled"):
        raise Unsupported(f"`{where}.citations` are not supported.", f"{where}.citations")
    media_types = {"base64": ("application/pdf",), "text": ("text/plain",), "url": ()}
    source = _source(block.get("source"), f"{where}.source", media_types)
    title, context = (_text(block.get(key) or "", f"{where}.{key}", can_be_empty=True) for key in ("title", "context"))
    parts = [{"type": "text", "text": context}] if context else []
    if source["type"] == "text":
        text = f"{title}\n\n{source['data']}" if title else source["data"]
        return [*parts, _marked({"type": "text", "text": text}, block, where)]
    file = {"filename": title or "document.pdf", "file_url" if source["type"] == "url" else "file_data": _address(source)}
    return [*parts, _marked({"type": "file", "file": file}, block, where)]


def _source(source: Any, where: str, media_types: dict[str, tuple[str, ...]]) -> Json:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind in ("file", "content"):
        raise Unsupported(f"`{where}.type`: send the data itself, or a public address.", f"{where}.type")
    _one_of(kind, f"{where}.type", tuple(media_types))
    _object(source, where, {"type", "url"} if kind == "url" else {"type", "media_type", "data"})
    _text(source.get("url" if kind == "url" else "data"), f"{where}.{'url' if kind == 'url' else 'data'}")
    if kind == "url" and source["url"].startswith("data:"):
        raise Invalid(f"`{where}.url` must be an address; data goes into a base64 source.", f"{where}.url")
    if kind != "url":
        _one_of(source.get("media_type"), f"{where}.media_type", media_types[str(kind)])
    return source


def _address(source: Json) -> str:
    url: str = source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
    return url


def _texts(value: Any, where: str) -> str | list[Json]:
    """A string, or blocks of text alone."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise Invalid(f"`{where}` must be a string or a list of text blocks.", where)
    parts: list[Json] = []
    for i, block in enumerate(value):
        _kind(block, f"{where}[{i}]", ("text",))
        parts += _parts(block, f"{where}[{i}]")
    return _plain(parts)


def _plain(parts: list[Json]) -> str | list[Json]:
    """One plain text is sent as a string: every vendor takes that."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def _kind(block: Any, where: str, kinds: tuple[str, ...]) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise Invalid(f"`{where}` must be a block with a type.", f"{where}.type")
    if kind not in kinds:
        raise Unsupported(f"`{where}.type`: {', '.join(kinds)} can stand here.", f"{where}.type")
    return kind


def _marked(part: Json, block: Json, where: str) -> Json:
    if block.get("cache_control") is None:
        return part
    return {**part, "cache_control": _cache_control(block["cache_control"], f"{where}.cache_control")}


def _cache_control(value: Any, where: str) -> Json:
    _object(value, where, {"type", "ttl"})
    _one_of(value.get("type"), f"{where}.type", ("ephemeral",))
    if value.get("ttl") is None:
        return {"type": "ephemeral"}
    return {"type": "ephemeral", "ttl": _one_of(value["ttl"], f"{where}.ttl", ("5m", "1h"))}


def _mark(messages: list[Json], control: Json, where: str) -> None:
    """Puts a breakpoint that no part of its own carries on the last part there is.

    It must not get lost: whoever holds money for the call looks for breakpoints, because writing a cache costs extra.
    """
    for message in reversed(messages):
        content = message["content"]
        if isinstance(content, str) and content:
            message["content"] = [{"type": "text", "text": content, "cache_control": control}]
            return
        if isinstance(content, list):
            content[-1] = {"cache_control": control, **content[-1]}
            return
    raise Invalid(f"`{where}`: there is nothing before it to keep.", where)


# ---------------------------------------------------------------- values


def _object(value: Any, where: str, allowed: Collection[str] | None = None) -> Json:
    if not isinstance(value, dict):
        raise Invalid(f"`{where}` must be an object.", where)
    for key in value if allowed is not None else ():
        if key not in (allowed or ()):
            raise Unknown(f"Unknown parameter: `{where}.{key}`.", f"{where}.{key}")
    return value


def _text(value: Any, where: str, *, can_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or can_be_empty):
        raise Invalid(f"`{where}` is required: a string.", where)
    return value


def _flag(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise Invalid(f"`{where}` must be true or false.", where)
    return value


def _whole(value: Any, where: str, least: int) -> int:
    if type(value) is not int or not least <= value <= _OUTPUT_TOKENS_ANY:
        raise Invalid(f"`{where}` must be a whole number from {least} to {_OUTPUT_TOKENS_ANY}.", where)
    return value


def _one_of(value: Any, where: str, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Invalid(f"`{where}` must be one of {', '.join(words)}.", where)
    return value


def _json(value: Any, where: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as e:
        raise Invalid(f"`{where}` is nested too deeply or holds text that is not valid Unicode.", where) from e
