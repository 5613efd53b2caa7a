"""What every Python client has to do with every model, whatever it calls it: one line on standard output for each check.

`node/checks.mjs` is the same for Node.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol

URL = os.environ["TOKENHUB_URL"]
KEY = os.environ["TOKENHUB_KEY"]
MODELS = os.environ["TOKENHUB_MODELS"].split()

WORDS = "the river bends twice before it meets the town"
SAY_WORDS = f"Reply with exactly: {WORDS}"
ASK_WEATHER = "Use get_weather for Oslo"
WEATHER = "Rain, 7 degrees"
#: a model that thinks first has begun its text by then
BREAK_OFF = "[[sandbox: fail-after 40]] Tell me about rivers"

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "The weather in a city"}

#: takes `city`
type Tool = Callable[..., str]


class Client(Protocol):
    """A way to talk to a model: a package, or one of the dialects that a package speaks."""

    #: its row in the table
    name: str
    #: what it raises for a model that does not exist, and for a stream that breaks off
    not_found: type[Exception]
    broken: type[Exception]

    def ask(self, model: str, prompt: str) -> str: ...

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        """The text, in the pieces in which it came."""

    def use_tool(self, model: str, prompt: str, get_weather: Tool, *, streamed: bool) -> str:
        """The answer after the tool that the model asked for was called and its result was sent back."""


# ---------------------------------------------------------------- the checks


def plain(client: Client, model: str) -> None:
    _same(client.ask(model, SAY_WORDS), WORDS)


def streamed(client: Client, model: str) -> None:
    pieces = list(client.stream(model, SAY_WORDS))
    _same("".join(pieces), WORDS)
    if len(pieces) < 2:
        raise AssertionError("the stream came in one piece")


def tool(client: Client, model: str) -> None:
    _tool_there_and_back(client, model, streamed=False)


def tool_streamed(client: Client, model: str) -> None:
    _tool_there_and_back(client, model, streamed=True)


def unknown_model(client: Client, model: str) -> None:
    vendor, _, _ = model.partition("/")
    error = _raised(client.not_found, lambda: client.ask(f"{vendor}/no-such-model", SAY_WORDS))
    _same(getattr(error, "status_code", None), 404)


def broken_stream(client: Client, model: str) -> None:
    pieces: list[str] = []
    _raised(client.broken, lambda: pieces.extend(client.stream(model, BREAK_OFF)))
    if not pieces:
        raise AssertionError("it broke before its first piece")


CHECKS = (plain, streamed, tool, tool_streamed, unknown_model, broken_stream)


def _tool_there_and_back(client: Client, model: str, *, streamed: bool) -> None:
    cities = []

    def get_weather(city: str) -> str:
        """The weather in a city"""
        cities.append(city)
        return WEATHER

    answer = client.use_tool(model, ASK_WEATHER, get_weather, streamed=streamed)
    _same(cities, ["Oslo"])
    if WEATHER not in answer:
        raise AssertionError(f"the tool's result is not in the answer {answer!r}")


def _same(got: object, expected: object) -> None:
    if got != expected:
        raise AssertionError(f"{got!r} instead of {expected!r}")


def _raised[E: Exception](kind: type[E], call: Callable[[], object]) -> E:
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"answered {answer!r} instead of raising {kind.__name__}")


# ---------------------------------------------------------------- running them


def run(*clients: Client) -> None:
    """All checks of all clients with all models; exits with 1 where one failed."""
    outcomes = [_outcome(client, model, check) for client in clients for model in MODELS for check in CHECKS]
    sys.exit(0 if all(outcomes) else 1)


def _outcome(client: Client, model: str, check: Callable[[Client, str], None]) -> bool:
    what = check.__name__.replace("_", " ")
    try:
        check(client, model)
    except Exception as error:  # whatever a package raises is this check's failure, not the end of the others
        traceback.print_exception(error, chain=False)
        print(
            "failed",
            client.name,
            model,
            f"{what}: {type(error).__name__}: {' '.join(str(error).split())}",
            sep="\t",
            flush=True,
        )
        return False
    print("ok", client.name, model, what, sep="\t", flush=True)
    return True
