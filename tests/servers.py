"""Real processes for tests: the sandbox vendor and the web server, on free loopback ports, as `make run` starts them."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Server:
    """A child process that answers at ``url``."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"


def start(module: str, arguments: list[str], *, url: str, probe: str, env: dict[str, str], **popen: Any) -> Server:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, env={**os.environ, **env}, **popen)
    server = Server(url, process)
    deadline = time.monotonic() + START_SECONDS
    while True:  # there is no event to await: another process opens a port
        try:
            if httpx.get(url + probe, timeout=5).status_code == 200:
                return server
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{module} did not start")
        time.sleep(0.05)


def start_sandbox(**env: str) -> Server:
    port = free_port()
    return start(
        "gateway.sandbox.server",
        ["--host", "127.0.0.1", "--port", str(port)],
        url=f"http://127.0.0.1:{port}",
        probe="/healthz",
        env={"TOKENHUB_SANDBOX_TOKENS_PER_SECOND": "0", **env},
    )


def start_stripe(**env: str) -> Server:
    """The test checkout: a process that speaks Stripe's API at ``url``."""
    port = free_port()
    return start(
        "billing.stripe_sandbox.server",
        ["--host", "127.0.0.1", "--port", str(port)],
        url=f"http://127.0.0.1:{port}",
        probe="/healthz",
        env=env,
    )


def start_web(sandbox: Server, **env: str) -> Server:
    """The web process of `make run`: pages and gateway."""
    (server,) = start_webs(1, sandbox, **env)
    return server


def start_webs(count: int, sandbox: Server, **env: str) -> list[Server]:
    """Several web processes that share one listening socket, as `make run` starts them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        listener.set_inheritable(True)
        port = listener.getsockname()[1]
        return [
            start(
                "tokenhub.web",
                ["--fd", str(listener.fileno())],
                url=f"http://127.0.0.1:{port}",
                probe="/readyz",
                env={"TOKENHUB_SANDBOX_URL": sandbox.url, "PORT": str(port), **env},
                pass_fds=[listener.fileno()],
            )
            for _ in range(count)
        ]
