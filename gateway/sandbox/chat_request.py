"""A request in OpenAI's terms: what a vendor would check, and nothing a stand-in does not need.

The other wires put theirs into these terms first.
"""

import dataclasses
from typing import Any

import orjson

from gateway import tokens
from gateway.sandbox import directives
from gateway.sandbox.directives import Directives, without_marker
from gateway.sandbox.refusals import invalid

ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
CHOICES_MOST = 128
ANOTHER_MODEL = "sandbox-another-model"


@dataclasses.dataclass(frozen=True)
class ChatRequest:
    """A valid request. ``prompt`` is the last user message's text without its marker.

    ``native`` is the body as its wire sent it; ``thinks``: the caller asked for reasoning, by its wire's own means.
    """

    body: dict[str, Any]
    native: dict[str, Any]
    model: str
    messages: list[dict[str, Any]]
    prompt: str
    directives: Directives
    prompt_tokens: int
    stream: bool
    include_usage: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    n: int
    thinks: bool

    @property
    def reported_model(self) -> str:
        return ANOTHER_MODEL if self.directives.wrong_model else self.model

    @property
    def persona(self) -> str:
        """The model's name without its vendor: ``echo``, ``slow`` and ``flaky`` have a character of their own."""
        return self.model.rpartition("/")[2]

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The function tools offered."""
        offered = self.body.get("tools")
        tools = offered if isinstance(offered, list) else []
        return [tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]


def decode(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise invalid(f"We could not parse the JSON body of your request: {e}", None, "invalid_json") from e
    if not isinstance(body, dict):
        raise invalid("The body of a request is a JSON object.", None, "invalid_type")
    return body


def read(body: dict[str, Any], *, native: dict[str, Any] | None = None, thinks: bool = False) -> ChatRequest:
    """The request in a decoded body; a Refusal (400) that names the parameter where a vendor would refuse."""
    messages = _messages(body)
    text = _last_user_text(messages)
    try:
        wishes = directives.parse(text)
    except directives.Malformed as e:
        raise invalid(str(e), "messages") from e
    stream_options = body.get("stream_options")
    return ChatRequest(
        body=body,
        native=body if native is None else native,
        model=_model(body),
        messages=messages,
        prompt=without_marker(text),
        directives=wishes,
        prompt_tokens=tokens.count_messages(messages),
        stream=body.get("stream") is True,
        include_usage=isinstance(stream_options, dict) and stream_options.get("include_usage") is True,
        max_tokens=_max_tokens(body),
        stop=_stop(body),
        n=_whole(body, "n", CHOICES_MOST) or 1,
        thinks=thinks,
    )


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a string, parts, or null."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter", "model", "missing_required_parameter")
    return model


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if messages is None:
        raise invalid("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not isinstance(messages, list) or not messages:
        raise invalid("'messages' must be a non-empty array.", "messages", "invalid_type")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise invalid(f"'messages[{index}]' must be an object with a known role.", f"messages[{index}].role")
    return messages


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def _max_tokens(body: dict[str, Any]) -> int | None:
    limit = _whole(body, "max_completion_tokens")
    return limit if limit is not None else _whole(body, "max_tokens")


def _whole(body: dict[str, Any], name: str, most: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1 or (most is not None and value > most):
        raise invalid(f"'{name}' must be a whole number of 1 or more{f', up to {most}' if most else ''}.", name)
    return value


def _stop(body: dict[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise invalid("'stop' must be a string or an array of strings.", "stop", "invalid_type")
    return tuple(filter(None, stops))
