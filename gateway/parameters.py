"""What a chat completion request may say: an allow-list, checked field by field before any money moves.

Whatever is not named here is refused, and only what was checked is sent on. Fields with a price of their own and no price row,
and fields that name an object of the shared vendor account, are refused by name.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.dialects.addresses import is_image_data, is_public
from gateway.errors import InvalidJson, InvalidRequest, UnknownParameter, UnsupportedParameter, UrlNotAllowed
from gateway.preferences import ANY, Preferences, models_of, preferences_of

#: a request for more output than this is a slip, not a wish
OUTPUT_TOKENS_ASKED_MAX = 10_000_000
CHOICES_MAX = 128
MESSAGES_MAX = 10_000
TOOLS_MAX = 512
STOPS_MAX = 16

ROLES = {"system", "developer", "user", "assistant", "tool"}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

#: refused by name: each has a price of its own, or names an object of the vendor account that all customers share
REFUSED = {
    "service_tier": "service tiers have prices of their own and are not sold here",
    "web_search_options": "web search has a price of its own and is not sold here",
    "audio": "audio output is not sold here",
    "prediction": "predicted outputs are billed beyond the answer and are not sold here",
    "functions": "use `tools`",
    "function_call": "use `tool_choice`",
    "previous_response_id": "stored responses are not shared; send the whole conversation",
    "conversation": "stored conversations are not shared; send the whole conversation",
}
#: accepted and not sent on: they change nothing that a caller could see, or concern storage, which is forced off
IGNORED = {"store", "metadata"}


@dataclass(slots=True)
class ChatRequest:
    """A checked request. ``body`` holds what goes upstream, without the model, the output bound and streaming."""

    model: str
    body: dict[str, Any]
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    max_tokens: int | None = None
    image_count: int = 0
    #: characters of data URLs in ``body``: counted as images and pages, not as text
    data_chars: int = 0
    file_count: int = 0
    file_bytes: int = 0
    #: something in the messages or tools that only some upstreams have a word for
    has_extras: bool = False
    #: who may answer where ``model`` cannot, and by which routes
    fallbacks: tuple[str, ...] = ()
    preferences: Preferences = ANY
    #: the client's own body where it spoke another dialect
    original: dict[str, Any] | None = None
    is_native_messages: bool = False  # ``original`` is Anthropic Messages: it can pass through to Anthropic
    adjusted: list[str] = field(default_factory=list)


def chat_request(body: Any) -> ChatRequest:
    """Checks the request's own shape. Raises InvalidRequest and its kin, naming the parameter."""
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    fallbacks = models_of(body["models"]) if body.get("models") is not None else ()
    model = body.get("model") or next(iter(fallbacks), None)
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        raise InvalidRequest("`model` is required: the id of a model, such as `openai/gpt-4.1`.", param="model")
    request = ChatRequest(model=model, body={}, fallbacks=fallbacks)
    request.body["messages"] = _messages(body.get("messages"), request)
    for name, value in body.items():
        if name in ("model", "models", "messages") or value is None:  # null means absent, as OpenAI's SDKs send it
            continue
        check = _FIELDS.get(name)
        if check is not None:
            check(request, name, value)
        elif name in REFUSED:
            raise UnsupportedParameter(f"`{name}` is not supported: {REFUSED[name]}.", param=name)
        elif name not in IGNORED:
            raise UnknownParameter(f"Unknown parameter: `{name}`.", param=name)
    if "stream_options" in body and body["stream_options"] is not None and not request.stream:
        raise InvalidRequest("`stream_options` goes with `stream: true`.", param="stream_options")
    return request


def fit(request: ChatRequest, supports: dict[str, Any], input_modalities: tuple[str, ...]) -> None:
    """Fits the request to what the model can do.

    Sampling that a model lacks is dropped and named; tools, formats and modalities that it lacks are refused.
    """
    body = request.body
    if not supports.get("sampling_params", True):
        for name in (
            "temperature",
            "top_p",
            "presence_penalty",
            "frequency_penalty",
            "logprobs",
            "top_logprobs",
            "logit_bias",
        ):
            if body.pop(name, None) is not None:
                request.adjusted.append(name)
    if not supports.get("reasoning", False) and body.pop("reasoning_effort", None) is not None:
        request.adjusted.append("reasoning_effort")
    if not supports.get("tools", True):
        for name in ("tools", "tool_choice"):
            if name in body:
                raise UnsupportedParameter("This model does not call tools.", param=name)
    if body.get("tool_choice") not in (None, "auto", "none") and not supports.get("forced_tool_choice", True):
        message = "This model decides itself whether to call a tool: `tool_choice` can be auto or none."
        raise UnsupportedParameter(message, param="tool_choice")
    if not supports.get("parallel_tools", True) and body.pop("parallel_tool_calls", None) is not None:
        request.adjusted.append("parallel_tool_calls")
    kind = body.get("response_format", {}).get("type")
    if (kind == "json_schema" and not supports.get("json_schema", True)) or (
        kind == "json_object" and not supports.get("json_mode", True)
    ):
        raise UnsupportedParameter(f"This model does not offer `{kind}` answers.", param="response_format")
    if request.image_count and "image" not in input_modalities:
        raise UnsupportedParameter("This model does not take images.", param="messages")
    if request.file_count and "file" not in input_modalities:
        raise UnsupportedParameter("This model does not take files.", param="messages")


def scope_identifiers(request: ChatRequest, key_hash: bytes) -> None:
    """End-user ids and cache keys reach the shared vendor account only as hashes of ours: no tenant can meet another's."""
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        value = request.body.get(name)
        if value is not None:
            request.body[name] = hashlib.sha256(key_hash + value.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# ---------------------------------------------------------------- fields

type Check = Callable[[ChatRequest, str, Any], None]


def _whole(least: int, most: int) -> Check:
    def check(request: ChatRequest, name: str, value: Any) -> None:
        if type(value) is not int or not least <= value <= most:
            raise InvalidRequest(f"`{name}` must be a whole number from {least} to {most}.", param=name)
        request.body[name] = value

    return check


def _number(least: float, most: float) -> Check:
    def check(request: ChatRequest, name: str, value: Any) -> None:
        if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
            raise InvalidRequest(f"`{name}` must be a number from {least:g} to {most:g}.", param=name)
        request.body[name] = value

    return check


def _boolean(request: ChatRequest, name: str, value: Any) -> None:
    if type(value) is not bool:
        raise InvalidRequest(f"`{name}` must be true or false.", param=name)
    request.body[name] = value


def _short_text(request: ChatRequest, name: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > 512:
        raise InvalidRequest(f"`{name}` must be a string of at most 512 characters.", param=name)
    request.body[name] = value


def _one_of(*words: str) -> Check:
    def check(request: ChatRequest, name: str, value: Any) -> None:
        if value not in words or not isinstance(value, str):
            raise InvalidRequest(f"`{name}` must be one of {', '.join(words)}.", param=name)
        request.body[name] = value

    return check


def _stream(request: ChatRequest, name: str, value: Any) -> None:
    if type(value) is not bool:
        raise InvalidRequest("`stream` must be true or false.", param=name)
    request.stream = value


def _stream_options(request: ChatRequest, name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest("`stream_options` must be an object.", param=name)
    for key, flag in value.items():
        if key not in ("include_usage", "include_obfuscation"):
            raise UnknownParameter(f"Unknown parameter: `stream_options.{key}`.", param=f"stream_options.{key}")
        if flag is not None and type(flag) is not bool:
            raise InvalidRequest(f"`stream_options.{key}` must be true or false.", param=f"stream_options.{key}")
    request.include_usage = bool(value.get("include_usage"))


def _max_tokens(request: ChatRequest, name: str, value: Any) -> None:
    if type(value) is not int or not 1 <= value <= OUTPUT_TOKENS_ASKED_MAX:
        raise InvalidRequest(f"`{name}` must be a whole number from 1 to {OUTPUT_TOKENS_ASKED_MAX}.", param=name)
    if request.max_tokens not in (None, value):
        raise InvalidRequest("`max_tokens` and `max_completion_tokens` differ: give one of them.", param=name)
    request.max_tokens = value


def _choices(request: ChatRequest, name: str, value: Any) -> None:
    if type(value) is not int or not 1 <= value <= CHOICES_MAX:
        raise InvalidRequest(f"`n` must be a whole number from 1 to {CHOICES_MAX}.", param=name)
    request.choices = value
    if value > 1:
        request.body[name] = value


def _stop(request: ChatRequest, name: str, value: Any) -> None:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > STOPS_MAX or not all(isinstance(s, str) and s for s in stops):
        raise InvalidRequest(f"`stop` must be a string or up to {STOPS_MAX} strings.", param=name)
    if stops:
        request.body[name] = value


def _logit_bias(request: ChatRequest, name: str, value: Any) -> None:
    fine = isinstance(value, dict) and all(
        token.isdecimal() and type(bias) in (int, float) and -100 <= bias <= 100 for token, bias in value.items()
    )
    if not fine or len(value) > 1024:
        raise InvalidRequest("`logit_bias` must map token ids to numbers from -100 to 100.", param=name)
    request.body[name] = value


def _modalities(request: ChatRequest, name: str, value: Any) -> None:
    if value != ["text"]:
        raise UnsupportedParameter('`modalities` can only be ["text"]: audio output is not sold here.', param=name)


def _response_format(request: ChatRequest, name: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(
            "`response_format.type` must be text, json_object or json_schema.", param="response_format.type"
        )
    if kind == "json_schema":
        schema = value.get("json_schema")
        if not isinstance(schema, dict) or not isinstance(schema.get("name"), str):
            raise InvalidRequest(
                "`response_format.json_schema` needs a name and a schema.", param="response_format.json_schema"
            )
        _only(value, {"type", "json_schema"}, name)
        _only(schema, {"name", "schema", "strict", "description"}, "response_format.json_schema")
    else:
        _only(value, {"type"}, name)
    request.body[name] = value


def _tools(request: ChatRequest, name: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) > TOOLS_MAX:
        raise InvalidRequest(f"`tools` must be a list of at most {TOOLS_MAX} tools.", param=name)
    for i, tool in enumerate(value):
        where = f"tools[{i}]"
        if not isinstance(tool, dict):
            raise InvalidRequest(f"`{where}` must be an object.", param=where)
        if tool.get("type") != "function":
            raise UnsupportedParameter(
                f"`{where}.type` must be function: the vendors' own tools have prices of their own and are not sold here.",
                param=f"{where}.type",
            )
        function = tool.get("function")
        if (
            not isinstance(function, dict)
            or not isinstance(function.get("name"), str)
            or not 0 < len(function["name"]) <= 128
        ):
            raise InvalidRequest(
                f"`{where}.function.name` is required, at most 128 characters.", param=f"{where}.function.name"
            )
        if not isinstance(function.get("parameters") or {}, dict):
            raise InvalidRequest(
                f"`{where}.function.parameters` must be a JSON schema.", param=f"{where}.function.parameters"
            )
        _only(tool, {"type", "function", "cache_control"}, where)
        if "cache_control" in tool:
            _cache_control(tool["cache_control"], f"{where}.cache_control", request)
        _only(function, {"name", "description", "parameters", "strict"}, f"{where}.function")
    if value:
        request.body[name] = value


def _tool_choice(request: ChatRequest, name: str, value: Any) -> None:
    named = isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("function"), dict)
    if value not in ("none", "auto", "required") and not (named and isinstance(value["function"].get("name"), str)):
        raise InvalidRequest("`tool_choice` must be none, auto, required or a named function.", param=name)
    request.body[name] = value


def _provider(request: ChatRequest, name: str, value: Any) -> None:
    request.preferences = preferences_of(value)


def _only(value: dict[str, Any], allowed: set[str], where: str) -> None:
    for key in value:
        if key not in allowed:
            raise UnknownParameter(f"Unknown parameter: `{where}.{key}`.", param=f"{where}.{key}")


_FIELDS: dict[str, Check] = {
    "stream": _stream,
    "stream_options": _stream_options,
    "max_tokens": _max_tokens,
    "max_completion_tokens": _max_tokens,
    "n": _choices,
    "stop": _stop,
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _whole(-(2**63), 2**63 - 1),
    "logit_bias": _logit_bias,
    "logprobs": _boolean,
    "top_logprobs": _whole(0, 20),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _boolean,
    "response_format": _response_format,
    "modalities": _modalities,
    "reasoning_effort": _one_of(*EFFORTS),
    "verbosity": _one_of("low", "medium", "high"),
    "user": _short_text,
    "safety_identifier": _short_text,
    "prompt_cache_key": _short_text,
    "provider": _provider,
}

#: for the catalogue's `supported_parameters`
SUPPORTED = tuple(sorted({*_FIELDS, "messages", "model", "models"}))


# ---------------------------------------------------------------- messages

_MESSAGE_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal"}
#: reasoning of earlier turns: some upstreams need it back, the others are not sent it
_REASONING_KEYS = {"reasoning_content": str, "reasoning_details": list}
#: what SDKs echo from an earlier answer; the vendors take none of it back
_ECHOED_KEYS = {"annotations", "reasoning", "provider_specific_fields"}


def _messages(value: Any, request: ChatRequest) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or len(value) > MESSAGES_MAX:
        raise InvalidRequest("`messages` is required: a list with at least one message.", param="messages")
    return [_message(message, f"messages[{i}]", request) for i, message in enumerate(value)]


def _message(message: Any, where: str, request: ChatRequest) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise InvalidRequest(f"`{where}.role` must be one of {', '.join(sorted(ROLES))}.", param=f"{where}.role")
    role, checked = message["role"], {}
    for key, value in message.items():
        if value is None or key in _ECHOED_KEYS:
            continue
        if key in _REASONING_KEYS:
            if not isinstance(value, _REASONING_KEYS[key]):
                raise InvalidRequest(f"`{where}.{key}` is not what an answer holds.", param=f"{where}.{key}")
            request.has_extras = True
        elif key not in _MESSAGE_KEYS:
            raise UnknownParameter(f"Unknown parameter: `{where}.{key}`.", param=f"{where}.{key}")
        checked[key] = value
    content = checked.get("content")
    if isinstance(content, list):
        checked["content"] = [_part(part, f"{where}.content[{i}]", request) for i, part in enumerate(content)]
    elif content is not None and not isinstance(content, str):
        raise InvalidRequest(f"`{where}.content` must be a string or a list of parts.", param=f"{where}.content")
    elif content is None and not (role == "assistant" and ("tool_calls" in checked or "refusal" in checked)):
        raise InvalidRequest(f"`{where}.content` is required.", param=f"{where}.content")
    for key in ("name", "tool_call_id", "refusal"):
        if not isinstance(checked.get(key, ""), str):
            raise InvalidRequest(f"`{where}.{key}` must be a string.", param=f"{where}.{key}")
    if role == "tool" and not checked.get("tool_call_id"):
        raise InvalidRequest(f"`{where}.tool_call_id` is required.", param=f"{where}.tool_call_id")
    if "tool_calls" in checked:
        _tool_calls(checked["tool_calls"], f"{where}.tool_calls", role)
    if content is None and role == "assistant":
        checked["content"] = None
    return checked


def _tool_calls(value: Any, where: str, role: str) -> None:
    if role != "assistant" or not isinstance(value, list):
        raise InvalidRequest(f"`{where}` must be a list, in an assistant's message.", param=where)
    for i, call in enumerate(value):
        function = call.get("function") if isinstance(call, dict) else None
        fine = (
            isinstance(function, dict)
            and isinstance(call.get("id"), str)
            and isinstance(function.get("name"), str)
            and isinstance(function.get("arguments"), str)
        )
        if not fine:
            raise InvalidRequest(
                f"`{where}[{i}]` needs an id and a function with name and arguments.", param=f"{where}[{i}]"
            )


def _part(part: Any, where: str, request: ChatRequest) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise InvalidRequest(f"`{where}.{kind}` must be a string.", param=f"{where}.{kind}")
        checked = {"type": kind, kind: part[kind]}
    elif kind == "image_url":
        checked = _image(part, where, request)
    elif kind == "file":
        checked = _file(part, where, request)
    elif kind in ("input_audio", "video_url"):
        raise UnsupportedParameter(f"`{where}.type`: send text, images or files.", param=f"{where}.type")
    else:
        raise InvalidRequest(f"`{where}.type` must be text, image_url or file.", param=f"{where}.type")
    if part.get("cache_control") is not None:
        checked["cache_control"] = _cache_control(part["cache_control"], f"{where}.cache_control", request)
    return checked


def _cache_control(value: Any, where: str, request: ChatRequest) -> dict[str, Any]:
    if not isinstance(value, dict) or value.get("type") != "ephemeral" or value.get("ttl", "5m") not in ("5m", "1h"):
        raise InvalidRequest(f"`{where}` must be ephemeral, with a ttl of 5m or 1h.", param=where)
    _only(value, {"type", "ttl"}, where)
    request.has_extras = True
    return value


def _file(part: dict[str, Any], where: str, request: ChatRequest) -> dict[str, Any]:
    """A document sent along. Files kept at the vendor belong to the account that all customers share."""
    file = part.get("file")
    if not isinstance(file, dict):
        raise InvalidRequest(f"`{where}.file` is required.", param=f"{where}.file")
    for name, why in (("file_id", "files are not kept here"), ("file_url", "its pages cannot be counted beforehand")):
        if file.get(name) is not None:
            raise UnsupportedParameter(f"`{where}.file.{name}`: {why}; send `file_data`.", param=f"{where}.file.{name}")
    data = file.get("file_data")
    if not isinstance(data, str) or not data.startswith("data:application/pdf;base64,"):
        raise InvalidRequest(f"`{where}.file.file_data` must be a PDF as a data URL.", param=f"{where}.file.file_data")
    if not isinstance(file.get("filename", ""), str):
        raise InvalidRequest(f"`{where}.file.filename` must be a string.", param=f"{where}.file.filename")
    _only(file, {"filename", "file_data", "file_id", "file_url"}, f"{where}.file")
    request.data_chars += len(data)
    request.file_bytes += len(data) * 3 // 4
    request.file_count += 1
    request.has_extras = True
    return {"type": "file", "file": {key: value for key, value in file.items() if value is not None}}


def _image(part: dict[str, Any], where: str, request: ChatRequest) -> dict[str, Any]:
    image = part.get("image_url")
    if not isinstance(image, dict) or not isinstance(image.get("url"), str):
        raise InvalidRequest(f"`{where}.image_url.url` is required.", param=f"{where}.image_url.url")
    _only(image, {"url", "detail"}, f"{where}.image_url")
    if image.get("detail") not in (None, "auto", "low", "high", "original"):
        raise InvalidRequest(
            f"`{where}.image_url.detail` must be auto, low or high.", param=f"{where}.image_url.detail"
        )
    url = image["url"]
    if url.startswith("data:"):
        if not is_image_data(url):
            raise UrlNotAllowed("A data URL must hold a png, jpeg, gif or webp image.", param=f"{where}.image_url.url")
        request.data_chars += len(url)
    else:
        check_public_url(url, f"{where}.image_url.url")
    request.image_count += 1
    return {"type": "image_url", "image_url": {key: value for key, value in image.items() if value is not None}}


def check_public_url(url: str, where: str) -> None:
    """https on the default port of a public host. The vendor fetches it, we never do."""
    if not is_public(url):
        raise UrlNotAllowed("Use a public https:// address.", param=where)


def text_bytes(serialised: bytes, request: ChatRequest) -> int:
    """Bytes that can become prompt tokens: a byte-level tokenizer never makes more tokens than bytes."""
    return len(serialised) - request.data_chars


def serialise(body: dict[str, Any]) -> bytes:
    """UTF-8 JSON. Raises InvalidJson for nesting that no vendor takes and for text that is not Unicode."""
    try:
        return orjson.dumps(body)
    except TypeError as e:
        raise InvalidJson("The body is nested too deeply or holds text that is not valid Unicode.") from e
