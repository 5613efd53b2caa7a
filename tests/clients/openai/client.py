"""OpenAI's package, in both of its dialects."""

import json
from collections.abc import Iterator
from typing import Any

import openai

from tests.clients import checks

sdk = openai.OpenAI(base_url=f"{checks.URL}/api/v1", api_key=checks.KEY)


class Chat(checks.Client):
    name = "openai chat (Python)"
    not_found = openai.NotFoundError
    broken = openai.APIError
    tools: Any = [{"type": "function", "function": {**checks.TOOL, "parameters": checks.SCHEMA}}]

    def ask(self, model: str, prompt: str) -> str:
        answer = sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
        return answer.choices[0].message.content or ""

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        asked = sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}], stream=True)
        for chunk in asked:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        asks = self._message(model, messages, streamed=streamed)
        messages.append(asks)
        for call in asks.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return self._message(model, messages, streamed=streamed).content

    def _message(self, model: str, messages: list[Any], *, streamed: bool) -> Any:
        asked: Any = {"model": model, "messages": messages, "tools": self.tools}
        if not streamed:
            return sdk.chat.completions.create(**asked).choices[0].message
        with sdk.chat.completions.stream(**asked) as stream:
            return stream.get_final_completion().choices[0].message


class Responses(checks.Client):
    name = "openai responses (Python)"
    not_found = openai.NotFoundError
    broken = openai.APIError
    tools: Any = [{"type": "function", **checks.TOOL, "parameters": checks.SCHEMA, "strict": False}]

    def ask(self, model: str, prompt: str) -> str:
        return sdk.responses.create(model=model, input=prompt).output_text

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        for event in sdk.responses.create(model=model, input=prompt, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        turns: list[Any] = [{"role": "user", "content": prompt}]
        asks = self._response(model, turns, streamed=streamed)
        turns += asks.output
        for call in asks.output:
            if call.type == "function_call":
                result = get_weather(**json.loads(call.arguments))
                turns.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        return self._response(model, turns, streamed=streamed).output_text

    def _response(self, model: str, turns: list[Any], *, streamed: bool) -> Any:
        asked: Any = {"model": model, "input": turns, "tools": self.tools}
        if not streamed:
            return sdk.responses.create(**asked)
        with sdk.responses.stream(**asked) as stream:
            return stream.get_final_response()


if __name__ == "__main__":
    checks.run(Chat(), Responses())
