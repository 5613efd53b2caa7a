"""Events survive however the bytes were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import sse

EVENTS = [b"data: one", b": comment", b"event: x\ndata: two", "data: drei äöü 🙂".encode(), b"data: [DONE]"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_split_at_every_byte(newline: bytes) -> None:
    wire = b"".join(event.replace(b"\n", newline) + newline * 2 for event in EVENTS)
    for cut in range(len(wire) + 1):
        framer = sse.Framer()
        events = [event for part in (wire[:cut], wire[cut:]) if part for event in framer.feed(part)]
        assert [e.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for e in events if e] == EVENTS, cut
        assert framer.rest == b""


@given(st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_split_anyhow(sizes: list[int]) -> None:
    wire = b"".join(event + b"\n\n" for event in EVENTS)
    framer, events, at = sse.Framer(), [], 0
    for size in sizes:
        events += framer.feed(wire[at : at + size])
        at += size
    assert [*events, *framer.feed(wire[at:])] == EVENTS


def test_the_payload_is_the_data_lines_joined() -> None:
    assert sse.data_of(b"data: one") == b"one"
    assert sse.data_of(b"data:one") == b"one"
    assert sse.data_of(b"event: x\ndata: two\ndata: lines\nid: 7") == b"two\nlines"
    assert sse.data_of(b": keep-alive") == b""


def test_an_event_that_never_ends_is_refused() -> None:
    framer = sse.Framer()
    with pytest.raises(sse.EventTooLong):
        for _ in range(20):
            framer.feed(b"x" * 100_000)


@pytest.mark.parametrize(
    ("wire", "payloads"),
    [
        (b"data:one\n\ndata:  two\n\n", [b"one", b" two"]),  # one space belongs to the field, a second to the payload
        (b": ping\n\n:\n\ndata: one\n\n", [b"one"]),
        (b": ping\ndata: one\n: pong\ndata: two\n\n", [b"one\ntwo"]),
        (b"event: x\nid: 1\nretry: 5\n\ndata: one\n\n", [b"one"]),
        (b"\n\n\n\ndata: one\n\n\n", [b"one"]),
        (b"data\ndatum: no\ndata: one\n\n", [b"one"]),
        (b"data: one\r\n\r\ndata: two\n\ndata: three\r\r", [b"one", b"two", b"three"]),
        (b"data: one\n\ndata: two", [b"one", b"two"]),  # the final blank line is missing
        (b"data: one\n\ndata: two\n", [b"one", b"two"]),
        (b"data: one\r\n\r\ndata: two\r\n", [b"one", b"two"]),
    ],
)
def test_every_spelling_gives_the_same_payloads_wherever_it_is_cut(wire: bytes, payloads: list[bytes]) -> None:
    for cut in range(len(wire) + 1):
        framer = sse.Framer()
        events = [*framer.feed(wire[:cut]), *framer.feed(wire[cut:]), framer.rest]
        assert [payload for event in events if (payload := sse.data_of(event))] == payloads, cut


def test_characters_cut_in_half_arrive_whole() -> None:
    text = "ü → 🙂".encode()
    framer = sse.Framer()
    events = [event for byte in b"data: " + text + b"\n\n" for event in framer.feed(bytes([byte]))]
    assert [sse.data_of(event) for event in events] == [text]
