"""What a vendor signed comes back to it through every client dialect, and goes to no other vendor."""

from typing import Any

import orjson
import pytest

from billing.meters import Usage
from gateway.dialects import chat_anthropic, chat_google, messages_anthropic, messages_chat, responses_chat

type Json = dict[str, Any]


def signed_text_turn(*parts: Json) -> Json:
    return {"candidates": [{"index": 0, "content": {"parts": list(parts)}, "finishReason": "STOP"}], "responseId": "r"}


def echoed(turn: Json, model: str = "gemini-3.8-flash") -> list[Json]:
    """The model's parts of the next request, for an answer that came back as a chat client was given it."""
    ask = [{"role": "user", "content": "Hi"}, turn, {"role": "user", "content": "On"}]
    body = chat_google.request({"messages": ask}, upstream_model=model, stream=False, output_tokens_max=9, supports={})
    parts: list[Json] = body["contents"][1]["parts"]
    return parts


SIGNED_TEXTS: list[list[Json]] = [
    [{"text": "Hello", "thoughtSignature": "c2ln+/=="}],
    [{"text": "Hm", "thought": True}, {"text": "Hello", "thoughtSignature": "c2ln+/=="}],
    [{"text": "Hello"}, {"text": "", "thoughtSignature": "c2ln+/=="}],
]


@pytest.mark.parametrize("parts", SIGNED_TEXTS)
def test_a_signature_on_text_comes_back_with_that_text_plain_and_streamed(parts: list[Json]) -> None:
    (choice,), _ = chat_google.complete(signed_text_turn(*parts))
    assert echoed(choice["message"]) == [{"text": "Hello", "thoughtSignature": "c2ln+/=="}]
    stream = chat_google.Stream()
    deltas = [
        choice["delta"]
        for part in parts
        for chunk in stream.feed(b"data: " + orjson.dumps(signed_text_turn(part)))
        for choice in chunk["choices"]
    ]
    details = [detail for delta in deltas for detail in delta.get("reasoning_details") or ()]
    text = "".join(delta.get("content") or "" for delta in deltas)
    assert echoed({"role": "assistant", "content": text, "reasoning_details": details}) == echoed(choice["message"])


def test_a_signature_with_nothing_but_a_call_beside_it_is_not_lost() -> None:
    call = {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "Y2FsbA=="}
    (choice,), _ = chat_google.complete(signed_text_turn({"text": "", "thoughtSignature": "dGV4dA=="}, call))
    assert echoed(choice["message"]) == [{"text": "", "thoughtSignature": "dGV4dA=="}, call]


def test_what_gemini_signed_goes_to_no_other_vendor() -> None:
    (choice,), _ = chat_google.complete(signed_text_turn(*SIGNED_TEXTS[0]))
    ask = [{"role": "user", "content": "Hi"}, choice["message"], {"role": "user", "content": "On"}]
    body = chat_anthropic.request(
        {"messages": ask}, upstream_model="claude-sonnet-4-6", stream=False, output_tokens_max=9, supports={}
    )
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]
    # and through a Messages client, whose turns pass to Anthropic as they are
    answer = messages_chat.complete({"choices": [choice]}, message_id="m", model="a/b", usage=Usage())
    turns = [*ask[:1], {"role": "assistant", "content": answer["content"]}, ask[2]]
    native = messages_anthropic.request(
        {"model": "m", "max_tokens": 9, "messages": turns}, upstream_model="claude-sonnet-4-6", output_tokens_max=9
    )
    assert native["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]
    again = messages_chat.request({"model": "m", "max_tokens": 9, "messages": turns})
    assert echoed(again["messages"][1]) == [{"text": "Hello", "thoughtSignature": "c2ln+/=="}]


def test_what_anthropic_sealed_does_not_go_to_gemini() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "RXJB", "index": 0}
    assert echoed({"role": "assistant", "content": "Hello", "reasoning_details": [sealed]}) == [{"text": "Hello"}]


def test_a_signature_survives_a_responses_client() -> None:
    (choice,), _ = chat_google.complete(signed_text_turn(*SIGNED_TEXTS[0]))
    answer = responses_chat.complete(
        [choice],
        response_id="r",
        model="a/b",
        created=1,
        usage=Usage(),
        request={"include": ["reasoning.encrypted_content"]},
    )
    body = responses_chat.request({"model": "m", "input": [*answer["output"], {"role": "user", "content": "On"}]})
    assert echoed(body["messages"][0]) == [{"text": "Hello", "thoughtSignature": "c2ln+/=="}]
