"""OpenAI's Responses API, as a client speaks it ↔ chat completions. Pure.

``request`` turns a body of ``POST /responses`` into one of chat completions; ``complete`` and ``Events`` turn the answer back.
Nothing is stored, so whatever names a stored object is refused, and every turn carries the whole conversation.
Shapes: developers.openai.com/api/reference/responses, openai.types.responses of openai-python 3.54.
"""

import math
from collections.abc import Callable
from typing import Any

from gateway.dialects.faults import Invalid, Unknown, Unsupported
from gateway.dialects.responses_events import Events, complete
from gateway.dialects.responses_input import messages_of
from gateway.dialects.responses_values import (
    check_optional,
    flag_of,
    list_of,
    name_of,
    object_of,
    text_of,
    whole_of,
    word_of,
)

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
    Unknown, naming the parameter as the client spelled it.
    """
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise Invalid("`model` is required: the id of a model, such as `openai/gpt-4.1`.", "model")
    chat: Json = {"model": model, "messages": messages_of(body.get("instructions"), body.get("input"))}
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
    chat[name] = text_of(value, name)
    if len(value) > TEXT_CHARS_MAX:
        raise Invalid(f"`{name}` must be at most {TEXT_CHARS_MAX} characters.", name)


def _max_output_tokens(chat: Json, name: str, value: Any) -> None:
    chat["max_tokens"] = whole_of(value, name, 1, OUTPUT_TOKENS_ASKED_MAX)


def _top_logprobs(chat: Json, name: str, value: Any) -> None:
    if whole_of(value, name, 0, 20):
        chat |= {"logprobs": True, "top_logprobs": value}


def _include(chat: Json, name: str, value: Any) -> None:
    for i, item in enumerate(list_of(value, name)):
        if item not in INCLUDABLE:
            raise Unsupported(f"`include[{i}]` can only be {' or '.join(INCLUDABLE)}.", f"include[{i}]")
    if "message.output_text.logprobs" in value:
        chat["logprobs"] = True


def _parallel_tool_calls(chat: Json, name: str, value: Any) -> None:
    chat[name] = flag_of(value, name)


def _stream(chat: Json, name: str, value: Any) -> None:
    if flag_of(value, name):
        chat[name] = True


def _stream_options(chat: Json, name: str, value: Any) -> None:
    # the padding against eavesdroppers is not sent, whether or not it is wanted
    for key, flag in object_of(value, name, {"include_obfuscation"}).items():
        flag_of(flag, f"{name}.{key}")


def _store(chat: Json, name: str, value: Any) -> None:
    flag_of(value, name)


def _background(chat: Json, name: str, value: Any) -> None:
    if flag_of(value, name):
        raise Unsupported("`background` is not supported: answers are not stored.", name)


def _truncation(chat: Json, name: str, value: Any) -> None:
    if word_of(value, name, ("auto", "disabled")) == "auto":
        raise Unsupported("`truncation` can only be disabled: the input is sent as it is.", name)


def _metadata(chat: Json, name: str, value: Any) -> None:
    short = isinstance(value, dict) and len(value) <= 16
    if not short or not all(isinstance(v, str) and len(k) <= 64 and len(v) <= 512 for k, v in value.items()):
        raise Invalid(f"`{name}` must be an object of at most 16 short strings.", name)


def _reasoning(chat: Json, name: str, value: Any) -> None:
    reasoning = object_of(value, name, {"effort", "summary", "generate_summary", "context", "mode"})
    if "effort" in reasoning:
        chat["reasoning_effort"] = word_of(reasoning["effort"], "reasoning.effort", EFFORTS)
    for key in reasoning.keys() & {"summary", "generate_summary"}:
        word_of(reasoning[key], f"reasoning.{key}", ("auto", "concise", "detailed"))
    # what is echoed is sent on, and there is one price: other wishes cannot be met
    for key, granted in (("context", ("auto", "all_turns")), ("mode", ("standard",))):
        if key in reasoning and reasoning[key] not in granted:
            raise Unsupported(f"`reasoning.{key}` can only be {' or '.join(granted)}.", f"reasoning.{key}")


def _text(chat: Json, name: str, value: Any) -> None:
    text = object_of(value, name, {"format", "verbosity"})
    if "verbosity" in text:
        chat["verbosity"] = word_of(text["verbosity"], "text.verbosity", ("low", "medium", "high"))
    if "format" not in text:
        return
    where = "text.format"
    shape = object_of(text["format"], where)
    kind = word_of(shape.get("type"), f"{where}.type", ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        shape = object_of(shape, where, {"type", "name", "schema", "strict", "description"})
        text_of(shape.get("name"), f"{where}.name")
        object_of(shape.get("schema"), f"{where}.schema")
        check_optional(shape, where, description=text_of, strict=flag_of)
        chat["response_format"] = {"type": kind, kind: {k: v for k, v in shape.items() if k != "type"}}
    else:
        object_of(shape, where, {"type"})
        if kind == "json_object":
            chat["response_format"] = {"type": kind}


def _tools(chat: Json, name: str, value: Any) -> None:
    if len(list_of(value, name)) > TOOLS_MAX:
        raise Invalid(f"`tools` must be a list of at most {TOOLS_MAX} tools.", name)
    if value:
        chat[name] = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(value)]


def _tool(tool: Any, where: str) -> Json:
    kind = text_of(object_of(tool, where).get("type"), f"{where}.type")
    if kind != "function":
        raise Unsupported(
            f"`{where}.type` must be function: the vendors' own tools have prices of their own and are not sold here.",
            f"{where}.type",
        )
    function = object_of(tool, where, {"type", "name", "description", "parameters", "strict"})
    name_of(function.get("name"), f"{where}.name")
    if "parameters" in function:
        object_of(function["parameters"], f"{where}.parameters")
    check_optional(function, where, description=text_of, strict=flag_of)
    return {"type": "function", "function": {key: value for key, value in function.items() if key != "type"}}


def _tool_choice(chat: Json, name: str, value: Any) -> None:
    if isinstance(value, str):
        chat[name] = word_of(value, name, ("none", "auto", "required"))
        return
    kind = text_of(object_of(value, name).get("type"), f"{name}.type")
    if kind != "function":
        raise Unsupported("`tool_choice` can only be none, auto, required or a function.", name)
    choice = object_of(value, name, {"type", "name"})
    chat[name] = {"type": "function", "function": {"name": name_of(choice.get("name"), f"{name}.name")}}


def _client_metadata(chat: Json, name: str, value: Any) -> None:
    object_of(value, name)  # Codex tells its own installation and version here


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
