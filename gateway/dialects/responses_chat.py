"""OpenAI's Responses API, as a client speaks it ↔ chat completions. Pure.

``request`` turns a body of ``POST /responses`` into one of chat completions; ``complete`` and ``Events`` turn the answer back.
Nothing is stored, so whatever names a stored object is refused, and every turn carries the whole conversation.
Shapes: developers.openai.com/api/reference/responses, openai.types.responses of openai-python 3.54.
"""

import math
from collections.abc import Callable
from typing import Any

from gateway.dialects.faults import Invalid, Unknown, Unsupported
from gateway.dialects.responses_events import Events, complete, unpack_reasoning

__all__ = ["Events", "complete", "request"]

type Json = dict[str, Any]

OUTPUT_TOKENS_ASKED_MAX = 10_000_000
TEXT_CHARS_MAX = 512
TOOLS_MAX = 128

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
INCLUDABLE = ("reasoning.encrypted_content", "message.output_text.logprobs")

#: refused by name: each names a stored object, or has a price of its own, or would change what is sent unseen
REFUSED = {
    "previous_response_id": "responses are not stored; send the whole conversation in `input`",
    "conversation": "conversations are not stored; send the whole conversation in `input`",
    "prompt": "prompts are not stored; send `instructions` and `input`",
    "background_options": "answers are not made in the background",
    "max_tool_calls": "it counts the vendor's own tools, which are not sold here",
    "service_tier": "service tiers have prices of their own and are not sold here",
    "prompt_cache_options": "cache lifetimes have prices of their own and are not sold here",
    "prompt_cache_retention": "cache lifetimes have prices of their own and are not sold here",
    "context_management": "the input is sent as it is",
    "moderation": "moderation is not sold here",
    "access_programs": "access programs are the vendor account's own",
    "image": "images are sent as they are",
}


def request(body: Any) -> Json:
    """The chat body for a Responses body: model, messages, and whatever else was asked for, in chat's words.

    Left out are the fields that only come back in the answer (``metadata``, ``store`` …). Raises Invalid, Unsupported,
    Unknown, naming the parameter as the client spelled it. Addresses of images and files are not judged here.
    """
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise Invalid("`model` is required: the id of a model, such as `openai/gpt-4.1`.", "model")
    chat: Json = {"model": model, "messages": _messages(body.get("instructions"), body.get("input"))}
    for name, value in body.items():
        if value is None or name in ("model", "input", "instructions"):  # null means absent, as the SDKs send it
            continue
        translate = _FIELDS.get(name)
        if translate is not None:
            translate(chat, name, value)
        elif name in REFUSED:
            raise Unsupported(f"`{name}` is not supported: {REFUSED[name]}.", name)
        else:
            raise Unknown(f"Unknown parameter: `{name}`.", name)
    if body.get("stream_options") is not None and "stream" not in chat:
        raise Invalid("`stream_options` goes with `stream: true`.", "stream_options")
    return chat


# ---------------------------------------------------------------- fields

type Translate = Callable[[Json, str, Any], None]


def _number(most: int) -> Translate:
    def translate(chat: Json, name: str, value: Any) -> None:
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= most:
            raise Invalid(f"`{name}` must be a number from 0 to {most}.", name)
        chat[name] = value

    return translate


def _short_text(chat: Json, name: str, value: Any) -> None:
    chat[name] = _string(value, name)
    if len(value) > TEXT_CHARS_MAX:
        raise Invalid(f"`{name}` must be at most {TEXT_CHARS_MAX} characters.", name)


def _max_output_tokens(chat: Json, name: str, value: Any) -> None:
    chat["max_tokens"] = _whole(value, name, 1, OUTPUT_TOKENS_ASKED_MAX)


def _top_logprobs(chat: Json, name: str, value: Any) -> None:
    if _whole(value, name, 0, 20):
        chat |= {"logprobs": True, "top_logprobs": value}


def _include(chat: Json, name: str, value: Any) -> None:
    for i, item in enumerate(_list(value, name)):
        if item not in INCLUDABLE:
            raise Unsupported(f"`include[{i}]` can only be {' or '.join(INCLUDABLE)}.", f"include[{i}]")
    if "message.output_text.logprobs" in value:
        chat["logprobs"] = True


def _parallel_tool_calls(chat: Json, name: str, value: Any) -> None:
    chat[name] = _boolean(value, name)


def _stream(chat: Json, name: str, value: Any) -> None:
    if _boolean(value, name):
        chat[name] = True


def _stream_options(chat: Json, name: str, value: Any) -> None:
    # the padding against eavesdroppers is not sent, whether or not it is wanted
    for key, flag in _object(value, name, {"include_obfuscation"}).items():
        _boolean(flag, f"{name}.{key}")


def _store(chat: Json, name: str, value: Any) -> None:
    _boolean(value, name)


def _background(chat: Json, name: str, value: Any) -> None:
    if _boolean(value, name):
        raise Unsupported("`background` is not supported: answers are not stored.", name)


def _truncation(chat: Json, name: str, value: Any) -> None:
    if _word(value, name, ("auto", "disabled")) == "auto":
        raise Unsupported("`truncation` can only be disabled: the input is sent as it is.", name)


def _metadata(chat: Json, name: str, value: Any) -> None:
    short = isinstance(value, dict) and len(value) <= 16
    if not short or not all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in value.items()):
        raise Invalid(f"`{name}` must be an object of at most 16 short strings.", name)


def _reasoning(chat: Json, name: str, value: Any) -> None:
    reasoning = _object(value, name, {"effort", "summary", "generate_summary", "context", "mode"})
    if "effort" in reasoning:
        chat["reasoning_effort"] = _word(reasoning["effort"], "reasoning.effort", EFFORTS)
    for key in reasoning.keys() & {"summary", "generate_summary"}:
        _word(reasoning[key], f"reasoning.{key}", ("auto", "concise", "detailed"))
    # what is echoed is sent on, and there is one price: other wishes cannot be met
    for key, granted in (("context", ("auto", "all_turns")), ("mode", ("standard",))):
        if key in reasoning and reasoning[key] not in granted:
            raise Unsupported(f"`reasoning.{key}` can only be {' or '.join(granted)}.", f"reasoning.{key}")


def _text(chat: Json, name: str, value: Any) -> None:
    text = _object(value, name, {"format", "verbosity"})
    if "verbosity" in text:
        chat["verbosity"] = _word(text["verbosity"], "text.verbosity", ("low", "medium", "high"))
    if "format" not in text:
        return
    where = "text.format"
    shape = _object(text["format"], where)
    kind = _word(shape.get("type"), f"{where}.type", ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        shape = _object(shape, where, {"type", "name", "schema", "strict", "description"})
        _string(shape.get("name"), f"{where}.name")
        _object(shape.get("schema"), f"{where}.schema")
        _optional(shape, where, description=_string, strict=_boolean)
        chat["response_format"] = {"type": kind, kind: {k: v for k, v in shape.items() if k != "type"}}
    else:
        _object(shape, where, {"type"})
        if kind == "json_object":
            chat["response_format"] = {"type": kind}


def _tools(chat: Json, name: str, value: Any) -> None:
    if len(_list(value, name)) > TOOLS_MAX:
        raise Invalid(f"`tools` must be a list of at most {TOOLS_MAX} tools.", name)
    if value:
        chat[name] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(value)]


def _tool(tool: Any, where: str) -> Json:
    kind = _string(_object(tool, where).get("type"), f"{where}.type")
    if kind != "function":
        raise Unsupported(
            f"`{where}.type` must be function: the vendors' own tools have prices of their own and are not sold here.",
            f"{where}.type",
        )
    function = _object(tool, where, {"type", "name", "description", "parameters", "strict"})
    _name(function.get("name"), f"{where}.name")
    if "parameters" in function:
        _object(function["parameters"], f"{where}.parameters")
    _optional(function, where, description=_string, strict=_boolean)
    return {"type": "function", "function": {key: value for key, value in function.items() if key != "type"}}


def _tool_choice(chat: Json, name: str, value: Any) -> None:
    if isinstance(value, str):
        chat[name] = _word(value, name, ("none", "auto", "required"))
        return
    kind = _string(_object(value, name).get("type"), f"{name}.type")
    if kind != "function":
        raise Unsupported("`tool_choice` can only be none, auto, required or a function.", name)
    choice = _object(value, name, {"type", "name"})
    chat[name] = {"type": "function", "function": {"name": _name(choice.get("name"), f"{name}.name")}}


def _client_metadata(chat: Json, name: str, value: Any) -> None:
    _object(value, name)  # Codex tells its own installation and version here


_FIELDS: dict[str, Translate] = {
    "background": _background,
    "client_metadata": _client_metadata,
    "include": _include,
    "max_output_tokens": _max_output_tokens,
    "metadata": _metadata,
    "parallel_tool_calls": _parallel_tool_calls,
    "prompt_cache_key": _short_text,
    "reasoning": _reasoning,
    "safety_identifier": _short_text,
    "store": _store,
    "stream": _stream,
    "stream_options": _stream_options,
    "temperature": _number(2),
    "text": _text,
    "tool_choice": _tool_choice,
    "tools": _tools,
    "top_logprobs": _top_logprobs,
    "top_p": _number(1),
    "truncation": _truncation,
    "user": _short_text,
}


# ---------------------------------------------------------------- input


def _messages(instructions: Any, items: Any) -> list[Json]:
    messages: list[Json] = []
    if instructions is not None:
        messages.append({"role": "system", "content": _string(instructions, "instructions")})
    if isinstance(items, str):
        return [*messages, {"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise Invalid("`input` is required: a text or a list with at least one item.", "input")
    turn: Json | None = None
    for i, item in enumerate(items):
        where = f"input[{i}]"
        kind = _kind(_object(item, where), where)
        if kind == "function_call_output" or (kind == "message" and item.get("role") != "assistant"):
            turn = None
            messages.append(_said(item, where) if kind == "message" else _tool_result(item, where))
            continue
        if turn is None:
            turn = {"role": "assistant", "content": None}
            messages.append(turn)
        _ASSISTANT_ITEMS[kind](turn, item, where)
    # reasoning that led to nothing is no message in chat
    return [m for m in messages if m["content"] is not None or "tool_calls" in m or "refusal" in m]


def _kind(item: Json, where: str) -> str:
    kind = item.get("type")
    if kind is None:  # both may be left out: a message has a role, a reference has only its id
        kind = "item_reference" if "role" not in item and "id" in item else "message"
    _string(kind, f"{where}.type")
    if kind == "item_reference":
        raise Unsupported(f"`{where}`: items are not stored; send the item itself.", where)
    if kind not in ("message", "function_call_output", *_ASSISTANT_ITEMS):
        raise Unsupported(
            f"`{where}.type` can only be message, function_call, function_call_output or reasoning.", f"{where}.type"
        )
    return str(kind)


def _said(item: Json, where: str) -> Json:
    item = _object(item, where, {"type", "role", "content", "id", "status", "phase"})
    role = _word(item.get("role"), f"{where}.role", ("user", "assistant", "system", "developer"))
    return {"role": role, "content": _content(item.get("content"), f"{where}.content", _INPUT_PARTS)}


def _tool_result(item: Json, where: str) -> Json:
    item = _object(item, where, {"type", "call_id", "output", "id", "status", "name"})
    call_id = _string(item.get("call_id"), f"{where}.call_id")
    if not call_id:
        raise Invalid(f"`{where}.call_id` is required.", f"{where}.call_id")
    return {
        "role": "tool",
        "tool_call_id": call_id,
        "content": _content(item.get("output"), f"{where}.output", _INPUT_PARTS),
    }


def _assistant_message(turn: Json, item: Json, where: str) -> None:
    """Everything between two turns of the user is one message in chat: what was said is joined, calls come last."""
    item = _object(item, where, {"type", "role", "content", "id", "status", "phase"})
    said = _content(item.get("content"), f"{where}.content", _OUTPUT_PARTS)
    before = turn["content"]
    turn["content"] = said if before is None else [*_as_parts(before), *_as_parts(said)]


def _function_call(turn: Json, item: Json, where: str) -> None:
    item = _object(item, where, {"type", "call_id", "name", "arguments", "id", "status"})
    call = {
        "id": _string(item.get("call_id"), f"{where}.call_id"),
        "type": "function",
        "function": {
            "name": _name(item.get("name"), f"{where}.name"),
            "arguments": _string(item.get("arguments"), f"{where}.arguments"),
        },
    }
    turn.setdefault("tool_calls", []).append(call)


def _reasoning_item(turn: Json, item: Json, where: str) -> None:
    item = _object(item, where, {"type", "summary", "content", "encrypted_content", "id", "status"})
    texts: list[str] = []
    for key, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        for i, part in enumerate(_list(item.get(key, []), f"{where}.{key}")):
            at = f"{where}.{key}[{i}]"
            _word(_object(part, at, {"type", "text"}).get("type"), f"{at}.type", (kind,))
            texts.append(_string(part.get("text"), f"{at}.text"))
    if texts:
        turn["reasoning_content"] = turn.get("reasoning_content", "") + "".join(texts)
    if "encrypted_content" in item:
        sealed = _string(item["encrypted_content"], f"{where}.encrypted_content")
        turn["reasoning_details"] = [*turn.get("reasoning_details", []), *unpack_reasoning(sealed)]


_ASSISTANT_ITEMS: dict[str, Callable[[Json, Json, str], None]] = {
    "message": _assistant_message,
    "function_call": _function_call,
    "reasoning": _reasoning_item,
}


# ---------------------------------------------------------------- content parts

type Part = Callable[[Json, str], Json]


def _content(value: Any, where: str, known: dict[str, Part]) -> str | list[Json]:
    """A string where there is only text: some vendors take no parts."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Invalid(f"`{where}` must be a string or a list of parts.", where)
    parts: list[Json] = []
    for i, part in enumerate(value):
        at = f"{where}[{i}]"
        kind = _string(_object(part, at).get("type"), f"{at}.type")
        if kind not in known:
            raise Invalid(f"`{at}.type` must be one of {', '.join(known)}.", f"{at}.type")
        parts.append(known[kind](part, at))
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text_part(part: Json, where: str) -> Json:
    # annotations and log probabilities come back with an echoed answer and mean nothing to a vendor
    text = _object(part, where, {"type", "text", "annotations", "logprobs"}).get("text")
    return {"type": "text", "text": _string(text, f"{where}.text")}


def _refusal_part(part: Json, where: str) -> Json:
    refusal = _object(part, where, {"type", "refusal"}).get("refusal")
    return {"type": "refusal", "refusal": _string(refusal, f"{where}.refusal")}


def _image_part(part: Json, where: str) -> Json:
    part = _object(part, where, {"type", "image_url", "detail", "file_id"})
    _refuse_file_id(part, where)
    image = {"url": _string(part.get("image_url"), f"{where}.image_url")}
    if "detail" in part:
        image["detail"] = _word(part["detail"], f"{where}.detail", ("auto", "low", "high", "original"))
    return {"type": "image_url", "image_url": image}


def _file_part(part: Json, where: str) -> Json:
    part = _object(part, where, {"type", "filename", "file_data", "file_url", "file_id", "detail"})
    _refuse_file_id(part, where)
    file = {key: _string(part[key], f"{where}.{key}") for key in ("filename", "file_data", "file_url") if key in part}
    if ("file_data" in file) == ("file_url" in file):
        raise Invalid(f"`{where}` needs either `file_data` or `file_url`.", where)
    return {"type": "file", "file": file}


def _refuse_file_id(part: Json, where: str) -> None:
    if "file_id" in part:
        raise Unsupported(
            f"`{where}.file_id` is not supported: files are not stored; send the data or its URL.", f"{where}.file_id"
        )


_INPUT_PARTS: dict[str, Part] = {"input_text": _text_part, "input_image": _image_part, "input_file": _file_part}
_OUTPUT_PARTS: dict[str, Part] = {"output_text": _text_part, "refusal": _refusal_part, "input_text": _text_part}


def _as_parts(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


# ---------------------------------------------------------------- checks


def _object(value: Any, where: str, allowed: set[str] | None = None) -> Json:
    """The object without its nulls. With ``allowed``, other keys are refused."""
    if not isinstance(value, dict):
        raise Invalid(f"`{where}` must be an object.", where)
    checked = {key: inner for key, inner in value.items() if inner is not None}
    for key in checked:
        if allowed is not None and key not in allowed:
            raise Unknown(f"Unknown parameter: `{where}.{key}`.", f"{where}.{key}")
    return checked


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid(f"`{where}` must be a list.", where)
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"`{where}` must be a string.", where)
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise Invalid(f"`{where}` is required, at most 64 characters.", where)
    return value


def _boolean(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise Invalid(f"`{where}` must be true or false.", where)
    return value


def _whole(value: Any, where: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"`{where}` must be a whole number from {least} to {most}.", where)
    return value


def _word(value: Any, where: str, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        raise Invalid(f"`{where}` must be one of {', '.join(words)}.", where)
    return value


def _optional(value: Json, where: str, **checks: Callable[[Any, str], object]) -> None:
    for key, check in checks.items():
        if key in value:
            check(value[key], f"{where}.{key}")
