"""Calls of the sandbox as its tests make them: real HTTP, and what to make of the answers."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

MODEL = "openai/gpt-4.1"


def eventually(holds: Callable[[], bool], within_seconds: float = 10) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"


@contextlib.contextmanager
def client(url: str) -> Iterator[httpx.Client]:
    """A client of a sandbox that remembers nothing yet."""
    with httpx.Client(base_url=url, timeout=10) as http:
        http.post("/stats/reset")
        yield http


def body(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}


def post(http: httpx.Client, prompt: str, **more: Any) -> httpx.Response:
    return http.post("/v1/chat/completions", json=body(prompt, **more))


def text(http: httpx.Client, prompt: str, **more: Any) -> str:
    return post(http, prompt, **more).json()["choices"][0]["message"]["content"]


def frames(response: httpx.Response) -> list[Any]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line if (line := raw.removeprefix("data: ")) == "[DONE]" else json.loads(line) for raw in lines]


def contents(parsed: list[Any]) -> list[str]:
    deltas = [choice["delta"] for frame in parsed if frame != "[DONE]" for choice in frame.get("choices", [])]
    return [delta["content"] for delta in deltas if delta.get("content")]


def log(http: httpx.Client) -> dict[str, Any]:
    return http.get("/stats").json()["log"][-1]
