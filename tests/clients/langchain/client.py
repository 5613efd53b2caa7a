"""LangChain's chat model for OpenAI's dialect."""

from collections.abc import Iterator
from typing import Any

import openai
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.clients import checks


class LangChain(checks.Client):
    name = "langchain-openai"
    not_found = openai.NotFoundError
    broken = openai.APIError

    def ask(self, model: str, prompt: str) -> str:
        return self._chat(model).invoke(prompt).text

    def stream(self, model: str, prompt: str) -> Iterator[str]:
        for chunk in self._chat(model).stream(prompt):
            if chunk.text:
                yield chunk.text

    def use_tool(self, model: str, prompt: str, get_weather: checks.Tool, *, streamed: bool) -> str:
        weather = tool(get_weather)
        chat = self._chat(model).bind_tools([weather])
        turns: list[Any] = [HumanMessage(prompt)]
        asks = self._message(chat, turns, streamed=streamed)
        turns += [asks, *(weather.invoke(call) for call in asks.tool_calls)]
        return self._message(chat, turns, streamed=streamed).text

    def _chat(self, model: str) -> ChatOpenAI:
        return ChatOpenAI(model=model, base_url=f"{checks.URL}/api/v1", api_key=SecretStr(checks.KEY))

    def _message(self, chat: Any, turns: list[Any], *, streamed: bool) -> AIMessage:
        if not streamed:
            return chat.invoke(turns)
        whole, *more = chat.stream(turns)
        for chunk in more:
            whole += chunk
        assert isinstance(whole, AIMessageChunk)
        return whole


if __name__ == "__main__":
    checks.run(LangChain())
