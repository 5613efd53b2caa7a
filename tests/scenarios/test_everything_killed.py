"""`kill -9` of every process in the middle of twenty streams, then `make run` again: data kept, holds ended, ledger right."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests import servers
from tests.gateway.conftest import chat

STREAMS = 20
HOLDS_END_WITHIN_SECONDS = 60


class Run:
    """One `make run` of its own: own data dir, own PostgreSQL with fsync on, own port."""

    def __init__(self, folder: Path, port: int):
        self.url = f"http://127.0.0.1:{port}"
        foreign = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "TOKENHUB_SANDBOX_URL")
        self.env = {name: value for name, value in os.environ.items() if name not in foreign} | {
            "TOKENHUB_DEV": "1", "TOKENHUB_DATA_DIR": str(folder), "PORT": str(port), "TOKENHUB_SANDBOX_TOKENS_PER_SECOND": "20",
        }  # fmt: skip
        self.server: servers.Server | None = None

    def start(self) -> None:
        environment = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            self.server = servers.start("tokenhub.supervisor", [], url=self.url, probe="/readyz", env={})
        finally:
            os.environ.clear()
            os.environ.update(environment)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()

    def kill_everything(self) -> None:
        """Every process at once; none gets to say goodbye."""
        assert self.server is not None
        tree = _tree(self.server.process.pid)
        for pid in tree:  # so that no parent sees a child die and no child is missed
            _send(pid, signal.SIGSTOP)
        for pid in [*tree, *_tree(self.server.process.pid)]:
            _send(pid, signal.SIGKILL)
        self.server.process.wait()

    def manage(self, *command: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "manage.py", *command, "--json"],
            cwd=servers.ROOT,
            env=self.env,
            capture_output=True,
            text=True,
        )
        return done.returncode, json.loads(done.stdout)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # a backend of PostgreSQL may end between the look and the signal
        os.kill(pid, number)


def _tree(pid: int) -> list[int]:
    pids, todo = [], [pid]
    while todo:
        one = todo.pop()
        pids.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += map(int, children.read_text().split())
    return pids


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the process tree through /proc")
def test_kill_everything_in_the_middle_of_twenty_streams(tmp_path: Path) -> None:
    run = Run(tmp_path / "data", servers.free_port())
    run.start()
    try:
        _, account = run.manage("create_account", "--email", "mira@example.com", "--credit-usd", "5")
        headers = {"authorization": f"Bearer {account['api_key']}"}
        finished = httpx.post(f"{run.url}/v1/chat/completions", json=chat(), headers=headers, timeout=30).json()
        streams = [_open_stream(run.url, account["api_key"]) for _ in range(STREAMS)]
        _wait_for_checkpoints(run, headers)
        run.kill_everything()
        for stream in streams:
            stream.close()

        run.start()
        restarted = time.monotonic()
        after = _wait_until_nothing_is_held(run, headers)
        assert time.monotonic() - restarted < HOLDS_END_WITHIN_SECONDS

        assert after["total_credits"] == 5
        # the finished call is as it was, and each broken one cost what its last checkpoint had counted
        cost = httpx.get(f"{run.url}/v1/generation", params={"id": finished["id"]}, headers=headers).json()["data"][
            "total_cost"
        ]
        assert cost == finished["usage"]["cost"]
        assert cost < after["total_usage"] < 5
        code, audit = run.manage("check_ledger")
        assert (code, audit["ok"], audit["open_holds"], audit["violations"]) == (0, True, 0, [])
        again = httpx.post(f"{run.url}/v1/chat/completions", json=chat(), headers=headers, timeout=30)
        assert again.status_code == 200
    finally:
        run.stop()


def _open_stream(url: str, key: str) -> socket.socket:
    """A stream that has begun; the socket stays open."""
    body = orjson.dumps(chat("[[sandbox: tokens 2000]] Tell me about rivers", stream=True, max_tokens=2_000))
    host, port = url.removeprefix("http://").split(":")
    s = socket.create_connection((host, int(port)), timeout=30)
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: %b\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % (host.encode(), key.encode(), len(body)) + body
    )
    seen = b""
    while seen.count(b"data: ") < 3:
        seen += s.recv(65_536)
    assert b"200 OK" in seen
    return s


def _wait_for_checkpoints(run: Run, headers: dict[str, str]) -> None:
    """Until every open hold has a checkpoint, read through the database that the run itself uses."""
    import psycopg

    url = json.loads((Path(run.env["TOKENHUB_DATA_DIR"]) / "servers.json").read_text())["database_url"]
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE checkpoint_nanos > 0) FROM hold WHERE closed_at IS NULL"
            ).fetchone()
            if row == (STREAMS, STREAMS):
                return
            time.sleep(0.1)
    raise AssertionError(f"open holds and checkpoints: {row}")


def _wait_until_nothing_is_held(run: Run, headers: dict[str, str]) -> dict[str, Any]:
    deadline = time.monotonic() + HOLDS_END_WITHIN_SECONDS + 30
    while time.monotonic() < deadline:
        credits: dict[str, Any] = httpx.get(f"{run.url}/v1/credits", headers=headers, timeout=30).json()["data"]
        if credits["held"] == 0:
            return credits
        time.sleep(0.5)
    raise AssertionError(f"still held: {credits}")
