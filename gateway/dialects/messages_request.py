"""Anthropic's Messages requests, checked and turned into canonical chat.

Wire facts: docs.anthropic.com/en/api/messages and the types of anthropic-sdk-python (2026). The check is an allow-list at every
depth: a body that ``request`` accepts holds nothing but what is named here and the caller's own JSON (tool schemas and inputs),
which is why messages_anthropic may send its parts on as they are.
"""

from typing import Any

from gateway.dialects.faults import Invalid, Unknown, Unsupported
from gateway.dialects.messages_blocks import (
    OUTPUT_TOKENS_MAX,
    Json,
    cache_control_of,
    flag_of,
    json_of,
    kind_of,
    mark,
    marked,
    object_of,
    or_else,
    parts_of,
    plain,
    text_of,
    texts_of,
    whole_of,
    word_of,
)

MESSAGES_MAX = 10_000
STOPS_MAX = 64
TOOLS_MAX = 512
USER_CHARACTERS_MAX = 512

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


def request(body: Any) -> Json:
    """A Messages request as canonical chat, with ``model``, ``stream`` and ``max_tokens``. The body is left as it is.

    Cache breakpoints stay on the parts that carry them. Raises Invalid, Unknown or Unsupported, naming the parameter.
    """
    _check_fields(body)
    chat: Json = {
        "model": text_of(body.get("model"), "model"),
        "max_tokens": whole_of(body.get("max_tokens"), "max_tokens", 1),
    }
    if body.get("stream") is not None:
        chat["stream"] = flag_of(body["stream"], "stream")
    chat["messages"] = _system(body.get("system")) + _messages(body.get("messages"))
    if body.get("cache_control") is not None:
        mark(chat["messages"], cache_control_of(body["cache_control"], "cache_control"), "cache_control")
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
    chat = request({**body, "max_tokens": body.get("max_tokens") or OUTPUT_TOKENS_MAX})
    prompt = {name: chat[name] for name in ("tools", "response_format") if name in chat}
    extra = [{"role": "system", "content": json_of(prompt, "tools")}] if prompt else []
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
        whole_of(body["top_k"], "top_k", 0)
    stops = body.get("stop_sequences")
    if stops is not None:
        if (
            not isinstance(stops, list)
            or len(stops) > STOPS_MAX
            or not all(isinstance(stop, str) and stop for stop in stops)
        ):
            raise Invalid(f"`stop_sequences` must be a list of at most {STOPS_MAX} strings.", "stop_sequences")
        if stops:
            chat["stop"] = stops
    metadata = body.get("metadata")
    if metadata is not None:
        user = object_of(metadata, "metadata", {"user_id"}).get("user_id")
        if user is not None and (not isinstance(user, str) or len(user) > USER_CHARACTERS_MAX):
            raise Invalid(
                f"`metadata.user_id` must be a string of at most {USER_CHARACTERS_MAX} characters.", "metadata.user_id"
            )
        if user is not None:
            chat["user"] = user


def _take_thinking(body: Json, chat: Json) -> None:
    """Thinking and ``output_config``. A named effort says more than a budget; thinking switched off says the last word."""
    effort = _thinking_effort(body.get("thinking"), body["max_tokens"])
    config = body.get("output_config")
    if config is not None:
        object_of(config, "output_config", {"effort", "format"})
        if config.get("effort") is not None:
            asked = word_of(config["effort"], "output_config.effort", ("low", "medium", "high", "xhigh", "max"))
            effort = effort if effort == "none" else asked
        if config.get("format") is not None:
            where = "output_config.format"
            form = object_of(config["format"], where, {"type", "schema"})
            word_of(form.get("type"), f"{where}.type", ("json_schema",))
            schema = object_of(form.get("schema"), f"{where}.schema")
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
    word_of(kind, "thinking.type", ("enabled", "adaptive", "disabled", "between_tools"))
    allowed = {"enabled": {"budget_tokens", "display"}, "adaptive": {"display"}}.get(str(kind), set())
    object_of(thinking, "thinking", {"type", *allowed})
    if thinking.get("display") is not None:
        word_of(thinking["display"], "thinking.display", ("summarized", "omitted"))
    if kind != "enabled":
        return "none" if kind == "disabled" else None
    budget = whole_of(thinking.get("budget_tokens"), "thinking.budget_tokens", 1024)
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
    word_of(kind, "tool_choice.type", ("auto", "any", "tool", "none"))
    object_of(choice, "tool_choice", {"type", "disable_parallel_tool_use", *(["name"] if kind == "tool" else [])})
    name = text_of(choice.get("name"), "tool_choice.name") if kind == "tool" else None
    one_at_a_time = flag_of(
        or_else(choice.get("disable_parallel_tool_use"), False), "tool_choice.disable_parallel_tool_use"
    )
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
    object_of(
        tool,
        where,
        {
            "type", "name", "description", "input_schema", "strict", "cache_control",
            "eager_input_streaming", "defer_loading", "allowed_callers",
        },
    )  # fmt: skip
    if tool.get("defer_loading"):
        raise Unsupported(
            f"`{where}.defer_loading` goes with the vendor's tool search, which is not sold here.",
            f"{where}.defer_loading",
        )
    if tool.get("allowed_callers") not in (None, ["direct"]):
        raise Unsupported(f'`{where}.allowed_callers` can only be ["direct"].', f"{where}.allowed_callers")
    for name in ("eager_input_streaming", "defer_loading"):
        flag_of(or_else(tool.get(name), False), f"{where}.{name}")
    function: Json = {
        "name": text_of(tool.get("name"), f"{where}.name"),
        "parameters": object_of(tool.get("input_schema"), f"{where}.input_schema"),
    }
    if tool.get("description") is not None:
        function["description"] = text_of(tool["description"], f"{where}.description", can_be_empty=True)
    if tool.get("strict") is not None:
        function["strict"] = flag_of(tool["strict"], f"{where}.strict")
    return marked({"type": "function", "function": function}, tool, where)


# ---------------------------------------------------------------- messages


def _system(system: Any) -> list[Json]:
    if system is None or system in ("", []):
        return []
    return [{"role": "system", "content": texts_of(system, "system")}]


def _messages(messages: Any) -> list[Json]:
    if not isinstance(messages, list) or not 0 < len(messages) <= MESSAGES_MAX:
        raise Invalid("`messages` is required: a list with at least one message.", "messages")
    chat: list[Json] = []
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        object_of(message, where, {"role", "content"})
        role = word_of(message.get("role"), f"{where}.role", ("user", "assistant", "system"))
        content, where = message.get("content"), f"{where}.content"
        if role == "system":  # newer models take instructions in mid-conversation
            chat.append({"role": "system", "content": texts_of(content, where)})
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
        kind = kind_of(block, at, ("text", "image", "document", "tool_result"))
        if kind != "tool_result":
            parts += parts_of(block, at)
            continue
        result, media = _tool_result(block, at)
        results.append(result)
        if media:
            parts += [{"type": "text", "text": f"Media returned by tool call {block['tool_use_id']}:"}, *media]
    return [*results, *([{"role": "user", "content": plain(parts)}] if parts else [])]


def _tool_result(block: Json, where: str) -> tuple[Json, list[Json]]:
    object_of(block, where, {"type", "tool_use_id", "content", "is_error", "cache_control"})
    call_id = text_of(block.get("tool_use_id"), f"{where}.tool_use_id")
    content, where_content = block.get("content"), f"{where}.content"
    if content is None or isinstance(content, str):
        parts = [{"type": "text", "text": content or ""}]
    elif isinstance(content, list):
        parts = []
        for i, part in enumerate(content):
            kind_of(part, f"{where_content}[{i}]", ("text", "image", "document"))
            parts += parts_of(part, f"{where_content}[{i}]")
    else:
        raise Invalid(f"`{where_content}` must be a string or a list of blocks.", where_content)
    texts = [part for part in parts if part["type"] == "text"]
    media = [part for part in parts if part["type"] != "text"]
    if not texts:
        texts = [{"type": "text", "text": "The media follow." if media else ""}]
    if block.get("is_error") is not None and flag_of(block["is_error"], f"{where}.is_error"):
        texts[0]["text"] = f"Error: {texts[0]['text']}"  # chat has no flag for it, and the model must know
    if block.get("cache_control") is not None:
        texts[-1] = marked(texts[-1], block, where)
    return {"role": "tool", "tool_call_id": call_id, "content": plain(texts)}, media


def _assistant(blocks: list[Any], where: str, earlier: list[Json]) -> list[Json]:
    parts: list[Json] = []
    calls: list[Json] = []
    details: list[Json] = []
    message: Json = {"role": "assistant"}
    for i, block in enumerate(blocks):
        at = f"{where}[{i}]"
        kind = kind_of(block, at, ("text", "thinking", "redacted_thinking", "tool_use"))
        if kind == "text":
            parts += parts_of(block, at)
        elif kind == "tool_use":
            calls.append(_tool_call(block, at))
        else:
            details.append(_reasoning(block, at) | {"index": len(details)})
    message["content"] = plain(parts) if parts else (None if calls else "")
    if details:
        message["reasoning_content"] = "".join(detail.get("text", "") for detail in details)
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    for i, block in enumerate(blocks):
        if block["type"] == "tool_use" and block.get("cache_control") is not None:
            control = cache_control_of(block["cache_control"], f"{where}[{i}].cache_control")
            mark([*earlier, message], control, f"{where}[{i}].cache_control")
    return [message]


def _tool_call(block: Json, where: str) -> Json:
    object_of(block, where, {"type", "id", "name", "input", "cache_control", "caller", "toolset_name"})
    if block.get("caller") not in (None, {"type": "direct"}):
        raise Unsupported(f"`{where}.caller` can only be direct.", f"{where}.caller")
    if block.get("toolset_name") is not None:
        raise Unsupported(
            f"`{where}.toolset_name`: the vendor's own toolsets are not sold here.", f"{where}.toolset_name"
        )
    arguments = json_of(object_of(block.get("input"), f"{where}.input"), f"{where}.input")
    name = text_of(block.get("name"), f"{where}.name")
    return {
        "id": text_of(block.get("id"), f"{where}.id"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _reasoning(block: Json, where: str) -> Json:
    if block["type"] == "redacted_thinking":
        object_of(block, where, {"type", "data"})
        return {"type": "reasoning.encrypted", "data": text_of(block.get("data"), f"{where}.data")}
    object_of(block, where, {"type", "thinking", "signature"})
    thinking = text_of(block.get("thinking"), f"{where}.thinking", can_be_empty=True)
    signature = text_of(or_else(block.get("signature"), ""), f"{where}.signature", can_be_empty=True)
    return {"type": "reasoning.text", "text": thinking, **({"signature": signature} if signature else {})}
