"""The input of a Responses request, checked and turned into chat's messages. One step of responses_chat."""

from collections.abc import Callable
from typing import Any

from gateway.dialects.addresses import is_image_data, is_public
from gateway.dialects.faults import AddressNotAllowed, Invalid, Unsupported
from gateway.dialects.responses_reasoning import unpack_reasoning
from gateway.dialects.responses_values import list_of, name_of, object_of, text_of, word_of

type Json = dict[str, Any]


def messages_of(instructions: Any, items: Any) -> list[Json]:
    messages: list[Json] = []
    if instructions is not None:
        messages.append({"role": "system", "content": text_of(instructions, "instructions")})
    if isinstance(items, str):
        return [*messages, {"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise Invalid("`input` is required: a text or a list with at least one item.", "input")
    turn: Json | None = None
    for i, item in enumerate(items):
        where = f"input[{i}]"
        kind = _kind(object_of(item, where), where)
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
    text_of(kind, f"{where}.type")
    if kind == "item_reference":
        raise Unsupported(f"`{where}`: items are not stored; send the item itself.", where)
    if kind not in ("message", "function_call_output", *_ASSISTANT_ITEMS):
        raise Unsupported(
            f"`{where}.type` can only be message, function_call, function_call_output or reasoning.", f"{where}.type"
        )
    return str(kind)


def _said(item: Json, where: str) -> Json:
    item = object_of(item, where, {"type", "role", "content", "id", "status", "phase"})
    role = word_of(item.get("role"), f"{where}.role", ("user", "assistant", "system", "developer"))
    return {"role": role, "content": _content(item.get("content"), f"{where}.content", _INPUT_PARTS)}


def _tool_result(item: Json, where: str) -> Json:
    item = object_of(item, where, {"type", "call_id", "output", "id", "status", "name"})
    call_id = text_of(item.get("call_id"), f"{where}.call_id")
    if not call_id:
        raise Invalid(f"`{where}.call_id` is required.", f"{where}.call_id")
    return {
        "role": "tool",
        "tool_call_id": call_id,
        "content": _content(item.get("output"), f"{where}.output", _INPUT_PARTS),
    }


def _assistant_message(turn: Json, item: Json, where: str) -> None:
    """Everything between two turns of the user is one message in chat: what was said is joined, calls come last."""
    item = object_of(item, where, {"type", "role", "content", "id", "status", "phase"})
    said = _content(item.get("content"), f"{where}.content", _OUTPUT_PARTS)
    before = turn["content"]
    turn["content"] = said if before is None else [*_as_parts(before), *_as_parts(said)]


def _function_call(turn: Json, item: Json, where: str) -> None:
    item = object_of(item, where, {"type", "call_id", "name", "arguments", "id", "status"})
    call = {
        "id": text_of(item.get("call_id"), f"{where}.call_id"),
        "type": "function",
        "function": {
            "name": name_of(item.get("name"), f"{where}.name"),
            "arguments": text_of(item.get("arguments"), f"{where}.arguments"),
        },
    }
    turn.setdefault("tool_calls", []).append(call)


def _reasoning_item(turn: Json, item: Json, where: str) -> None:
    item = object_of(item, where, {"type", "summary", "content", "encrypted_content", "id", "status"})
    texts: list[str] = []
    for key, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        for i, part in enumerate(list_of(item.get(key, []), f"{where}.{key}")):
            at = f"{where}.{key}[{i}]"
            word_of(object_of(part, at, {"type", "text"}).get("type"), f"{at}.type", (kind,))
            texts.append(text_of(part.get("text"), f"{at}.text"))
    if texts:
        turn["reasoning_content"] = turn.get("reasoning_content", "") + "".join(texts)
    if "encrypted_content" in item:
        sealed = text_of(item["encrypted_content"], f"{where}.encrypted_content")
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
        kind = text_of(object_of(part, at).get("type"), f"{at}.type")
        if kind not in known:
            raise Invalid(f"`{at}.type` must be one of {', '.join(known)}.", f"{at}.type")
        parts.append(known[kind](part, at))
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text_part(part: Json, where: str) -> Json:
    # annotations and log probabilities come back with an echoed answer and mean nothing to a vendor
    text = object_of(part, where, {"type", "text", "annotations", "logprobs"}).get("text")
    return {"type": "text", "text": text_of(text, f"{where}.text")}


def _refusal_part(part: Json, where: str) -> Json:
    refusal = object_of(part, where, {"type", "refusal"}).get("refusal")
    return {"type": "refusal", "refusal": text_of(refusal, f"{where}.refusal")}


def _image_part(part: Json, where: str) -> Json:
    part = object_of(part, where, {"type", "image_url", "detail", "file_id"})
    _refuse_file_id(part, where)
    image = {"url": text_of(part.get("image_url"), f"{where}.image_url")}
    if not is_image_data(image["url"]) and not is_public(image["url"]):
        message = "Use a public https:// address, or a data URL of a png, jpeg, gif or webp image."
        raise AddressNotAllowed(message, f"{where}.image_url")
    if "detail" in part:
        image["detail"] = word_of(part["detail"], f"{where}.detail", ("auto", "low", "high", "original"))
    return {"type": "image_url", "image_url": image}


def _file_part(part: Json, where: str) -> Json:
    part = object_of(part, where, {"type", "filename", "file_data", "file_url", "file_id", "detail"})
    _refuse_file_id(part, where)
    if "file_url" in part:
        message = f"`{where}.file_url`: the pages behind an address cannot be counted beforehand; send `file_data`."
        raise Unsupported(message, f"{where}.file_url")
    file = {key: text_of(part[key], f"{where}.{key}") for key in ("filename", "file_data") if key in part}
    if not file.get("file_data", "").startswith("data:application/pdf;base64,"):
        raise Invalid(f"`{where}.file_data` must be a PDF as a data URL.", f"{where}.file_data")
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
