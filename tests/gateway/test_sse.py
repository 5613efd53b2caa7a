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
