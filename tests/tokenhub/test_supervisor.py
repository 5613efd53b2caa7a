"""`make run` from outside: the whole product as a stranger starts it, on a free port and a data dir of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import httpx
import pytest

from tokenhub.environment import ROOT
from tokenhub.servers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

#: of the tests' own servers and settings, where a supervisor makes its own; and what makes a start take twice as long
NOT_INHERITED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE")


class Supervisor:
    """A running supervisor and what it says, line by line."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{environment.setdefault('PORT', str(free_port()))}"
        self.output = ""
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tokenhub.supervisor"],
            env=inherited | {"TOKENHUB_DEV": "1", "TOKENHUB_DATA_DIR": str(data_dir)} | environment,
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def says(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Waits for a line, from where the last wait ended."""
        patience = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, patience - time.monotonic()))
            except Empty:
                raise AssertionError(f"did not say {pattern!r}, but:\n{self.output}") from None
            self.output += line
            if match := re.search(pattern, line):
                return match

    def everything(self) -> str:
        """All that it said in its life."""
        self.process.wait()
        self._reader.join()
        return self.output + "".join(self._lines.queue)

    def until_ready(self) -> str:
        """The key that it prints at the end."""
        key = self.says(r"API key +(th-\w+)").group(1)
        self.says(r'^  -d .*"content"')
        return key

    def chat(self, key: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/api/v1/chat/completions",
            headers={"Authorization": f"Bearer {key}"},
            json={"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "Hello!"}]},
            timeout=30,
        )

    def processes(self) -> list[int]:
        """All that carry this data dir in their arguments or their environment."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                about = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                continue
            if str(self.data_dir).encode() in about and alive:
                found.append(int(folder.name))
        return found

    def end(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "var"


@pytest.fixture(scope="module")
def running(data_dir: Path) -> Iterator[tuple[Supervisor, str]]:
    supervisor = Supervisor(data_dir)
    try:
        yield supervisor, supervisor.until_ready()
    finally:
        supervisor.end()


def refusal(data_dir: Path, **environment: str) -> str:
    """All that it says when it does not start."""
    supervisor = Supervisor(data_dir, **environment)
    assert supervisor.process.wait(60) == 1
    assert supervisor.processes() == []
    return supervisor.everything()


# ---------------------------------------------------------------- it refuses in one line


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(tmp_path, PORT=str(port))
    assert line == f"tokenhub: port {port} is taken: stop what listens there, or choose another with PORT={port + 1}\n"


def test_a_data_dir_that_cannot_be_written_is_named() -> None:
    line = refusal(Path("/dev/null/data"))
    assert line == "tokenhub: TOKENHUB_DATA_DIR /dev/null/data is not writable: Not a directory\n"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PORT": "eight"}, "PORT is 'eight': use a whole number of 1 or more"),
        ({"TOKENHUB_SANDBOX": "maybe"}, "TOKENHUB_SANDBOX is 'maybe': use 1 or 0"),
        ({"STRIPE_SECRET_KEY": "sk_test_x"}, "STRIPE_SECRET_KEY without STRIPE_WEBHOOK_SECRET"),
        (
            {"TOKENHUB_DEV": "0", "TOKENHUB_SECRET_KEY": "not-a-default-0123456789-abcdefghij"},
            "DATABASE_URL is not set",
        ),
    ],
)
def test_settings_that_may_not_serve_are_refused_before_anything_starts(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    line = refusal(tmp_path / "var", **environment)
    assert line.startswith("tokenhub: ")
    assert says in line
    assert line.count("\n") == 1
    assert not (tmp_path / "var").exists()


# ---------------------------------------------------------------- it serves, and keeps serving


def test_the_printed_key_works_at_once(running: tuple[Supervisor, str]) -> None:
    supervisor, key = running
    answer = supervisor.chat(key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]


def test_a_second_one_on_the_same_data_dir_is_refused(running: tuple[Supervisor, str], data_dir: Path) -> None:
    supervisor, _key = running
    second = Supervisor(data_dir)
    assert second.process.wait(60) == 1
    assert re.fullmatch(rf"tokenhub: already running as pid {supervisor.process.pid} on .*\n", second.everything())


def test_killed_children_are_started_again_and_service_goes_on(running: tuple[Supervisor, str]) -> None:
    supervisor, key = running
    pids = dict(re.findall(r"(\S+) started pid=(\d+)", supervisor.output))
    assert set(pids) == {"postgres", "valkey", "sandbox", "stripe-sandbox", "worker", "scheduler", "web-1"}
    for pid in pids.values():
        os.kill(int(pid), signal.SIGKILL)
    died = {supervisor.says(r"(\S+) died pid=\d+ exit=-9").group(1) for _ in pids}
    started = {supervisor.says(r"(\S+) started pid=\d+").group(1) for _ in pids}
    assert died == started == set(pids)
    patience = time.monotonic() + 30
    while (answer := attempt(supervisor, key)) != 200:
        assert time.monotonic() < patience, answer


def attempt(supervisor: Supervisor, key: str) -> int | str:
    try:
        return supervisor.chat(key).status_code
    except httpx.HTTPError as e:
        return str(e)


def test_all_data_and_the_key_survive_kill_9_of_everything(running: tuple[Supervisor, str], data_dir: Path) -> None:
    killed, key = running
    balance = httpx.get(f"{killed.url}/api/v1/credits", headers={"Authorization": f"Bearer {key}"}).json()
    killed.end()
    second = Supervisor(data_dir)
    try:
        assert second.until_ready() == key
        assert httpx.get(f"{second.url}/api/v1/credits", headers={"Authorization": f"Bearer {key}"}).json() == balance
        for file in ("first_run.json", "secret_key", "servers.json"):
            assert (data_dir / file).stat().st_mode & 0o777 == 0o600

        second.process.send_signal(signal.SIGTERM)

        assert second.process.wait(30) == 0
        assert second.processes() == []
        assert not (data_dir / "servers.json").exists()
    finally:
        second.end()


def test_it_ends_by_itself_when_its_data_dir_is_deleted(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    supervisor = Supervisor(data_dir)
    try:
        supervisor.says("prepare done")
        data_dir.rename(tmp_path / "elsewhere")
        supervisor.says("the data dir is gone")
        assert supervisor.process.wait(60) == 0
        assert supervisor.processes() == []
    finally:
        supervisor.end()
