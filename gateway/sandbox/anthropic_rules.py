"""What Anthropic refuses in a Messages request, in its words: the mistakes that an adapter can make.

Facts: docs.anthropic.com/en/api/messages and the official SDK's types (read November 2026).
"""

import re
from collections.abc import Container, Iterator
from typing import Any

from gateway.sandbox import signatures
from gateway.sandbox.refusals import invalid

VERSIONS = ("2023-06-01", "2026-10-21")
#: the version that knows no sampling parameters, whatever the model
VERSION_WITHOUT_SAMPLING = "2026-10-21"
SAMPLING = ("temperature", "top_p", "top_k")
FIELDS = {
    "model", "max_tokens", "messages", "system", "metadata", "stop_sequences", "stream", "temperature", "top_k",
    "top_p", "tools", "tool_choice", "thinking", "output_config", "service_tier", "cache_control", "container",
    "context_management", "inference_geo", "mcp_servers",
}  # fmt: skip
#: content blocks that only the service's own tools produce are taken and passed over
BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result", "container_upload"},
    "assistant": {
        "text", "thinking", "redacted_thinking", "tool_use", "document", "server_tool_use", "web_search_tool_result",
        "web_fetch_tool_result", "code_execution_tool_result",
    },
    "system": {"text"},
}  # fmt: skip
RESULT_PARTS = {"text", "image", "document", "search_result", "tool_reference"}
SOURCES = {"image": {"base64", "url", "file"}, "document": {"base64", "url", "file", "text", "content"}}
IMAGE_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
EFFORTS = {"none", "low", "medium", "high", "xhigh", "max"}
THINKING_TYPES = {"enabled", "adaptive", "disabled", "between_tools"}
TOOL_CHOICES = {"auto", "any", "tool", "none"}
TTLS = {"5m", "1h"}
BREAKPOINTS_MOST = 4
BUDGET_LEAST = 1024
ID = re.compile(r"[a-zA-Z0-9_-]+")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MODEL = re.compile(r"claude-([a-z]+)-(\d+)(?:[-.](\d{1,2})(?!\d))?")

type Json = dict[str, Any]
type Turns = list[tuple[str, list[Json]]]


def check(body: Json, headers: dict[str, str]) -> None:
    """Raises Refusal (400) where Anthropic would."""
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f'anthropic-version: "{version}" is not a valid version')
    for name in body.keys() - FIELDS:
        raise invalid(f"{name}: Extra inputs are not permitted")
    _check_limits(body)
    turns = turns_of(body)
    for number, (role, blocks) in enumerate(turns):
        _check_turn(role, blocks, f"messages.{number}", version)
    _check_system(body)
    _check_tools(body)
    _check_pairs(turns)
    family, generation = _generation(body["model"])
    _check_sampling(body, version, generation)
    _check_thinking(body, family, generation)
    if generation < (5, 0) and any(role == "system" for role, _ in turns):
        raise invalid("messages: this model takes the system prompt from the top-level `system` parameter only")
    if generation >= (4, 6) and turns[-1][0] == "assistant":
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if sum(1 for _ in breakpoints(body)) > BREAKPOINTS_MOST:
        raise invalid(f"A maximum of {BREAKPOINTS_MOST} blocks with cache_control may be provided.")


def thinks(body: Json) -> bool:
    """Whether the caller asked for reasoning."""
    kind = (body.get("thinking") or {}).get("type")
    effort = (body.get("output_config") or {}).get("effort")
    return kind in ("enabled", "adaptive", "between_tools") or (kind is None and effort not in (None, "none"))


def blocks_of(content: Any, where: str) -> list[Json]:
    """Content blocks; a text is one block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise invalid(f"{where}: Input should be a valid string or list of content blocks")
    return content


def turns_of(body: Json) -> Turns:
    """(role, blocks) of the conversation, consecutive messages of one role merged, as the service does."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required")
    turns: Turns = []
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if not isinstance(message, dict) or not _among(message.get("role"), BLOCKS):
            raise invalid(f"{where}.role: Input should be 'user' or 'assistant'")
        blocks = blocks_of(message.get("content"), f"{where}.content")
        if turns and turns[-1][0] == message["role"]:
            turns[-1] = (message["role"], turns[-1][1] + blocks)
        else:
            turns.append((message["role"], blocks))
    return turns


def breakpoints(body: Json) -> Iterator[Json]:
    """Every cache_control of a checked conversation; Refusal for one that is none."""
    system = blocks_of(body.get("system") or [], "system")
    blocks = [block for _, turn in turns_of(body) for block in turn]
    for holder in (body, *(body.get("tools") or []), *system, *blocks):
        control = holder.get("cache_control")
        if control is None:
            continue
        if not isinstance(control, dict) or control.get("type") != "ephemeral":
            raise invalid("cache_control.type: Input should be 'ephemeral'")
        if not _among(control.get("ttl") or "5m", TTLS):
            raise invalid("cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
        yield control


def _among(value: Any, options: Container[str]) -> bool:
    return isinstance(value, str) and value in options


def _check_limits(body: Json) -> None:
    for name in ("model", "max_tokens"):
        if body.get(name) is None:
            raise invalid(f"{name}: Field required")
    if type(body["max_tokens"]) is not int or body["max_tokens"] < 1:
        raise invalid("max_tokens: Input should be an integer greater than or equal to 1")
    stops = body.get("stop_sequences") or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise invalid("stop_sequences: Input should be a valid list of strings")
    if not all(stop.strip() for stop in stops):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    for name in ("thinking", "output_config", "metadata", "tool_choice"):
        if not isinstance(body.get(name) or {}, dict):
            raise invalid(f"{name}: Input should be a valid dictionary")


def _check_turn(role: str, blocks: list[Json], where: str, version: str) -> None:
    if not blocks:
        raise invalid(
            f"{where}: all messages must have non-empty content except for the optional final assistant message"
        )
    for number, block in enumerate(blocks):
        place = f"{where}.content.{number}"
        kind = str(block.get("type"))
        if kind not in BLOCKS[role]:
            raise invalid(f"{place}: Input tag {kind!r} found using 'type' does not match any of the expected tags")
        if kind == "document" and role == "assistant" and version == VERSION_WITHOUT_SAMPLING:
            raise invalid(f"{place}: document blocks are not permitted in assistant turns")
        _check_block(kind, block, place)


def _check_block(kind: str, block: Json, place: str) -> None:
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise invalid(f"{place}.text.text: Input should be a valid string")
        if not block["text"]:
            raise invalid("messages: text content blocks must be non-empty")
    elif kind in SOURCES:
        _check_source(kind, block.get("source"), f"{place}.{kind}.source")
    elif kind == "thinking":
        thinking = block.get("thinking")
        if not isinstance(thinking, str) or not signatures.verifies(block.get("signature"), "thinking", thinking):
            raise invalid(f"{place}: Invalid `signature` in `thinking` block")
    elif kind == "tool_use":
        _check_id(block.get("id"), f"{place}.tool_use.id")
        if not isinstance(block.get("name"), str) or not isinstance(block.get("input"), dict):
            raise invalid(f"{place}.tool_use.input: Input should be a valid dictionary, and its name a string")
    elif kind == "tool_result":
        _check_id(block.get("tool_use_id"), f"{place}.tool_result.tool_use_id")
        for number, part in enumerate(blocks_of(block.get("content") or [], f"{place}.tool_result.content")):
            if not _among(part.get("type"), RESULT_PARTS):
                raise invalid(f"{place}.tool_result.content.{number}: unexpected type {part.get('type')!r}")
            # a result may be empty: nothing came of the call
            if part["type"] != "text" or part.get("text") != "":
                _check_block(part["type"], part, f"{place}.tool_result.content.{number}")


def _check_source(kind: str, source: Any, place: str) -> None:
    source_type = str(source.get("type")) if isinstance(source, dict) else ""
    if source_type not in SOURCES[kind]:
        raise invalid(f"{place}: Input tag {source_type!r} does not match any of {sorted(SOURCES[kind])}")
    if source_type == "base64":
        media_type = source.get("media_type")
        allowed = IMAGE_TYPES if kind == "image" else {"application/pdf"}
        if not _among(media_type, allowed):
            raise invalid(f"{place}.base64.media_type: Input should be one of {sorted(allowed)}")
    wanted = {"base64": "data", "text": "data", "url": "url", "file": "file_id"}.get(source_type)
    if wanted and not isinstance(source.get(wanted), str):
        raise invalid(f"{place}.{source_type}.{wanted}: Field required")


def _check_id(value: Any, place: str) -> None:
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise invalid(f"{place}: String should match pattern '^{ID.pattern}$'")


def _check_system(body: Json) -> None:
    for number, block in enumerate(blocks_of(body.get("system") or [], "system")):
        if block.get("type") != "text":
            raise invalid(f"system.{number}.type: Input should be 'text'")
        _check_block("text", block, f"system.{number}")


def _check_tools(body: Json) -> None:
    offered = body.get("tools") or []
    if not isinstance(offered, list) or not all(isinstance(tool, dict) for tool in offered):
        raise invalid("tools: Input should be a valid list")
    for number, tool in enumerate(offered):
        if tool.get("type", "custom") != "custom":
            continue  # a tool of the service's own
        if not isinstance(tool.get("name"), str) or not TOOL_NAME.fullmatch(tool["name"]):
            raise invalid(f"tools.{number}.custom.name: String should match pattern '^{TOOL_NAME.pattern}$'")
        schema = tool.get("input_schema")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise invalid(f"tools.{number}.custom.input_schema.type: Field required, and it is 'object'")
    names = [tool.get("name") for tool in offered]
    if any(names.count(name) > 1 for name in names):
        raise invalid("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not offered:
        raise invalid("tool_choice may only be specified while providing tools.")
    if not _among(choice.get("type"), TOOL_CHOICES):
        raise invalid(f"tool_choice.type: Input should be one of {sorted(TOOL_CHOICES)}")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool {choice.get('name')!r} not found in provided tools")


def _check_pairs(turns: Turns) -> None:
    """Every call is answered at the beginning of the very next turn, and nothing else is."""
    asked: list[str] = []
    for number, (_, blocks) in enumerate(turns):
        results: list[str] = []
        for block in blocks:
            if block["type"] != "tool_result":
                break
            results.append(block["tool_use_id"])
        if missing := [id_ for id_ in asked if id_ not in results]:
            raise invalid(
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                "message."
            )
        everywhere = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if unexpected := [id_ for id_ in everywhere if id_ not in asked]:
            raise invalid(
                f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(unexpected)}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]


def _generation(model: Any) -> tuple[str, tuple[int, int]]:
    """(family, (major, minor)) of a Claude model; a model of our own is older than any rule."""
    found = MODEL.search(model) if isinstance(model, str) else None
    return (found[1], (int(found[2]), int(found[3] or 0))) if found else ("", (0, 0))


def _check_sampling(body: Json, version: str, generation: tuple[int, int]) -> None:
    given = [name for name in SAMPLING if body.get(name) is not None]
    if given and (version == VERSION_WITHOUT_SAMPLING or generation >= (5, 0)):
        raise invalid(f"{given[0]}: Extra inputs are not permitted")
    temperature = body.get("temperature")
    if temperature is None:
        return
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 1:
        raise invalid("temperature: range: 0..1")
    if "top_p" in given and generation >= (4, 0):
        raise invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if temperature != 1 and (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")


def _check_thinking(body: Json, family: str, generation: tuple[int, int]) -> None:
    thinking = body.get("thinking") or {}
    kind, effort = thinking.get("type"), (body.get("output_config") or {}).get("effort")
    if thinking and not _among(kind, THINKING_TYPES):
        raise invalid(f"thinking.type: Input should be one of {sorted(THINKING_TYPES)}")
    if effort is not None and not _among(effort, EFFORTS):
        raise invalid(f"output_config.effort: Input should be one of {sorted(EFFORTS)}")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < BUDGET_LEAST:
            raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {BUDGET_LEAST}")
        if budget >= body["max_tokens"]:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    always_thinks = generation >= (5, 0) and family != "haiku"
    if forced and (always_thinks or kind in ("enabled", "adaptive")):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "disabled" and (always_thinks or (generation >= (5, 0) and effort in ("xhigh", "max"))):
        raise invalid("thinking.type: thinking cannot be disabled here.")
