"""LiteLLM as a client of ours, in OpenAI's dialect."""

import json
import os
from collections.abc import Iterator
from typing import Any

from tests.clients import checks

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise the import asks a server for a list of prices
import litellm

litellm.suppress_debug_info = True


class LiteLLM(checks.Client):
    name = "litellm"
    not_found = litellm.NotFoundError
    broken = litellm.exceptions.MidStreamFallbackError
    tools: Any = [{"type": "function", "function": {**checks.TOOL, "parameters": checks.SCHEMA}}]

    def ask(self, model: str, prompt: str) -> str:
        return self._complete(model, [{"role": "user", "content": prompt}]).choices[0].message.content

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        for chunk in self._complete(model, [{"role": "user", "content": prompt}], stream=True):
            if chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        turns: list[Any] = [{"role": "user", "content": prompt}]
        asks = self._message(model, turns, streamed=streamed)
        turns.append(asks)
        for call in asks.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            turns.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return self._message(model, turns, streamed=streamed).content

    def _message(self, model: str, turns: list[Any], *, streamed: bool) -> Any:
        answer = self._complete(model, turns, tools=self.tools, stream=streamed)
        whole: Any = litellm.stream_chunk_builder(list(answer), messages=turns) if streamed else answer
        return whole.choices[0].message

    def _complete(self, model: str, turns: list[Any], **asked: Any) -> Any:
        # the first word names the dialect, the rest is our id
        return litellm.completion(
            model=f"openai/{model}", messages=turns, api_base=f"{checks.URL}/api/v1", api_key=checks.KEY, **asked
        )


if __name__ == "__main__":
    checks.run(LiteLLM())
