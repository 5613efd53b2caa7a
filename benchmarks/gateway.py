"""What a paid call costs in CPU: everything that `make run` starts, over a bare uvicorn + aiohttp pass-through.

    .venv/bin/python benchmarks/gateway.py [--rounds 9] [--seconds 2] [--connections 32]

Machines are noisy, so candidate and baseline alternate in short rounds against the same stand-in vendor, and the minima are
compared: the ratio is what to keep, never an absolute value of one run. Linux only (/proc). Not a test: nothing is asserted but
that every call was answered 200 and that the ledger agrees with itself afterwards.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PROMPT = ("Tell me something about proxies. " * 20)[:500]


# ---------------------------------------------------------------- CPU of a process tree


def tree(pid: int) -> list[int]:
    pids, todo = [], [pid]
    while todo:
        one = todo.pop()
        pids.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += map(int, task.read_text().split())
            except OSError:
                continue
    return pids


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole tree, reaped children included."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


# ---------------------------------------------------------------- load


class Caller(asyncio.Protocol):
    """One keep-alive connection that always has a call in flight until the time is up."""

    def __init__(self, request: bytes, until: float, done: asyncio.Future[None]):
        self.request, self.until, self.done = request, until, done
        self.buffer, self.calls, self.failures = b"", 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        match = re.search(rb"content-length: *(\d+)", self.buffer[:head], re.IGNORECASE)
        if match is None or len(self.buffer) < head + 4 + int(match[1]):
            return
        self.calls += 1
        self.failures += not self.buffer.startswith(b"HTTP/1.1 200")
        self.buffer = b""
        if time.monotonic() < self.until:
            self.transport.write(self.request)  # type: ignore[attr-defined]
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, request: bytes, connections: int, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    until = time.monotonic() + seconds
    callers = []
    for _ in range(connections):
        done = loop.create_future()
        _, caller = await loop.create_connection(lambda done=done: Caller(request, until, done), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    failures = sum(caller.failures for caller in callers)
    if failures:
        raise SystemExit(f"{failures} calls were not answered 200")
    return sum(caller.calls for caller in callers)


def request_bytes(port: int, key: str) -> bytes:
    body = json.dumps(
        {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 200}
    ).encode()
    head = (
        f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# ---------------------------------------------------------------- the two under test


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")


def manage(env: dict[str, str], *command: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "manage.py", *command, "--json"], cwd=ROOT, env=env, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def measure(pid: int, port: int, request: bytes, options: argparse.Namespace) -> tuple[float, float]:
    """(CPU µs a call, calls a second) of one round."""
    before, started = cpu_seconds(pid), time.monotonic()
    calls = uvloop.run(load(port, request, options.connections, options.seconds))
    return (cpu_seconds(pid) - before) / calls * 1e6, calls / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    vendor_port, bare_port, port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="tokenhub-bench-") as folder:
        env = {
            **os.environ, "TOKENHUB_DEV": "1", "TOKENHUB_DATA_DIR": folder, "PORT": str(port), "WEB_CONCURRENCY": "1",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{vendor_port}/v1",
        }  # fmt: skip
        bench = ROOT / "benchmarks"
        vendor = subprocess.Popen([sys.executable, bench / "stand_in.py", str(vendor_port)])
        bare_env = {**os.environ, "UPSTREAM": f"http://127.0.0.1:{vendor_port}/v1/chat/completions"}
        bare = subprocess.Popen([sys.executable, bench / "passthrough.py", str(bare_port)], env=bare_env)
        ours = subprocess.Popen(
            [sys.executable, "-m", "tokenhub.supervisor"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", ours)
            customer = manage(env, "create_account", "--email", "bench@example.com", "--credit-usd", "100000")
            ours_request, bare_request = request_bytes(port, str(customer["api_key"])), request_bytes(bare_port, "none")
            rounds: dict[str, list[tuple[float, float]]] = {"make run": [], "pass-through": []}
            for i in range(options.rounds + 1):
                one, other = (
                    measure(ours.pid, port, ours_request, options),
                    measure(bare.pid, bare_port, bare_request, options),
                )
                if i:  # the first warms both up
                    rounds["make run"].append(one)
                    rounds["pass-through"].append(other)
            audit = manage(env, "check_ledger")
        finally:
            for process in (ours, bare, vendor):
                process.terminate()
            for process in (ours, bare, vendor):
                process.wait(60)
    report(rounds, audit, options)


def report(rounds: dict[str, list[tuple[float, float]]], audit: dict[str, object], options: argparse.Namespace) -> None:
    print(f"{options.connections} connections, {options.rounds} rounds of {options.seconds:g} s each, alternating")
    for name, measured in rounds.items():
        cpu, rate = min(m[0] for m in measured), max(m[1] for m in measured)
        print(f"{name:14} {cpu:8.0f} CPU µs a call (minimum), {rate:8.0f} calls/s (maximum)")
    ours, bare = (min(m[0] for m in measured) for measured in rounds.values())
    print(f"ratio {ours / bare:.2f}; ledger ok: {audit['ok']}, {audit['transfers']} transfers")


if __name__ == "__main__":
    main()
