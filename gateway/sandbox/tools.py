"""When the stand-in calls tools, and with what arguments."""

import dataclasses
import re
from typing import Any

import orjson

from gateway.sandbox.chat_request import ChatRequest, text_of
from gateway.sandbox.dice import Dice
from gateway.sandbox.schemas import Filler

#: verbs of tools' names, and words of descriptions, which say nothing about their subject
COMMON_WORDS = {
    "get", "set", "find", "fetch", "list", "make", "call", "tool", "function", "lookup", "current", "given", "return",
    "returns", "with", "from", "that", "this", "what", "have", "about", "which", "when", "your", "data", "info", "user",
}  # fmt: skip
DESCRIPTION_WORDS_NEEDED = 2
RESULT_ROLES = ("tool", "function")


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """A call of a function; ``arguments`` is a JSON text."""

    id: str
    name: str
    arguments: str


def calls_for(request: ChatRequest, choice: int) -> list[ToolCall]:
    """The tools to call now: the forced ones, or those that the last message, a user's, is plainly about."""
    chosen = _chosen(request)
    if request.body.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return [_call(request, function, choice, index) for index, function in enumerate(chosen)]


def results_text(request: ChatRequest) -> str:
    """The answer after the tools' results that end the conversation; empty where it does not end in results."""
    results = _results(request.messages)
    if not results:
        return ""
    said = [f"{name} says: {_plainly(text)}." for name, text in results]
    return f"Here is what I found. {' '.join(said)}"


def _chosen(request: ChatRequest) -> list[dict[str, Any]]:
    functions = [function for function in request.tools if isinstance(function.get("name"), str)]
    choice = request.body.get("tool_choice", "auto")
    last_role = request.messages[-1]["role"]
    # a choice that is forced call after call would never let a conversation come to its answer
    if not functions or choice == "none" or last_role in RESULT_ROLES:
        return []
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        return [function for function in functions if function["name"] == choice["function"].get("name")][:1]
    prompt = request.prompt.lower() if last_role == "user" else ""
    asked_for = [function for function in functions if _is_asked_for(function, prompt)]
    return asked_for or (functions[:1] if choice == "required" else [])


def _is_asked_for(function: dict[str, Any], prompt: str) -> bool:
    name = function["name"]
    if name.lower() in prompt or any(_is_in(prompt, word) for word in _telling_words(name, least=3)):
        return True
    description = function.get("description")
    words = _telling_words(description, least=5) if isinstance(description, str) else set()
    return sum(_is_in(prompt, word) for word in words) >= DESCRIPTION_WORDS_NEEDED


def _telling_words(text: str, least: int) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return {word for word in re.split(r"[\W_]+", spaced.lower()) if len(word) >= least} - COMMON_WORDS


def _is_in(prompt: str, word: str) -> bool:
    """Whether a word of the prompt begins alike; a long one matches its other forms: calculator, calculate."""
    stem = word if len(word) < 6 else word[: max(5, len(word) - 3)]
    return re.search(rf"\b{re.escape(stem)}", prompt) is not None


def _call(request: ChatRequest, function: dict[str, Any], choice: int, index: int) -> ToolCall:
    dice = Dice(request.model, request.prompt, function["name"], str(choice), str(index))
    schema = function.get("parameters") or {"type": "object"}
    arguments = orjson.dumps(Filler(schema, request.prompt, dice).value()).decode()
    return ToolCall(f"call_{dice.number(1 << 60):015x}{len(request.messages):03x}", function["name"], arguments)


def _results(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(tool's name, its text) of the results at the conversation's end."""
    names = {
        call.get("id"): call["function"].get("name")
        for message in messages
        for call in (message.get("tool_calls") or [])
        if isinstance(call, dict) and isinstance(call.get("function"), dict)
    }
    results = []
    for message in reversed(messages):
        if message["role"] not in RESULT_ROLES:
            break
        name = message.get("name") or names.get(message.get("tool_call_id")) or "The tool"
        results.append((str(name), text_of(message)))
    return results[::-1]


def _plainly(text: str) -> str:
    """A result as a person would say it: an object's members one by one, all else as it is, at most 300 characters."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        text = ", ".join(f"{name.replace('_', ' ')}: {item}" for name, item in value.items())
    return text.strip().rstrip(".")[:300] or "nothing"
