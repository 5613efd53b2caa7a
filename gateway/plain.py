"""A plain answer: what it says, what it cost, and how the client gets it. Same dialect on both sides: only our fields change."""

from typing import Any

import msgspec
import orjson

from billing.meters import Usage
from gateway import faces
from gateway.adapters import Adapter
from gateway.dialects import messages_anthropic, messages_chat
from gateway.faces import Face
from gateway.parameters import ChatRequest
from gateway.stream import texts_of, usage_json
from gateway.upstreams import openai
from tokenhub.money import usd_number


class PlainAnswer:
    """Raises ValueError (msgspec's DecodeError is one) for what is no answer."""

    def __init__(self, face: Face, adapter: Adapter, request: ChatRequest, answer: bytes):
        self._face = face
        self._request = request
        self._answer = answer
        self._raw: dict[str, msgspec.Raw] = {}
        self._choices: list[dict[str, Any]] = []
        if face is faces.CHAT and adapter.passes_chat:
            self._raw = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
            if "base_resp" in self._raw:
                openai.check_base_response(msgspec.json.decode(self._raw["base_resp"]))
            if "choices" not in self._raw:
                raise ValueError("no choices")
            if not openai.ends_in_standard_words(bytes(self._raw["choices"])):
                choices = msgspec.json.decode(self._raw["choices"])
                openai.normalise_ends(choices)
                self._raw["choices"] = msgspec.Raw(orjson.dumps(choices))
            usage = self._raw.get("usage")
            self.usage = openai.usage_of(msgspec.json.decode(usage)) if usage is not None else None
        else:
            self._choices, self.usage = adapter.complete(answer)
        self._is_native = request.is_native_messages and adapter.passes_messages

    def text(self) -> str:
        """What it said, for counting it here."""
        choices = msgspec.json.decode(self._raw["choices"]) if self._raw else self._choices
        return "".join(texts_of({"choices": [{"delta": choice.get("message")} for choice in choices]}))

    def body(self, generation_id: str, model: str, usage: Usage, cost_nanos: int) -> bytes:
        if self._raw:
            fields = self._raw
            fields["id"], fields["model"] = msgspec.Raw(orjson.dumps(generation_id)), msgspec.Raw(orjson.dumps(model))
            fields["usage"] = msgspec.Raw(usage_json(usage, cost_nanos))
            return msgspec.json.encode(fields)
        if self._is_native:
            cost = orjson.Fragment(usd_number(cost_nanos))
            answer = orjson.loads(self._answer)
            counts = messages_chat.usage_object(usage)
            return orjson.dumps(
                messages_anthropic.complete(answer, message_id=generation_id, model=model, counts=counts, cost=cost)
            )
        return self._face.complete(self._request, generation_id, model, self._choices, usage, cost_nanos)
