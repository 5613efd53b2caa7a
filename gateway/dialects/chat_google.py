"""OpenAI's chat completions ↔ Gemini's native ``generateContent``. Pure.

Wire facts: ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/thought-signatures (read November 2026).
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson

from billing.meters import Usage, clamp
from gateway.dialects.faults import Invalid, Unsupported
from gateway.sse import data_of

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
_TO_URL_SAFE, _FROM_URL_SAFE = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")

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
    id_, signature = _split_id(call["id"])
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
    response = _with_id({"name": name, "response": {"result": text}}, _split_id(message["tool_call_id"])[0], version)
    if media and version >= (3, 0):  # earlier models see media only beside the result
        return [{"functionResponse": response | {"parts": media}}]
    return [{"functionResponse": response}, *media]


def _with_id(fields: Json, id_: str, version: tuple[int, int]) -> Json:
    """Ids pair calls with results from Gemini 3 on; earlier models refuse the field and go by name and order."""
    return {"id": id_, **fields} if version >= (3, 0) else fields


# ---------------------------------------------------------------- tool call ids


def _join_id(id_: str, signature: str | None) -> str:
    """``call_<id>~<signature>``: chat clients echo ids and nothing else, so what must come back travels inside."""
    return f"call_{id_}~{signature.translate(_TO_URL_SAFE).rstrip('=')}" if signature else f"call_{id_}"


def _split_id(joined: str) -> tuple[str, str | None]:
    """Gemini's id and signature, of an id that ``_join_id`` made; of any other, the id without a signature."""
    id_, tilde, signature = joined.partition("~")
    if not tilde or not joined.startswith("call_") or not re.fullmatch(r"[\w-]+", signature, re.ASCII):
        return joined.removeprefix("call_"), None
    return id_.removeprefix("call_"), signature.translate(_FROM_URL_SAFE) + "=" * (-len(signature) % 4)


# ---------------------------------------------------------------- answer

_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "NO_IMAGE",
            "ESCALATION",
        ),
        "content_filter",
    ),
}


def complete(answer: Json) -> tuple[list[Json], Usage | None]:
    """Choices and counts of a plain answer. Raises ValueError if it is none."""
    try:
        return _complete(answer)
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError("not a Gemini answer") from e


def _complete(answer: Json) -> tuple[list[Json], Usage | None]:
    candidates = answer.get("candidates") or []
    usage = usage_of(answer.get("usageMetadata"))
    if not candidates:
        if "promptFeedback" not in answer:
            raise ValueError("neither candidates nor promptFeedback")
        blocked = {"role": "assistant", "content": "", "refusal": None}
        return [{"index": 0, "message": blocked, "logprobs": None, "finish_reason": "content_filter"}], usage
    return [_choice(candidate, answer.get("responseId") or "") for candidate in candidates], usage


def _choice(candidate: Json, response_id: str) -> Json:
    index = candidate.get("index", 0)
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
    calls: list[Json] = []
    for part in _parts_of(candidate):
        if "functionCall" in part:
            calls.append(_tool_call(part, f"{response_id}_{index}_{len(calls)}"))
        elif kind := _text_kind(part):
            texts[kind].append(part["text"])
    content = "".join(texts["content"])
    message: Json = {"role": "assistant", "content": None if calls and not content else content, "refusal": None}
    if texts["reasoning_content"]:
        message["reasoning_content"] = "".join(texts["reasoning_content"])
    if calls:
        message["tool_calls"] = calls
    finish = _finish_reason(candidate.get("finishReason") or "STOP", has_calls=bool(calls))
    return {"index": index, "message": message, "logprobs": _logprobs(candidate), "finish_reason": finish}


def usage_of(usage: Any) -> Usage | None:
    """The vendor's counts, None if there are none. JSON leaves out zeros, so a missing count is a zero."""
    if not isinstance(usage, dict) or not usage:
        return None
    input_tokens = clamp(clamp(usage.get("promptTokenCount")) + clamp(usage.get("toolUsePromptTokenCount")))
    answer, thoughts = clamp(usage.get("candidatesTokenCount")), clamp(usage.get("thoughtsTokenCount"))
    # some models count thoughts among the candidates' tokens already; the total tells
    is_inclusive = thoughts <= answer and usage.get("totalTokenCount") == input_tokens + answer
    output_tokens = answer if is_inclusive else clamp(answer + thoughts)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(clamp(usage.get("cachedContentTokenCount")), input_tokens),
        output_tokens=output_tokens,
        reasoning_tokens=min(thoughts, output_tokens),
    )


def _parts_of(candidate: Json) -> list[Json]:
    return (candidate.get("content") or {}).get("parts") or []


def _text_kind(part: Json) -> str | None:
    """Which chat field a part's text belongs to; None for parts without text."""
    if not part.get("text"):
        return None
    return "reasoning_content" if part.get("thought") else "content"


def _tool_call(part: Json, id_default: str) -> Json:
    call = part["functionCall"]
    arguments = orjson.dumps(call.get("args") or {}).decode()
    return {
        "id": _join_id(call.get("id") or id_default, part.get("thoughtSignature")),
        "type": "function",
        "function": {"name": call.get("name") or "", "arguments": arguments},
    }


def _finish_reason(reason: str, *, has_calls: bool) -> str:
    if reason == "STOP" and has_calls:
        return "tool_calls"
    # broken calls (MALFORMED_FUNCTION_CALL and its kin) and reasons not known yet end the answer where it is
    return _FINISH_REASONS.get(reason, "content_filter" if reason.startswith("IMAGE_") else "stop")


def _logprobs(candidate: Json) -> Json | None:
    result = candidate.get("logprobsResult") or {}
    if not result.get("chosenCandidates"):
        return None
    tops = [step.get("candidates") or [] for step in result.get("topCandidates") or ()]
    tops += [[]] * (len(result["chosenCandidates"]) - len(tops))
    content = [
        _logprob(chosen) | {"top_logprobs": [_logprob(other) for other in top]}
        for chosen, top in zip(result["chosenCandidates"], tops, strict=False)
    ]
    return {"content": content, "refusal": None}


def _logprob(token: Json) -> Json:
    text = token.get("token") or ""
    return {"token": text, "logprob": token.get("logProbability", 0.0), "bytes": list(text.encode())}


# ---------------------------------------------------------------- stream


class Stream:
    """Feed it events; it says the chat chunks, without ids, models or usage.

    Gemini marks no end: ``finished`` tells that every choice ended, ``done`` stays False.
    An error may come as a bare JSON object or list behind the events: feed what the framer has left over, too.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.done = False
        self.error: Json | None = None
        self._ended: dict[int, bool] = {}  # by choice: whether it has its finish reason
        self._call_counts: defaultdict[int, int] = defaultdict(int)

    @property
    def finished(self) -> bool:
        return bool(self._ended) and all(self._ended.values())

    def feed(self, event: bytes) -> list[Json]:
        """Chunks for one raw event; none for comments, counts and errors."""
        payload = data_of(event) or (event.strip() if event.lstrip().startswith((b"{", b"[")) else b"")
        if not payload or self.error is not None:
            return []
        try:
            answer = orjson.loads(payload)
        except orjson.JSONDecodeError:
            answer = None
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        try:
            if not answer.get("error"):
                return self._take(answer)
            self.error = answer["error"] if isinstance(answer["error"], dict) else {"message": str(answer["error"])}
        except (AttributeError, KeyError, TypeError):
            self.error = {"message": "unreadable event"}
        return []

    def _take(self, answer: Json) -> list[Json]:
        usage = usage_of(answer.get("usageMetadata"))
        self.usage = usage if usage is not None else self.usage
        candidates = answer.get("candidates") or []
        if not candidates and "promptFeedback" in answer and not self._ended:
            return [self._chunk(0, {"content": ""}), self._end(0, "content_filter")]
        response_id = answer.get("responseId") or ""
        return [chunk for candidate in candidates for chunk in self._chunks(candidate, response_id)]

    def _chunks(self, candidate: Json, response_id: str) -> Iterator[Json]:
        index = candidate.get("index", 0)
        logprobs = _logprobs(candidate)
        for part in _parts_of(candidate):
            if "functionCall" in part:
                count = self._call_counts[index]
                self._call_counts[index] += 1
                call = _tool_call(part, f"{response_id}_{index}_{count}")
                yield self._chunk(index, {"tool_calls": [{"index": count, **call}]})
            elif kind := _text_kind(part):
                yield self._chunk(index, {kind: part["text"]}, logprobs if kind == "content" else None)
                logprobs = None if kind == "content" else logprobs
        reason = candidate.get("finishReason")
        if reason and not self._ended.get(index):
            yield self._end(index, _finish_reason(reason, has_calls=self._call_counts[index] > 0))

    def _chunk(self, index: int, delta: Json, logprobs: Json | None = None) -> Json:
        if index not in self._ended:
            self._ended[index] = False
            delta = {"role": "assistant", **delta}
        choice: Json = {"index": index, "delta": delta, "finish_reason": None}
        return {"choices": [choice | {"logprobs": logprobs} if logprobs else choice]}

    def _end(self, index: int, reason: str) -> Json:
        chunk = self._chunk(index, {})
        self._ended[index] = True
        chunk["choices"][0]["finish_reason"] = reason
        return chunk
