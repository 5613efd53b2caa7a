"""The text of an answer: plausible, of a reader's length, and the same every time for the same call."""

import re
from itertools import count as counting
from typing import Any

import orjson

from gateway import tokens
from gateway.sandbox import tools
from gateway.sandbox.chat_request import ChatRequest, text_of
from gateway.sandbox.dice import Dice
from gateway.sandbox.directives import without_marker
from gateway.sandbox.schemas import Filler

LEAST_TOKENS, MOST_TOKENS = 20, 120
QUOTE_CHARACTERS = 60

GREETING = re.compile(r"^\W*(hi|hello|hey|good (morning|afternoon|evening|day)|greetings|hallo|bonjour|hola)\b", re.I)
SAY = re.compile(
    r"^\W*(?:please\s+)?(?:say|repeat|(?:reply|answer|respond)\s+with)\s+((?:(?:exactly|only|just|the words?)[\s:]+)*)(.+)",
    re.I | re.DOTALL,
)
EXACTLY = re.compile(r"exactly|only|just", re.I)
SUM = re.compile(r"(?<![\w.])(\d{1,9})\s*([-+*x×])\s*(\d{1,9})(?![\w.])")
CODE = re.compile(
    r"\b(code|function|script|program|python|javascript|typescript|sql|query|bash|shell|regex|snippet)\b", re.I
)
WORD = re.compile(r"[^\W\d_]{4,}")
COMMON_WORDS = {
    "what", "when", "where", "which", "would", "could", "should", "about", "please", "there", "their", "have", "does",
    "with", "that", "this", "from", "your", "they", "explain", "tell", "write", "give", "show", "make", "some", "into",
    "hello", "good", "morning", "summarise", "summarize", "describe", "list", "translate", "plan", "answer",
}  # fmt: skip

PLACEHOLDERS = (
    "This is a placeholder from the built-in sandbox.",
    "The built-in sandbox answers in place of a model.",
)
SENTENCES = (
    "It helps to look at {topic} from the side of the person who has to live with the result.",
    "Start with the smallest version that works, and measure before you change anything.",
    "Most surprises around {topic} come from an assumption that nobody wrote down.",
    "A short list of examples usually says more about {topic} than a long definition.",
    "Keep what you know apart from what you guess, and check the guesses first.",
    "There are two common ways to go about it, and the simpler one is often enough.",
    "If the details matter, compare a few cases side by side before you decide.",
    "The cost of being wrong about {topic} is small at the beginning, so try early.",
    "Ask who will read this later, and leave them a clear trail.",
    "When in doubt, pick the option that is easy to take back.",
)
CODE_SAMPLES = {
    "python": 'def {name}(items):\n    """Return the items in order, each one once."""\n    return sorted(set(items))',
    "javascript": "function {name}(items) {{\n  // each item once, in order\n  return [...new Set(items)].sort();\n}}",
    "sql": "SELECT id, name, created_at\nFROM {name}\nWHERE created_at >= now() - interval '7 days'\nORDER BY created_at;",
    "bash": '#!/bin/sh\nset -eu\nfor {name} in "$@"; do\n  printf "%s\\n" "${name}"\ndone',
}
CODE_ALIASES = {"typescript": "javascript", "shell": "bash", "query": "sql"}


def text_for(request: ChatRequest, choice: int) -> str:
    """What the model says; a directive's length or cut is respected, ``max_tokens`` and ``stop`` are the caller's."""
    wishes = request.directives
    dice = Dice(request.model, _conversation(request), str(request.body.get("seed")), str(choice))
    declines = wishes.refusal or wishes.blocked
    text = "" if declines and wishes.tokens is None else _said(request, dice)
    if wishes.tokens is not None:
        return _of_length(text, wishes.tokens)
    may_grow = wishes.accident is not None and request.persona != "echo" and "response_format" not in request.body
    if may_grow and tokens.count(text) <= wishes.accident_after_chunks:
        return _of_length(text, wishes.accident_after_chunks + 1)  # so that the accident happens amid the text
    return text


def reasoning_for(request: ChatRequest, choice: int) -> str:
    """What the model thinks before it answers: as long as a directive says, or a little where the caller asked."""
    length = request.directives.reasoning
    dice = Dice("reasoning", request.model, _conversation(request), str(choice))
    if length is None:
        length = LEAST_TOKENS + dice.number(LEAST_TOKENS) if request.thinks else 0
    return _of_length(f"The question is about {_topic(request.prompt)}.", length)


def first_tokens(text: str, most: int) -> str:
    """The longest beginning of ``text`` that counts at most ``most`` tokens and ends at a whole character."""
    kept, total = [], 0
    for piece in tokens.pieces(text):
        total += 1 if piece.isascii() else tokens.count(piece)
        if total > most:
            break
        kept.append(piece)
    # the encoding may see a shorter text otherwise: white space before a word that is now gone
    while kept and tokens.count("".join(kept)) > most:
        kept.pop()
    return "".join(kept)


def _conversation(request: ChatRequest) -> str:
    return "\x1f".join(f"{message['role']}:{without_marker(text_of(message))}" for message in request.messages)


def _said(request: ChatRequest, dice: Dice) -> str:
    if request.persona == "echo":
        return request.prompt
    structured = _structured(request, dice)
    if structured is not None:
        return structured
    opening, complete = _opening(request, dice)
    return opening if complete else _continued(opening, request.prompt, dice)


def _structured(request: ChatRequest, dice: Dice) -> str | None:
    wanted = request.body.get("response_format")
    if not isinstance(wanted, dict):
        return None
    kind = wanted.get("type")
    if kind == "json_schema":
        described = wanted.get("json_schema")
        value: Any = Filler(
            described.get("schema") if isinstance(described, dict) else {}, request.prompt, dice
        ).value()
    elif kind == "json_object":
        value = {"answer": _opening(request, dice)[0], "topic": _topic(request.prompt), "sandbox": True}
    else:
        return None
    return orjson.dumps(value).decode()


def _opening(request: ChatRequest, dice: Dice) -> tuple[str, bool]:
    """The part that answers the prompt, and whether it is the whole answer."""
    prompt, name = request.prompt, request.persona
    if found := tools.results_text(request):
        return found, False
    if not prompt:
        return f"This is the built-in sandbox answering for {name}. Send a message and I will answer it.", False
    if (say := SAY.match(prompt)) and tokens.count(say[2]) <= MOST_TOKENS:
        said = say[2].strip().strip("\"“”'").rstrip(".") or prompt
        return (said, True) if EXACTLY.search(say[1]) else (f"{said}.", False)
    if GREETING.match(prompt):
        return f"Hello! You are talking to the built-in sandbox, which stands in for {name}. How can I help?", False
    if found_sum := SUM.search(prompt):
        return f"{found_sum[0]} = {_result(found_sum)}.", False
    if CODE.search(prompt):
        return _code(prompt), False
    if "?" in prompt:
        return (
            f"You asked: “{_quote(prompt)}” The built-in sandbox can only give you a placeholder for an answer.",
            False,
        )
    return f"You wrote: “{_quote(prompt)}” {dice.pick(PLACEHOLDERS)}", False


def _continued(opening: str, prompt: str, dice: Dice) -> str:
    """``opening`` and sentences on its topic, up to a length that the prompt decides."""
    wanted = min(MOST_TOKENS, LEAST_TOKENS + 2 * len(prompt.split()) + dice.number(40))
    text, topic = opening, _topic(prompt)
    # a code block ends its own paragraph
    separator = "\n\n" if text.endswith("```") else " "
    sentences = list(SENTENCES)
    while sentences and tokens.count(text) < wanted:
        sentence = sentences.pop(dice.number(len(sentences))).format(topic=topic)
        longer = f"{text}{separator}{sentence}"
        if tokens.count(longer) > MOST_TOKENS:
            break
        text, separator = longer, " "
    return text


def _of_length(text: str, length: int) -> str:
    """``text``, cut or continued to exactly ``length`` tokens."""
    lines = counting()
    while (missing := length - tokens.count(text)) > 0:
        filler = "".join(
            f" {SENTENCES[next(lines) % len(SENTENCES)].format(topic='it')}" for _ in range(1 + missing // 12)
        )
        text += filler
    text = first_tokens(text, length)
    while tokens.count(text) < length:
        text += " so"  # the cut fell inside a character of several tokens
    return text


def _topic(prompt: str) -> str:
    words = [word for word in WORD.findall(prompt[:2_000]) if word.lower() not in COMMON_WORDS]
    return max(words, key=len, default="it")[:30]


def _quote(prompt: str) -> str:
    line = " ".join(prompt[: QUOTE_CHARACTERS * 2].split())
    return line if len(line) <= QUOTE_CHARACTERS else line[:QUOTE_CHARACTERS].rstrip() + "…"


def _result(found: re.Match[str]) -> int:
    left, right = int(found[1]), int(found[3])
    return {"+": left + right, "-": left - right}.get(found[2], left * right)


def _code(prompt: str) -> str:
    asked = [CODE_ALIASES.get(word.lower(), word.lower()) for word in CODE.findall(prompt)]
    language = next((word for word in asked if word in CODE_SAMPLES), "python")
    topic = _topic(CODE.sub("", prompt)).lower()
    sample = CODE_SAMPLES[language].format(name=topic if topic.isascii() else "example")
    return f"Here is a sketch in {language}:\n\n```{language}\n{sample}\n```"
