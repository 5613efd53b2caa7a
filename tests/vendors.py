"""A vendor whose every answer a test decides: real HTTP, OpenAI's wire. What a healthy vendor says is the sandbox's part."""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

type Answer = Callable[["Exchange"], None]

PROMPT_TOKENS, ANSWER_TOKENS = 100, 20
USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": ANSWER_TOKENS,
    "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
}


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Vendor"

    def do_POST(self) -> None:
        self.body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(self.body)
        script = self.server.script
        (script.popleft() if script else self.server.habit)(self)

    def log_message(self, *_: Any) -> None:
        pass

    # ------------------------------------------------------------ words

    def say(self, status: int, payload: Any, **headers: str) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self) -> None:
        self.close_connection = True  # the end of the stream is the end of the connection
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()

    def event(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> None:
        chunk = {"id": "v-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs"} | more
        chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()


class Vendor(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.script: deque[Answer] = deque()  # one call each; then the habit
        self.habit: Answer = answers
        self.requests: list[dict[str, Any]] = []
        self.over = threading.Event()  # silent answers end with the test

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reset(self) -> None:
        self.script.clear()
        self.habit = answers
        self.requests = []

    def handle_error(self, *_: Any) -> None:
        """A gateway that leaves is no error of the vendor's."""


@contextmanager
def running() -> Iterator[Vendor]:
    vendor = Vendor()
    thread = threading.Thread(target=vendor.serve_forever, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        vendor.over.set()
        vendor.shutdown()
        vendor.server_close()


# ---------------------------------------------------------------- answers


def answers(exchange: Exchange) -> None:
    if exchange.body.get("stream"):
        exchange.begin_stream()
        exchange.event({"role": "assistant", "content": ""})
        exchange.event({"content": "A river "})
        exchange.event({"content": "flows."})
        exchange.event({}, "stop", usage=USAGE)
        exchange.wfile.write(b"data: [DONE]\n\n")
        return
    message = {"role": "assistant", "content": "A river flows."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    exchange.say(200, {"id": "v-1", "object": "chat.completion", "model": "theirs", "choices": choices, "usage": USAGE})


def refuses(status: int, code: str = "", **headers: str) -> Answer:
    return lambda exchange: exchange.say(status, {"error": {"message": "No.", "code": code}}, **headers)


def says_nonsense(exchange: Exchange) -> None:
    if exchange.body.get("stream"):
        exchange.begin_stream()
        exchange.wfile.write(b"data: {nonsense\n\n")
        return
    exchange.say(200, b"<html>We are moving house</html>")


def falls_silent(exchange: Exchange) -> None:
    exchange.server.over.wait(60)


def hangs_up(exchange: Exchange) -> None:
    """In the middle of the status line: before a byte, the gateway would take it for a connection that had been idle too long."""
    exchange.close_connection = True
    exchange.wfile.write(b"HTTP/1.1 2")
    exchange.connection.shutdown(socket.SHUT_RDWR)


def opens_and_dies(exchange: Exchange) -> None:
    """A stream that never gets beyond whose turn it is."""
    exchange.begin_stream()
    exchange.event({"role": "assistant", "content": ""})


def reports_failure_first(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.wfile.write(b'data: {"error":{"message":"overloaded"}}\n\n')


def dies_midway(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.event({"role": "assistant", "content": ""})
    exchange.event({"content": "A river "})
