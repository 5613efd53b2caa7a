"""OpenAI's chat completions, as asked of Gemini's native ``generateContent``. Pure. What comes back: gateway/dialects/google_answers.py.

Wire facts: ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/thought-signatures (read November 2026).
"""

import re
from typing import Any

import orjson

from gateway.dialects.faults import Invalid, Unsupported
from gateway.dialects.google_answers import Stream, complete, usage_of
from gateway.dialects.signatures import gemini_signature, split_id

__all__ = ["Stream", "complete", "dropped", "request", "usage_of"]

type Json = dict[str, Any]

#: chat's name → Gemini's, where a model takes sampling parameters at all
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
#: Gemini has no word for these
_WORDLESS = ("logit_bias", "verbosity")

_MIME_BY_SUFFIX = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown",
    "html": "text/html", "csv": "text/csv", "json": "application/json", "xml": "text/xml",
}  # fmt: skip

#: documented for calls that another model made, or whose signature was lost: Gemini 3 answers 400 without one
_FOREIGN_SIGNATURE = "skip_thought_signature_validator"

# ---------------------------------------------------------------- request


def request(body: Json, *, upstream_model: str, stream: bool, output_tokens_max: int, supports: Json) -> Json:
    """The Gemini body for a checked chat body. Raises Unsupported, Invalid.

    ``stream`` and the model are said by the path (gateway/upstreams/google.py), not by the body.
    """
    system, contents = _conversation(body["messages"], _version(upstream_model))
    if not contents:  # Gemini answers a user only
        if not system:
            raise Invalid("`messages` says nothing.", "messages")
        system, contents = [], [{"role": "user", "parts": system}]
    out: Json = {"contents": contents}
    if system:
        out["systemInstruction"] = {"parts": system}
    if body.get("tools"):
        out["tools"] = [{"functionDeclarations": [_declaration(tool["function"]) for tool in body["tools"]]}]
        if "tool_choice" in body:
            out["toolConfig"] = {"functionCallingConfig": _calling_config(body["tool_choice"])}
    out["generationConfig"] = _generation_config(body, upstream_model, output_tokens_max, supports)
    return out


def dropped(body: Json, *, upstream_model: str, supports: Json) -> list[str]:
    """Names of parameters that ``request`` leaves out or clamps.

    End-user ids and cache keys are left out unnamed: they change nothing that a caller could see.
    """
    names = [name for name in _WORDLESS if name in body]
    if not supports.get("sampling_params", True):
        names += [name for name in _SAMPLING if name in body]
    if body.get("parallel_tool_calls") is False:
        names.append("parallel_tool_calls")
    if any(tool["function"].get("strict") for tool in body.get("tools") or ()):
        names.append("tools.strict")
    effort = body.get("reasoning_effort")
    if effort is not None and (not supports.get("reasoning", False) or not _thinking(effort, upstream_model)[1]):
        names.append("reasoning_effort")
    return names


def _generation_config(body: Json, model: str, output_tokens_max: int, supports: Json) -> Json:
    # per candidate, and thoughts count inside it, as in OpenAI's max_completion_tokens
    # (measured in github.com/googleapis/python-genai/issues/2062: thoughts + answer stop at exactly this number)
    config: Json = {"maxOutputTokens": output_tokens_max}
    if supports.get("sampling_params", True):
        config |= {theirs: body[ours] for ours, theirs in _SAMPLING.items() if ours in body}
    if "seed" in body:
        config["seed"] = body["seed"] & 0x7FFF_FFFF  # theirs has 32 bits; the same seed stays the same seed
    if "stop" in body:
        config["stopSequences"] = [body["stop"]] if isinstance(body["stop"], str) else body["stop"]
    if body.get("n", 1) > 1:
        config["candidateCount"] = body["n"]
    answer_format = body.get("response_format") or {}
    if answer_format.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
    if answer_format.get("type") == "json_schema" and answer_format["json_schema"].get("schema"):
        config["responseJsonSchema"] = answer_format["json_schema"]["schema"]
    if supports.get("reasoning", False):
        effort = body.get("reasoning_effort")
        config["thinkingConfig"] = {"includeThoughts": True} if effort is None else _thinking(effort, model)[0]
    return config


def _version(model: str) -> tuple[int, int]:
    """(major, minor); an id without a number (``gemini-flash-latest``) is the newest."""
    found = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def _thinking(effort: str, model: str) -> tuple[Json, bool]:
    """The thinkingConfig, and whether it is what was asked for rather than the nearest."""
    if _version(model) >= (3, 0):
        return _thinking_level(effort, model)
    # the budgets behind Google's own OpenAI-compatible endpoint (ai.google.dev/gemini-api/docs/openai)
    is_pro = "pro" in model
    most = 32_768 if is_pro else 24_576
    budgets = {"none": 128 if is_pro else 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
    # asking for thoughts while thinking is off is a 400
    config = {"thinkingBudget": budgets.get(effort, most), "includeThoughts": effort != "none"}
    return config, effort in budgets and not (effort == "none" and is_pro)


def _thinking_level(effort: str, model: str) -> tuple[Json, bool]:
    # MINIMAL is a 400 on Pro, Argon and the plain Flash from 3.7 on (probed: github.com/tetsuo-ai/agenc-core/pull/2393);
    # nothing above HIGH is documented for any of them
    takes_minimal = "flash-lite" in model or ("flash" in model and _version(model) < (3, 7))
    least = "MINIMAL" if takes_minimal else "LOW"
    levels = {"none": least, "minimal": least, "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
    config = {"thinkingLevel": levels.get(effort, "HIGH"), "includeThoughts": effort != "none"}
    return config, effort in ("low", "medium", "high") or (effort == "minimal" and takes_minimal)


def _declaration(function: Json) -> Json:
    declaration = {key: function[key] for key in ("name", "description") if function.get(key)}
    if function.get("parameters"):
        declaration["parametersJsonSchema"] = function["parameters"]
    return declaration


def _calling_config(choice: Any) -> Json:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
    return {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice]}


# ---------------------------------------------------------------- request: messages


def _conversation(messages: list[Json], version: tuple[int, int]) -> tuple[list[Json], list[Json]]:
    """System parts, and turns in which user and model alternate."""
    system: list[Json] = []
    contents: list[Json] = []
    name_by_call: dict[str, str] = {}
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        match message["role"]:
            case "system" | "developer":
                system += _parts(message.get("content"), where)
                continue
            case "assistant":
                role, parts = "model", _parts(message.get("content"), where)
                for call in message.get("tool_calls") or ():
                    name_by_call[call["id"]] = call["function"]["name"]
                    parts.append(_call_part(call, where, version))
                _sign_text(parts, message.get("reasoning_details"))
            case "tool":
                role, parts = "user", _result_parts(message, where, name_by_call, version)
            case _:
                role, parts = "user", _parts(message.get("content"), where)
        if not parts:  # Gemini refuses a turn without parts
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if version >= (3, 0):
        _sign_foreign_calls(contents)
    return system, contents


def _sign_text(parts: list[Json], details: Any) -> None:
    """The signature of an answer's text goes back on the last of it; Gemini may also have put it on an empty text."""
    signature = gemini_signature(details)
    if signature is None:
        return
    texts = [part for part in parts if "text" in part]
    if not texts:
        texts = [{"text": ""}]
        parts[:0] = texts
    texts[-1]["thoughtSignature"] = signature


def _sign_foreign_calls(contents: list[Json]) -> None:
    """Gemini signs the first of parallel calls only, and asks for that one back."""
    for content in contents:
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None:
            first.setdefault("thoughtSignature", _FOREIGN_SIGNATURE)


def _parts(content: Any, where: str) -> list[Json]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [part for i, one in enumerate(content or ()) for part in _part(one, f"{where}.content[{i}]")]


def _part(part: Json, where: str) -> list[Json]:
    match part["type"]:
        case "text" | "refusal" as kind:
            return [{"text": part[kind]}] if part[kind] else []
        case "image_url":
            return [_media(part["image_url"]["url"], "image/jpeg", f"{where}.image_url.url")]
        case "file":
            file = part["file"]
            source = file.get("file_data") or file.get("file_url")
            if not source:
                raise Unsupported("Send the file itself: stored files are not shared.", f"{where}.file")
            return [_media(source, "application/pdf", f"{where}.file")]
    raise Unsupported("This model's route takes text, images and files.", f"{where}.type")


def _media(url: str, mime_default: str, where: str) -> Json:
    if url.startswith("https://"):
        suffix = re.split(r"[?#]", url, maxsplit=1)[0].rpartition(".")[2].lower()
        return {"fileData": {"mimeType": _MIME_BY_SUFFIX.get(suffix, mime_default), "fileUri": url}}
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise Invalid("Use a base64 data URL or an https:// address.", where)
    return {"inlineData": {"mimeType": head[5:].partition(";")[0] or mime_default, "data": data}}


def _call_part(call: Json, where: str, version: tuple[int, int]) -> Json:
    try:
        args = orjson.loads(call["function"]["arguments"] or "{}")
    except orjson.JSONDecodeError:
        args = None
    if not isinstance(args, dict):
        raise Invalid("A tool call's arguments must be a JSON object.", f"{where}.tool_calls")
    id_, signature = split_id(call["id"])
    part: Json = {"functionCall": _with_id({"name": call["function"]["name"], "args": args}, id_, version)}
    if signature:
        part["thoughtSignature"] = signature
    return part


def _result_parts(message: Json, where: str, name_by_call: dict[str, str], version: tuple[int, int]) -> list[Json]:
    name = name_by_call.get(message["tool_call_id"])
    if name is None:
        raise Invalid("No earlier tool call has this id.", f"{where}.tool_call_id")
    parts = _parts(message.get("content"), where)
    media = [part for part in parts if "text" not in part]
    text = "".join(part["text"] for part in parts if "text" in part)
    response = _with_id({"name": name, "response": {"result": text}}, split_id(message["tool_call_id"])[0], version)
    if media and version >= (3, 0):  # earlier models see media only beside the result
        return [{"functionResponse": response | {"parts": media}}]
    return [{"functionResponse": response}, *media]


def _with_id(fields: Json, id_: str, version: tuple[int, int]) -> Json:
    """Ids pair calls with results from Gemini 3 on; earlier models refuse the field and go by name and order."""
    return {"id": id_, **fields} if version >= (3, 0) else fields
