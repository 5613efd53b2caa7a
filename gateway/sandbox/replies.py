"""A reply to a request: text or tool calls for every choice, within the limits that the caller set."""

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from gateway import tokens
from gateway.sandbox import answers, tools
from gateway.sandbox.chat_request import ChatRequest
from gateway.sandbox.tools import ToolCall


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of the ``n`` answers; ``text`` is None where only tools are called."""

    text: str | None
    tool_calls: list[ToolCall]
    finish_reason: str | None


@dataclasses.dataclass(frozen=True)
class Piece:
    """One token of output as a stream sends it. Pieces of one ``stretch`` make one text."""

    choice: int
    stretch: str
    text: str
    delta: dict[str, Any]


def choices_for(request: ChatRequest) -> list[Choice]:
    return [_limited(request, _choice(request, index)) for index in range(request.n)]


def pieces_of(choices: list[Choice]) -> list[Piece]:
    """All output, token by token, the choices taking turns."""
    turns = zip_longest(*(_choice_pieces(choice, index) for index, choice in enumerate(choices)))
    return [piece for turn in turns for piece in turn if piece is not None]


def count_tokens(pieces: Iterable[Piece]) -> int:
    """What a local count of the received output gives, for the whole of it or for a part."""
    texts: dict[tuple[int, str], list[str]] = {}
    for piece in pieces:
        texts.setdefault((piece.choice, piece.stretch), []).append(piece.text)
    return sum(tokens.count("".join(parts)) for parts in texts.values())


def _choice(request: ChatRequest, index: int) -> Choice:
    if request.directives.tokens is None and (calls := tools.calls_for(request, index)):
        return Choice(None, calls, "tool_calls")
    return Choice(answers.text_for(request, index), [], "stop")


def _limited(request: ChatRequest, choice: Choice) -> Choice:
    """``choice`` within ``stop`` and ``max_tokens``; a directive has the last word on the reason."""
    if choice.text is None:
        choice = _calls_within(choice, request.max_tokens)
    else:
        text = _before_stop(choice.text, request.stop)
        if request.max_tokens is not None and tokens.count(text) > request.max_tokens:
            choice = Choice(answers.first_tokens(text, request.max_tokens), [], "length")
        else:
            choice = Choice(text, [], "stop")
    wished = request.directives.finish_reason
    return dataclasses.replace(choice, finish_reason=None if wished == "none" else wished) if wished else choice


def _before_stop(text: str, stops: tuple[str, ...]) -> str:
    ends = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def _calls_within(choice: Choice, most: int | None) -> Choice:
    """Tool calls that fit into ``most`` tokens; as with a real vendor the last one's JSON may be cut short."""
    if most is None:
        return choice
    kept: list[ToolCall] = []
    for call in choice.tool_calls:
        left = most - sum(tokens.count(other.name) + tokens.count(other.arguments) for other in kept)
        for_arguments = left - tokens.count(call.name)
        if for_arguments < tokens.count(call.arguments):
            if for_arguments > 0:
                kept.append(dataclasses.replace(call, arguments=answers.first_tokens(call.arguments, for_arguments)))
            return Choice(None if kept else "", kept, "length")
        kept.append(call)
    return choice


def _choice_pieces(choice: Choice, index: int) -> Iterator[Piece]:
    for text in tokens.pieces(choice.text or ""):
        yield Piece(index, "text", text, {"content": text})
    for position, call in enumerate(choice.tool_calls):
        opening = {"name": call.name, "arguments": ""}
        start = {"index": position, "id": call.id, "type": "function", "function": opening}
        yield Piece(index, f"name {position}", call.name, {"tool_calls": [start]})
        for text in tokens.pieces(call.arguments):
            delta = {"tool_calls": [{"index": position, "function": {"arguments": text}}]}
            yield Piece(index, f"arguments {position}", text, delta)
