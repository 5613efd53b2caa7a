"""What Google refuses in a generateContent request, in its words: the mistakes that an adapter can make.

Facts: ai.google.dev/api/generate-content and ai.google.dev/gemini-api/docs/thought-signatures (read November 2026).
"""

import base64
import re
from typing import Any

from gateway.sandbox import signatures
from gateway.sandbox.refusals import invalid

FIELDS = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent",
    "model", "serviceTier", "store",
}  # fmt: skip
GENERATION_FIELDS = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
    "_responseJsonSchema", "thinkingConfig", "responseModalities", "speechConfig", "mediaResolution", "imageConfig",
    "enableEnhancedCivicAnswers",
}  # fmt: skip
#: a part is exactly one of these
PART_DATA = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
}  # fmt: skip
PART_FIELDS = PART_DATA | {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
#: members of a datum that must be texts
PART_TEXTS = {
    "inlineData": ("mimeType", "data"),
    "fileData": ("fileUri",),
    "functionCall": ("name",),
    "functionResponse": ("name",),
}
LEVELS = {"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
MODES = {"AUTO", "ANY", "NONE", "VALIDATED"}
ROLES = {"user", "model", "function"}
STOPS_MOST = 5
CANDIDATES_MOST = 8
#: documented stand-ins for a signature, for calls that another model made
NO_VALIDATION = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
MODEL = re.compile(r"gemini-(\d+)")

type Json = dict[str, Any]


def check(body: Json, model: str) -> None:
    """Raises Refusal (400) where Google would."""
    _known(body, FIELDS, "")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    for number, content in enumerate(contents):
        _check_content(content, f"contents[{number}]")
    if body.get("systemInstruction") is not None:
        _check_content(body["systemInstruction"], "system_instruction")
    _check_generation(_object(body, "generationConfig"), model)
    _check_tools(body)
    _check_pairs(contents)
    signs_calls = generation(model) >= 3
    for number in range(_turn_begin(contents), len(contents)):
        _check_signatures(contents[number], number, signs_calls)


def generation(model: str) -> int:
    """The major version of a Gemini model; 0 for a model of our own."""
    found = MODEL.search(model)
    return int(found[1]) if found else 0


def declarations(body: Json) -> list[Json]:
    return [declaration for tool in body.get("tools") or [] for declaration in tool.get("functionDeclarations") or []]


def parts_of(content: Json, datum: str) -> list[Any]:
    return [part[datum] for part in content["parts"] if datum in part]


def _known(value: Json, names: set[str], where: str) -> None:
    for name in value.keys() - names:
        place = f" at '{where}'" if where else ""
        raise invalid(f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')


def _object(holder: Json, name: str) -> Json:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"Invalid value at '{name}': an object is expected")
    return value or {}


def _check_content(content: Any, where: str) -> None:
    if not isinstance(content, dict) or not isinstance(content.get("parts"), list):
        raise invalid(f"Invalid value at '{where}.parts'")
    role = content.get("role", "user")
    if not isinstance(role, str) or (role not in ROLES and where != "system_instruction"):
        raise invalid("Please use a valid role: user, model.")
    if not content["parts"]:
        raise invalid(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    for number, part in enumerate(content["parts"]):
        place = f"{where}.parts[{number}]"
        if not isinstance(part, dict):
            raise invalid(f"Invalid value at '{place}'")
        _known(part, PART_FIELDS, place)
        data = sorted(part.keys() & PART_DATA)
        if len(data) != 1:
            raise invalid(
                f"* GenerateContentRequest.{place}.data: required oneof field 'data' must have one initialized field"
            )
        _check_part(data[0], part[data[0]], place)


def _check_part(kind: str, value: Any, place: str) -> None:
    if kind == "text":
        if not isinstance(value, str):
            raise invalid(f"Invalid value at '{place}.text' (TYPE_STRING)")
        return
    if not isinstance(value, dict):
        raise invalid(f"Invalid value at '{place}.{kind}'")
    for name in PART_TEXTS.get(kind, ()):
        if not isinstance(value.get(name), str) or not value[name]:
            raise invalid(f"* GenerateContentRequest.{place}.{kind}.{name}: cannot be empty.")
    if kind == "functionCall":
        _object(value, "args")
    if kind == "functionResponse" and not isinstance(value.get("response"), dict):
        raise invalid(f"* GenerateContentRequest.{place}.function_response.response: an object is required")


def _check_generation(config: Json, model: str) -> None:
    _known(config, GENERATION_FIELDS, "generation_config")
    stops = config.get("stopSequences") or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops) or len(stops) > STOPS_MOST:
        raise invalid(
            f"* GenerateContentRequest.generation_config.stop_sequences: up to {STOPS_MOST} texts are allowed"
        )
    for name, most in (("maxOutputTokens", None), ("candidateCount", CANDIDATES_MOST)):
        value = config.get(name)
        if value is not None and (type(value) is not int or value < 1 or (most is not None and value > most)):
            raise invalid(f"* GenerateContentRequest.generation_config.{name}: the value is out of range")
    if {"responseSchema", "responseJsonSchema"} & config.keys() and config.get(
        "responseMimeType"
    ) != "application/json":
        raise invalid("* GenerateContentRequest.generation_config.response_mime_type: a schema needs application/json")
    thinking = _object(config, "thinkingConfig")
    _known(thinking, {"includeThoughts", "thinkingLevel", "thinkingBudget"}, "generation_config.thinking_config")
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and budget is not None:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if level is not None and (not isinstance(level, str) or level.upper() not in LEVELS):
        raise invalid("Invalid value at 'generation_config.thinking_config.thinking_level'")
    if level is not None and 0 < generation(model) < 3:
        raise invalid("Thinking level is not supported for this model.")
    if thinking.get("includeThoughts") is True and budget == 0:
        raise invalid("Thinking budget 0 cannot be combined with include_thoughts.")


def _check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise invalid("Invalid value at 'tools'")
    for tool in tools:
        offered = tool.get("functionDeclarations") or []
        if not isinstance(offered, list) or not all(isinstance(declaration, dict) for declaration in offered):
            raise invalid("Invalid value at 'tools.function_declarations'")
        for declaration in offered:
            if not isinstance(declaration.get("name"), str) or not declaration["name"]:
                raise invalid("* GenerateContentRequest.tools.function_declarations.name: cannot be empty.")
            if declaration.keys() >= {"parameters", "parametersJsonSchema"}:
                raise invalid("parameters and parameters_json_schema are mutually exclusive.")
    calling = _object(_object(body, "toolConfig"), "functionCallingConfig")
    mode, allowed = calling.get("mode", "AUTO"), calling.get("allowedFunctionNames") or []
    if not isinstance(mode, str) or mode not in MODES:
        raise invalid("Invalid value at 'tool_config.function_calling_config.mode'")
    if not isinstance(allowed, list) or not all(isinstance(name, str) for name in allowed):
        raise invalid("Invalid value at 'tool_config.function_calling_config.allowed_function_names'")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid("allowed_function_names should be set only when the function calling mode is ANY or VALIDATED.")
    if unknown := set(allowed) - {declaration["name"] for declaration in declarations(body)}:
        raise invalid(f"allowed_function_names must be a subset of the declared functions: {sorted(unknown)}")


def _check_pairs(contents: list[Json]) -> None:
    """As many results follow a model's calls as it made."""
    asked = 0
    for content in contents:
        answered = len(parts_of(content, "functionResponse"))
        if asked != answered:
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn."
            )
        asked = len(parts_of(content, "functionCall"))
    if asked:
        raise invalid("Please ensure that function call turn is followed by a function response turn.")


def _turn_begin(contents: list[Json]) -> int:
    """Where the current turn begins: at the last thing that a user said; only its calls must be signed."""
    said = (
        number
        for number, content in enumerate(contents)
        if content.get("role") != "model" and not parts_of(content, "functionResponse")
    )
    return max(said, default=0)


def _check_signatures(content: Json, number: int, signs_calls: bool) -> None:
    """The first of parallel calls bears the signature; a signature that is not ours is refused in any place."""
    calls = [part for part in content["parts"] if "functionCall" in part]
    for part in calls:
        name, signature = part["functionCall"]["name"], part.get("thoughtSignature")
        if signature is not None and not _is_valid(signature, name):
            raise invalid("Corrupted thought signature.")
        if signature is None and signs_calls and part is calls[0]:
            raise invalid(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
                f"correctly. Additional data, function call `default_api:{name}`, position {number + 1}."
            )


def _is_valid(signature: Any, name: str) -> bool:
    if signatures.verifies(signature, "call", name):
        return True
    # clients that hold signatures as bytes send the stand-in in base64
    stand_ins = NO_VALIDATION | {base64.b64encode(text.encode()).decode() for text in NO_VALIDATION}
    return isinstance(signature, str) and signature in stand_ins
