"""OpenAI's chat completions, as asked of Anthropic's Messages. Pure. What comes back: gateway/dialects/anthropic_answers.py.

Wire facts: docs.anthropic.com/en/api/messages, build-with-claude/adaptive-thinking (version 2023-06-01, November 2026).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from gateway.dialects.anthropic_answers import Stream, complete, usage_of
from gateway.dialects.faults import Invalid, Unsupported
from gateway.dialects.signatures import is_geminis

__all__ = ["Stream", "complete", "dropped", "request", "usage_of"]

type Json = dict[str, Any]
type Turn = tuple[str, list[Json]]

#: dropped where they ask for anything; ``seed`` always asks
_WORDLESS = ("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "verbosity")

#: for models that think by budget
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 2_048, "high": 4_096, "xhigh": 8_192, "max": 16_384}
_BUDGET_LEAST = 1_024
#: newer models leave the text of their thoughts out unless asked
_ADAPTIVE = {"type": "adaptive", "display": "summarized"}
#: an output bound that limits no thinking budget
_AMPLE = 128_000

_IMAGE_TYPES = {"image/jpg": "image/jpeg"} | {
    kind: kind for kind in ("image/jpeg", "image/png", "image/gif", "image/webp")
}
_DATA_URL = re.compile(r"data:([\w.+/-]+);base64,(.*)", re.DOTALL)
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no prose around it, no code fence."


# ---------------------------------------------------------------- request


def request(body: Json, *, upstream_model: str, stream: bool, output_tokens_max: int, supports: Json) -> Json:
    """The Messages body for a checked chat body. Raises Unsupported, Invalid, naming the parameter."""
    if body.get("n", 1) > 1:
        raise Unsupported("This model gives one answer per request.", "n")
    system, messages = _conversation(body["messages"], _version(upstream_model))
    out: Json = {"model": upstream_model, "max_tokens": output_tokens_max, "messages": messages}
    config, thinking = _reasoning(body, upstream_model, supports, output_tokens_max)[0]
    answer_format = body.get("response_format") or {}
    if answer_format.get("type") == "json_schema":
        config = config | {"format": _answer_schema(answer_format["json_schema"])}
    elif answer_format.get("type") == "json_object":
        system = [*system, {"type": "text", "text": _JSON_ONLY}]  # last: what is cached before it stays cached
    if system:
        out["system"] = system
    if body.get("tools"):
        out["tools"] = [_tool(tool) for tool in body["tools"]]
        if choice := _tool_choice(body, supports):
            out["tool_choice"] = choice
    if config:
        out["output_config"] = config
    if thinking:
        out["thinking"] = thinking
    if stops := _stops(body):
        out["stop_sequences"] = stops
    if user := body.get("safety_identifier") or body.get("user"):
        out["metadata"] = {"user_id": user}
    out |= _sampling(body, upstream_model, supports, thinking)
    return out | {"stream": True} if stream else out


def dropped(body: Json, *, upstream_model: str, supports: Json, output_tokens_max: int = _AMPLE) -> list[str]:
    """Names of parameters that ``request`` leaves out, clamps or says less of.

    Cache keys are left out unnamed: they change nothing that a caller could see.
    """
    names = [name for name in _WORDLESS if body.get(name)]
    if body.get("seed") is not None:
        names.append("seed")
    (_, thinking), as_asked = _reasoning(body, upstream_model, supports, output_tokens_max)
    sampling = _sampling(body, upstream_model, supports, thinking)
    names += [name for name in ("temperature", "top_p") if body.get(name) != sampling.get(name)]
    return names if as_asked else [*names, "reasoning_effort"]


def _version(model: str) -> tuple[int, int]:
    """(major, minor); an id without a number is the newest."""
    found = re.search(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def _sampling(body: Json, model: str, supports: Json, thinking: Json) -> Json:
    if not supports.get("sampling_params", True) or _version(model) >= (5, 0):
        return {}
    if thinking.get("type") in ("enabled", "adaptive"):  # thinking goes with the default temperature alone
        return {}
    if body.get("temperature") is not None:  # and a temperature does not go with top_p
        return {"temperature": min(body["temperature"], 1)}
    return {"top_p": body["top_p"]} if body.get("top_p") is not None else {}


def _stops(body: Json) -> list[str]:
    stop = body.get("stop") or []
    stops: list[str] = [stop] if isinstance(stop, str) else stop
    if not all(one.strip() for one in stops):
        raise Unsupported("`stop`: this model cannot stop at white space alone.", "stop")
    return stops


def _answer_schema(json_schema: Json) -> Json:
    if not isinstance(json_schema.get("schema"), dict):
        raise Invalid("`response_format.json_schema.schema` is required.", "response_format.json_schema.schema")
    return {"type": "json_schema", "schema": json_schema["schema"]}


def _tool(tool: Json) -> Json:
    function = tool["function"]
    parameters = function.get("parameters") or {"properties": {}}
    out: Json = {"name": function["name"], "input_schema": {"type": "object", **parameters}}
    if function.get("description"):
        out["description"] = function["description"]
    if function.get("strict"):
        out["strict"] = True
    return _cached(out, tool)


def _is_forced(body: Json) -> bool:
    return bool(body.get("tools")) and body.get("tool_choice") not in (None, "auto", "none")


def _tool_choice(body: Json, supports: Json) -> Json | None:
    choice = body.get("tool_choice")
    one_at_a_time = body.get("parallel_tool_calls") is False
    if choice == "none":
        return {"type": "none"}
    if choice is None and not one_at_a_time:
        return None
    if _is_forced(body) and not supports.get("forced_tool_choice", True):
        raise Unsupported(
            "This model decides itself whether to call a tool: `tool_choice` can be auto or none.", "tool_choice"
        )
    if isinstance(choice, dict):
        out: Json = {"type": "tool", "name": choice["function"]["name"]}
    else:
        out = {"type": "any" if choice == "required" else "auto"}
    return out | {"disable_parallel_tool_use": True} if one_at_a_time else out


# ---------------------------------------------------------------- request: reasoning


def _reasoning(body: Json, model: str, supports: Json, output_tokens_max: int) -> tuple[tuple[Json, Json], bool]:
    """(output_config, thinking), each empty for the model's own default, and whether that is what was asked for."""
    effort, version = body.get("reasoning_effort"), _version(model)
    if not supports.get("reasoning", False):
        return ({}, {}), effort is None
    # a forced tool and explicit thinking exclude each other; the effort may still be said
    adaptive: Json = {} if _is_forced(body) else _ADAPTIVE
    if effort is None:
        return ({}, adaptive if version >= (5, 0) else {}), True
    if effort == "none":
        if version >= (5, 0) and "haiku" not in model:  # these always think
            return ({"effort": "low"}, adaptive), False
        return ({}, {"type": "disabled"}), True
    if version < (4, 6):
        budget = _budget(body, effort, output_tokens_max)
        thinking = {"type": "enabled", "budget_tokens": budget} if budget else {}
        return ({}, thinking), budget == _BUDGETS[effort]
    level = "low" if effort == "minimal" else effort
    if level == "xhigh" and version < (5, 0):  # a word of the 5 family
        level = "high"
    return ({"effort": level}, adaptive), level == effort


def _budget(body: Json, effort: str, output_tokens_max: int) -> int:
    """Tokens to think with, at most half of the output so that an answer follows; 0 where thinking would be a 400."""
    messages = body["messages"]
    if _is_forced(body) or messages[-1]["role"] == "assistant" or _lacks_thoughts(messages):
        return 0
    budget = max(min(_BUDGETS[effort], output_tokens_max // 2), _BUDGET_LEAST)
    return budget if budget < output_tokens_max else 0


def _lacks_thoughts(messages: list[Json]) -> bool:
    """Whether the tool calls being answered came without their signed thoughts (most clients lose them)."""
    for message in reversed(messages):
        if message["role"] == "user":
            return False
        if message.get("tool_calls") and not _thoughts(message):
            return True
    return False


def _thoughts(message: Json) -> list[Json]:
    """The thinking blocks that a client echoed, its pieces joined by index. Unsigned thoughts are not taken back."""
    blocks: list[Json] = []
    unsigned: dict[int, Json] = {}
    for i, detail in enumerate(message.get("reasoning_details") or ()):
        if detail.get("type") == "reasoning.encrypted" and detail.get("data") and not is_geminis(detail["data"]):
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
        elif detail.get("type") == "reasoning.text":
            index = detail.get("index", -1 - i)
            if index not in unsigned:
                unsigned[index] = {"type": "thinking", "thinking": "", "signature": ""}
                blocks.append(unsigned[index])
            unsigned[index]["thinking"] += detail.get("text") or ""
            if detail.get("signature"):
                unsigned.pop(index)["signature"] = detail["signature"]
    return [block for block in blocks if block.get("signature") != ""]


# ---------------------------------------------------------------- request: messages


def _conversation(messages: list[Json], version: tuple[int, int]) -> tuple[list[Json], list[Json]]:
    """System blocks, and turns in which no role follows itself."""
    leading = next((i for i, m in enumerate(messages) if m["role"] not in ("system", "developer")), len(messages))
    system = [block for i in range(leading) for block in _blocks(messages[i].get("content"), f"messages[{i}]")]
    turns = _merged(_turn(messages[i], f"messages[{i}]") for i in range(leading, len(messages)))
    turns = _merged(_with_system_placed(turns, version))
    if not turns:  # a system prompt alone: somebody must ask
        if not system:
            raise Invalid("`messages` says nothing.", "messages")
        system, turns = [], [("user", system)]
    if turns[-1][0] == "assistant":
        if version >= (4, 6):
            where = f"messages[{len(messages) - 1}]"
            raise Unsupported(f"`{where}`: this model does not continue an answer; end with the user's turn.", where)
        last = turns[-1][1][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()  # white space at the end of a beginning is a 400
    return system, [{"role": role, "content": blocks} for role, blocks in turns]


def _merged(turns: Iterable[Turn]) -> list[Turn]:
    out: list[Turn] = []
    for role, blocks in turns:
        if not blocks:
            continue
        if out and out[-1][0] == role:
            blocks = out.pop()[1] + blocks
        # tool results stand before all else in their turn
        out.append((role, sorted(blocks, key=lambda block: block["type"] != "tool_result")))
    return out


def _with_system_placed(turns: list[Turn], version: tuple[int, int]) -> Iterable[Turn]:
    """Later instructions keep their role between a user's turn and an answer; elsewhere, and before 5, the user says them."""
    for i, (role, blocks) in enumerate(turns):
        if role == "system":
            follows_user = i > 0 and turns[i - 1][0] == "user"
            awaits_answer = i + 1 == len(turns) or turns[i + 1][0] == "assistant"
            role = "system" if version >= (5, 0) and follows_user and awaits_answer else "user"
        yield role, blocks


def _turn(message: Json, where: str) -> Turn:
    role, content = message["role"], message.get("content")
    if role == "tool":
        return "user", [_tool_result(message, where)]
    if role != "assistant":
        return ("user" if role == "user" else "system"), _blocks(content, where)
    said = [*_blocks(content, where), *_blocks(message.get("refusal"), where)]
    said += [_tool_use(call) for call in message.get("tool_calls") or ()]
    return role, [*_thoughts(message), *said] if said else []


def _tool_use(call: Json) -> Json:
    text = call["function"]["arguments"]
    try:
        arguments = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):  # models slip, and the conversation must go on
        arguments = {"arguments": text}
    return {"type": "tool_use", "id": _id(call["id"]), "name": call["function"]["name"], "input": arguments}


def _tool_result(message: Json, where: str) -> Json:
    blocks = _blocks(message.get("content"), where)
    result: Json = {"type": "tool_result", "tool_use_id": _id(message["tool_call_id"])}
    for block in blocks:  # a breakpoint stands on the result, not within it
        result |= {"cache_control": block.pop("cache_control")} if "cache_control" in block else {}
    return result | {"content": blocks} if blocks else result


def _id(call_id: str) -> str:
    """Other vendors' ids hold characters that Anthropic refuses."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)


def _blocks(content: Any, where: str) -> list[Json]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    blocks = []
    for i, part in enumerate(parts):
        kind = part["type"]
        if kind in ("text", "refusal"):
            if part[kind].strip():  # blank blocks are a 400
                blocks.append(_cached({"type": "text", "text": part[kind]}, part))
            continue
        translate = _MEDIA.get(kind)
        if translate is None:
            raise Unsupported("This model takes text, images and PDF files.", f"{where}.content[{i}].type")
        blocks.append(_cached(translate(part, f"{where}.content[{i}]"), part))
    return blocks


def _image(part: Json, where: str) -> Json:
    url = part["image_url"]["url"]
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    found = _DATA_URL.fullmatch(url)
    if not found or found[1].lower() not in _IMAGE_TYPES:
        raise Unsupported("Images in data URLs are base64 of jpeg, png, gif or webp.", f"{where}.image_url.url")
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": _IMAGE_TYPES[found[1].lower()], "data": found[2]},
    }


def _file(part: Json, where: str) -> Json:
    file = part.get("file") or {}
    if file.get("file_url"):
        source = {"type": "url", "url": file["file_url"]}
    else:
        found = _DATA_URL.fullmatch(file.get("file_data") or "")
        if not found or found[1].lower() != "application/pdf":
            raise Unsupported("Files are PDFs, as a base64 data URL.", f"{where}.file.file_data")
        source = {"type": "base64", "media_type": "application/pdf", "data": found[2]}
    title = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": source, **title}


_MEDIA: dict[str, Callable[[Json, str], Json]] = {"image_url": _image, "file": _file}


def _cached(block: Json, part: Json) -> Json:
    return block | {"cache_control": part["cache_control"]} if part.get("cache_control") else block
