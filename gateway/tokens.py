"""Counting tokens ourselves: the one place that knows the tokenizer (OpenAI's o200k encoding).

It is the local measure where a vendor's usage is missing (a cut stream, a silent vendor), and an estimate for other
vendors' encodings.
"""

import functools
from collections.abc import Iterator
from typing import Any

#: The tokenizer refuses more than 200,000 tokens at once, and a character is at most 4 bytes, hence at most 4 tokens.
#: A longer text is counted in slices, which may add one token for each slice's edge.
SLICE_CHARACTERS = 50_000
#: what the wire adds around a message, and around the whole conversation
MESSAGE_OVERHEAD_TOKENS = 4
CONVERSATION_OVERHEAD_TOKENS = 2
#: an image, a sound or a file counts as OpenAI's 1024 × 1024 picture in high detail, whatever its size
MEDIA_TOKENS = 765


def count(text: str) -> int:
    """Tokens of ``text``. Names of special tokens count as the plain text they are; any ``str`` is accepted."""
    return sum(len(_encoding().encode_ordinary(part)) for part in _slices(text))


def count_messages(messages: list[dict[str, Any]]) -> int:
    """Tokens of an OpenAI conversation: every text and tool call, MEDIA_TOKENS for any other part, and the overhead."""
    return CONVERSATION_OVERHEAD_TOKENS + sum(_count_message(message) for message in messages)


def pieces(text: str) -> list[str]:
    """``text`` in pieces of one token each (more where one token ends inside a character).

    Together they are the text, with lone surrogates replaced by U+FFFD because no encoding can carry them.
    """
    found = []
    for part in _slices(text):
        pending = b""
        for token in _encoding().decode_tokens_bytes(_encoding().encode_ordinary(part)):
            pending += token
            try:
                found.append(pending.decode())
            except UnicodeDecodeError:
                continue
            pending = b""
    return found


@functools.cache
def _encoding() -> Any:
    import bpe_openai  # loaded at the first count: 0.2 s and 70 MB that most processes never need

    return bpe_openai.get_encoding("o200k_base")


def _slices(text: str) -> Iterator[str]:
    for start in range(0, len(text), SLICE_CHARACTERS):
        yield text[start : start + SLICE_CHARACTERS]


def _count_message(message: dict[str, Any]) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    calls = message.get("tool_calls")
    return (
        MESSAGE_OVERHEAD_TOKENS
        + sum(_count_part(part) for part in parts)
        + sum(_count_tool_call(call) for call in (calls if isinstance(calls, list) else []))
    )


def _count_part(part: Any) -> int:
    if isinstance(part, str):
        return count(part)
    if not isinstance(part, dict):
        return 0
    texts = [part[name] for name in ("text", "refusal") if isinstance(part.get(name), str)]
    return sum(map(count, texts)) if texts else MEDIA_TOKENS


def _count_tool_call(call: Any) -> int:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return 0
    return sum(count(function[name]) for name in ("name", "arguments") if isinstance(function.get(name), str))
