"""Values that fit a JSON schema, taken from the prompt where that makes sense: tool arguments and structured output."""

import math
import re
from typing import Any

from gateway.sandbox.dice import Dice

#: beyond this depth or number of values a schema, it may be recursive, is ended: empty arrays, null, required members
DEPTH_MOST = 6
VALUES_MOST = 1_000
ITEMS_MOST = 100
TEXT_CHARACTERS_MOST = 10_000
#: every whole number below this is a float too, and fits JSON
WHOLE_MOST = 2**53
QUOTED = re.compile(r"[\"“'‘]([^\"”'’]{1,200})[\"”'’]")
NUMBERS = re.compile(r"-?\d{1,15}(?:\.\d{1,6})?")
PLACES = re.compile(r"\b(?:in|at|for|from|near|to)\s+((?:[A-Z][\w'-]*)(?:[ ,]+[A-Z][\w'-]*)*)")
NAMES = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
PLACE_NAMES = {"city", "location", "place", "country", "address", "region", "destination"}
WHOLE_PROMPT_NAMES = {"query", "question", "text", "prompt", "message", "content", "input", "q", "search"}
FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "3f2b8c1e-5d4a-4b6f-9a7e-1c2d3e4f5a6b",
}


class Filler:
    """Fills one schema. The same schema, prompt and dice give the same value."""

    def __init__(self, root: Any, prompt: str, dice: Dice) -> None:
        self._root = root
        self._prompt = prompt
        self._dice = dice
        self._numbers = iter(NUMBERS.findall(prompt))
        self._values = 0

    def value(self) -> Any:
        return self._fill(self._root, "value", 0)

    def _fill(self, schema: Any, name: str, depth: int) -> Any:
        self._values += 1
        if depth > 3 * DEPTH_MOST or self._values > 3 * VALUES_MOST:
            return None  # a schema that demands itself without end: nothing can satisfy it
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._member(schema["enum"])
        kind = self._kind(schema, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        if kind == "boolean":
            return self._boolean(name)
        if kind == "null":
            return None
        return self._string(schema, name)

    def _resolved(self, schema: Any, depth: int) -> dict[str, Any]:
        """The schema behind references, alternatives and compositions, one step after the other."""
        for _ in range(20):  # a reference may point at a reference, or at itself
            if not isinstance(schema, dict):
                return {}
            if isinstance(schema.get("$ref"), str):
                schema = self._target(schema["$ref"]) | {k: v for k, v in schema.items() if k != "$ref"}
                continue
            alternatives = schema.get("anyOf") or schema.get("oneOf")
            if isinstance(alternatives, list) and alternatives:
                schema = self._alternative(alternatives, depth)
                continue
            if isinstance(schema.get("allOf"), list):
                return self._merged(schema, depth)
            return schema
        return {}

    def _target(self, reference: str) -> dict[str, Any]:
        target = self._root
        for step in reference.lstrip("#").strip("/").split("/"):
            if step:
                key = step.replace("~1", "/").replace("~0", "~")
                target = target.get(key) if isinstance(target, dict) else None
        return dict(target) if isinstance(target, dict) else {}

    def _alternative(self, alternatives: list[Any], depth: int) -> Any:
        nulls = [option for option in alternatives if isinstance(option, dict) and option.get("type") == "null"]
        others = [option for option in alternatives if option not in nulls]
        if self._must_end(depth) and nulls:
            return nulls[0]
        return (others or nulls)[0]

    def _merged(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            part = self._resolved(part, depth)
            properties, required = _members(merged)
            more_properties, more_required = _members(part)
            merged |= part
            if properties or more_properties:
                merged |= {"properties": {**properties, **more_properties}, "required": [*required, *more_required]}
        return merged

    def _kind(self, schema: dict[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            others = [option for option in kind if option != "null"]
            return "null" if not others or (self._must_end(depth) and "null" in kind) else str(others[0])
        if isinstance(kind, str):
            return kind
        if "properties" in schema:
            return "object"
        return "array" if "items" in schema else "string"

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = _members(schema)
        wanted = [
            name
            for name in properties
            if name in required
            or (not self._must_end(depth) and (not required or self._mentions_property(name, properties[name])))
        ]
        return {name: self._fill(properties[name], name, depth + 1) for name in wanted}

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = _size(schema, "minItems", 0), _size(schema, "maxItems", ITEMS_MOST)
        length = min(least if self._must_end(depth) else max(least, 2), most, ITEMS_MOST)
        item_name = name[:-1] if name.endswith("s") else name
        return [self._fill(schema.get("items"), item_name, depth + 1) for _ in range(length)]

    def _number(self, schema: dict[str, Any], kind: str) -> int | float:
        least, most, step = _bounds(schema, kind)
        written = next(self._numbers, None)
        value: float = (
            float(written) if written is not None else (least if least is not None else 1 + self._dice.number(20))
        )
        if least is not None:
            value = max(value, least)
        if most is not None:
            value = min(value, most)
        if step:
            value = value // step * step
            if least is not None and value < least:
                value += step
        if not abs(value) < WHOLE_MOST:
            return value if math.isfinite(value) else 0
        return int(value) if kind == "integer" or value == int(value) else value

    def _boolean(self, name: str) -> bool:
        return not re.search(rf"\b(?:no|not|without|don't)\s+(?:\w+\s+)?{re.escape(name)}", self._prompt, re.IGNORECASE)

    def _member(self, options: list[Any]) -> Any:
        mentioned = [option for option in options if isinstance(option, str) and self._mentions(option)]
        return mentioned[0] if mentioned else self._dice.pick(options)

    def _string(self, schema: dict[str, Any], name: str) -> str:
        text = FORMATS.get(str(schema.get("format"))) or self._text_for(name)
        longest = _size(schema, "maxLength", TEXT_CHARACTERS_MOST)
        return text.ljust(min(_size(schema, "minLength", 0), TEXT_CHARACTERS_MOST), ".")[:longest]

    def _text_for(self, name: str) -> str:
        words = set(re.split(r"[_\W]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
        quoted = QUOTED.search(self._prompt)
        if words & PLACE_NAMES and (place := PLACES.search(self._prompt)):
            return place[1]
        if quoted:
            return quoted[1]
        if words & WHOLE_PROMPT_NAMES and self._prompt:
            return self._prompt[:300]
        if words & (PLACE_NAMES | {"name", "person", "title", "author"}) and (proper := NAMES.search(self._prompt)):
            return proper[0]
        return f"sample {name.replace('_', ' ')}"

    def _must_end(self, depth: int) -> bool:
        return depth >= DEPTH_MOST or self._values > VALUES_MOST

    def _mentions_property(self, name: str, schema: Any) -> bool:
        options = schema.get("enum") if isinstance(schema, dict) else None
        words = [name, *(option for option in options or [] if isinstance(option, str))]
        return any(self._mentions(word) for word in words)

    def _mentions(self, word: str) -> bool:
        return re.search(rf"\b{re.escape(word.replace('_', ' '))}", self._prompt, re.IGNORECASE) is not None


def _bounds(schema: dict[str, Any], kind: str) -> tuple[float | None, float | None, float | None]:
    """Least and most value (both inclusive) and the step; an exclusive bound moves by one step or a hair."""
    step = _numeric(schema.get("multipleOf"))
    hair = step or (1 if kind == "integer" else 0.5)
    least, most = _numeric(schema.get("minimum")), _numeric(schema.get("maximum"))
    above, below = _numeric(schema.get("exclusiveMinimum")), _numeric(schema.get("exclusiveMaximum"))
    if above is not None:
        least = above + hair if below is None or above + hair < below else (above + below) / 2
    if below is not None:
        most = below - hair if least is None or below - hair >= least else least
    return least, most, step


def _members(schema: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """``properties`` and ``required`` of a schema, empty where they are missing or not what they should be."""
    properties, required = schema.get("properties"), schema.get("required")
    return properties if isinstance(properties, dict) else {}, required if isinstance(required, list) else []


def _size(schema: dict[str, Any], name: str, otherwise: int) -> int:
    value = schema.get(name)
    return value if type(value) is int and value >= 0 else otherwise


def _numeric(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
