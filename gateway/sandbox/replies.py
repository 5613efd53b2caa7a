"""A reply to a request: text or tool calls for every choice, within the limits that the caller set."""

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Literal, NamedTuple

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
    reasoning: str = ""
    #: the caller's stop text that ended it
    stopped_at: str | None = None


@dataclasses.dataclass(frozen=True)
class Piece:
    """One token of output as a stream sends it. Pieces of one choice, kind and position make one text."""

    choice: int
    kind: Literal["reasoning", "text", "name", "arguments"]
    text: str
    #: which of the tool calls, and the call itself
    position: int = 0
    call: ToolCall | None = None


class Output(NamedTuple):
    """Tokens of output; the reasoning's are a part of them."""

    tokens: int
    reasoning_tokens: int


def choices_for(request: ChatRequest) -> list[Choice]:
    return [_limited(request, _choice(request, index)) for index in range(request.n)]


def pieces_of(choices: list[Choice]) -> list[Piece]:
    """All output, token by token, the choices taking turns."""
    turns = zip_longest(*(_choice_pieces(choice, index) for index, choice in enumerate(choices)))
    return [piece for turn in turns for piece in turn if piece is not None]


def measure(pieces: Iterable[Piece]) -> Output:
    """What a local count of the received output gives, for the whole of it or for a part."""
    texts: dict[tuple[int, str, int], list[str]] = {}
    for piece in pieces:
        texts.setdefault((piece.choice, piece.kind, piece.position), []).append(piece.text)
    counts = [(kind, tokens.count("".join(parts))) for (_, kind, _), parts in texts.items()]
    return Output(sum(count for _, count in counts), sum(count for kind, count in counts if kind == "reasoning"))


def _choice(request: ChatRequest, index: int) -> Choice:
    wishes = request.directives
    reasoning = answers.reasoning_for(request, index)
    declines = wishes.refusal or wishes.blocked
    if not declines and wishes.tokens is None and (calls := tools.calls_for(request, index)):
        return Choice(None, calls, "tool_calls", reasoning)
    return Choice(answers.text_for(request, index), [], "content_filter" if declines else "stop", reasoning)


def _limited(request: ChatRequest, choice: Choice) -> Choice:
    """``choice`` within ``stop`` and ``max_tokens``; a directive has the last word on the reason."""
    choice = _before_stop(choice, request.stop)
    if request.max_tokens is not None:
        choice = _within(choice, request.max_tokens)
    wished = request.directives.finish_reason
    return dataclasses.replace(choice, finish_reason=None if wished == "none" else wished) if wished else choice


def _before_stop(choice: Choice, stops: tuple[str, ...]) -> Choice:
    text = choice.text or ""
    end, stop = min(((position, stop) for stop in stops if (position := text.find(stop)) >= 0), default=(0, None))
    return choice if stop is None else dataclasses.replace(choice, text=text[:end], stopped_at=stop)


def _within(choice: Choice, most: int) -> Choice:
    """The beginning of ``choice`` that counts at most ``most`` tokens: reasoning first."""
    left = most - tokens.count(choice.reasoning)
    if left < 0:
        return Choice("", [], "length", answers.first_tokens(choice.reasoning, most))
    if choice.text is None:
        return _calls_within(choice, left)
    if tokens.count(choice.text) <= left:
        return choice
    return Choice(answers.first_tokens(choice.text, left), [], "length", choice.reasoning)


def _calls_within(choice: Choice, most: int) -> Choice:
    """Tool calls that fit into ``most`` tokens; as with a real vendor the last one's JSON may be cut short."""
    kept: list[ToolCall] = []
    for call in choice.tool_calls:
        left = most - sum(tokens.count(other.name) + tokens.count(other.arguments) for other in kept)
        for_arguments = left - tokens.count(call.name)
        if for_arguments < tokens.count(call.arguments):
            if for_arguments > 0:
                kept.append(dataclasses.replace(call, arguments=answers.first_tokens(call.arguments, for_arguments)))
            return Choice(None if kept else "", kept, "length", choice.reasoning)
        kept.append(call)
    return choice


def _choice_pieces(choice: Choice, index: int) -> Iterator[Piece]:
    for text in tokens.pieces(choice.reasoning):
        yield Piece(index, "reasoning", text)
    for text in tokens.pieces(choice.text or ""):
        yield Piece(index, "text", text)
    for position, call in enumerate(choice.tool_calls):
        yield Piece(index, "name", call.name, position, call)
        for text in tokens.pieces(call.arguments):
            yield Piece(index, "arguments", text, position, call)
