"""Anthropic's package."""

from collections.abc import Iterator
from typing import Any

import anthropic

from tests.clients import checks

MAX_TOKENS = 1_000

sdk = anthropic.Anthropic(base_url=f"{checks.URL}/api", api_key=checks.KEY)


class Messages(checks.Client):
    name = "anthropic (Python)"
    not_found = anthropic.NotFoundError
    broken = anthropic.APIError
    tools: Any = [{**checks.TOOL, "input_schema": checks.SCHEMA}]

    def ask(self, model: str, prompt: str) -> str:
        message = sdk.messages.create(
            model=model, max_tokens=MAX_TOKENS, messages=[{"role": "user", "content": prompt}]
        )
        return _text(message)

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        asked = sdk.messages.stream(model=model, max_tokens=MAX_TOKENS, messages=[{"role": "user", "content": prompt}])
        with asked as stream:
            yield from stream.text_stream

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        turns: list[Any] = [{"role": "user", "content": prompt}]
        asks = self._message(model, turns, streamed=streamed)
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": get_weather(**block.input)}
            for block in asks.content
            if block.type == "tool_use"
        ]
        turns += [{"role": "assistant", "content": asks.content}, {"role": "user", "content": results}]
        return _text(self._message(model, turns, streamed=streamed))

    def _message(self, model: str, turns: list[Any], *, streamed: bool) -> Any:
        asked: Any = {"model": model, "max_tokens": MAX_TOKENS, "messages": turns, "tools": self.tools}
        if not streamed:
            return sdk.messages.create(**asked)
        with sdk.messages.stream(**asked) as stream:
            return stream.get_final_message()


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


if __name__ == "__main__":
    checks.run(Messages())
