"""Counting tokens: exact where the tokenizer can be, safe on anything."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import tokens

ROOT = Path(__file__).parents[2]
PROSE = "The quick brown fox doesn't jump over 12,345 lazy dogs (yet):\n\n  it   waits, and counts to 3.14!\n" * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("hello world", 2), ("Hello, world!", 4), ("aaaaaaaa", 1), ("1234567", 3), ("你好，世界", 3)],
)
def test_counts_are_those_of_the_o200k_encoding(text: str, expected: int) -> None:
    assert tokens.count(text) == expected


def test_names_of_special_tokens_are_ordinary_text() -> None:
    assert tokens.count("<|endoftext|>") > 1


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00" * 10, "\ufeff", "e\u0301" * 5, "👩‍👩‍👧‍👦", "\u202e"])
def test_odd_characters_are_counted_not_refused(text: str) -> None:
    assert tokens.count(text) >= 1


@pytest.mark.parametrize("unit", ["word ", "a", " ", "\U0002f81a", "\n"])
def test_five_megabytes_are_counted_within_seconds(unit: str) -> None:
    text = unit * (5_000_000 // len(unit.encode()))
    began = time.monotonic()
    counted = tokens.count(text)
    assert time.monotonic() - began < 10
    assert 0 < counted <= len(text.encode())


def test_a_long_text_counts_as_if_uncut_but_for_the_slices_edges() -> None:
    sentence = "One sentence of eight words, and so on."
    often = 5 * tokens.SLICE_CHARACTERS // (len(sentence) + 1)
    uncut = tokens.count(sentence) * often
    assert uncut <= tokens.count(" ".join([sentence] * often)) <= uncut + 5


@given(st.text())
def test_pieces_together_are_the_text(text: str) -> None:
    assert "".join(tokens.pieces(text)) == text
    assert len(tokens.pieces(text)) <= tokens.count(text)


@given(st.text(alphabet="aé日😀👩‍ \n.1", max_size=40))
def test_pieces_never_split_a_character(text: str) -> None:
    assert all(piece.encode().decode() == piece for piece in tokens.pieces(text))
    assert "".join(tokens.pieces(text)) == text


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert "".join(tokens.pieces("a\ud800b")) == "a\ufffdb"


def test_a_cut_stream_of_pieces_counts_what_was_received() -> None:
    pieces = tokens.pieces(PROSE)
    assert len(pieces) == tokens.count(PROSE)
    for received in range(len(pieces)):
        assert abs(tokens.count("".join(pieces[:received])) - received) <= 1
    words = tokens.pieces("Plain words and nothing else are counted one by one without any exception at all.")
    assert [tokens.count("".join(words[:received])) for received in range(len(words))] == list(range(len(words)))


def test_a_conversation_is_its_texts_its_media_and_the_overhead() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    texts = ("Be brief.", "What is this?", "get_weather", '{"city":"Paris"}', "21 degrees")
    assert tokens.count_messages(messages) == sum(map(tokens.count, texts)) + tokens.MEDIA_TOKENS + 4 * 4 + 2


@pytest.mark.parametrize("content", [None, 7, {"a": 1}, [None, 7, "text"], [{"text": 7}], [[]]])
def test_content_of_any_shape_is_counted_not_refused(content: object) -> None:
    message = {"role": "user", "content": content, "tool_calls": [None, {"function": 1}, {"function": {"name": 1}}]}
    assert tokens.count_messages([message]) >= tokens.MESSAGE_OVERHEAD_TOKENS + tokens.CONVERSATION_OVERHEAD_TOKENS


def test_the_tokenizer_is_loaded_at_the_first_count_and_not_before() -> None:
    program = (
        "import sys; from gateway import tokens; before = 'bpe_openai' in sys.modules; tokens.count('a');"
        "print(before, 'bpe_openai' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["False", "True"]


def test_no_other_module_knows_the_tokenizer() -> None:
    rooms = ("tokenhub", "accounts", "billing", "gateway", "media_jobs")
    knowing = [path for room in rooms for path in (ROOT / room).rglob("*.py") if "bpe_openai" in path.read_text()]
    assert knowing == [ROOT / "gateway" / "tokens.py"]
