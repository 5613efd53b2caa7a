"""A server program as a child of this process: a port that stays, data in one folder, an orderly start and end."""

import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenhub.processes import is_in, processes_in, send

LOOPBACK = "127.0.0.1"
#: crash recovery replays at most `max_wal_size`; then the server answers
READY_SECONDS = 120
#: how long a server that exits at once is started again: orphans of an earlier life need a moment to notice
RETRY_SECONDS = 10
STOP_SECONDS = 20
LOG_BYTES_MAX = 10_000_000

#: nothing of the caller's PG*, locale or time zone reaches the servers (macOS refuses to start without LC_ALL)
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

Sleep = Callable[[float], object]


class ServerError(Exception):
    """A server cannot be started; the message is one line for the operator."""


def free_port() -> int:
    """Below the range from which the system takes ports for outgoing connections: those come and go by themselves."""
    while True:
        port = random.randrange(15_000, 32_000)  # noqa: S311 - no secret
        if _is_free(port):
            return port


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by the owner alone."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class Server(ABC):
    """What both servers share: a port that stays, one child in a session of its own, a log file, an orderly end."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, folder: Path, *, port: int = 0, durable: bool = True, log: Path | None = None) -> None:
        """``port`` 0: the one used last time if it is free, else any. Not ``durable``: fast, for tests."""
        self.folder = folder.resolve()  # as /proc shows it
        self.durable = durable
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._fixed_port = port
        self._log = log or self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, sleep: Sleep = time.sleep) -> None:
        """Returns when the server answers. ``sleep`` is how the caller waits in between; it may raise to give up."""
        self._make_folder()
        self._end_leftovers(sleep)
        try:
            self._start(sleep)
        except BaseException:
            self.kill()
            raise
        self._fixed_port = self.port  # a later start must be found under the address that was given out
        (self.folder / "port").write_text(str(self.port))

    def _start(self, sleep: Sleep) -> None:
        self._prepare()
        started = time.monotonic()
        while True:
            self.port = self._choose_port()
            self.process = self._spawn()
            while self.alive() and not self._answers():
                if time.monotonic() - started > READY_SECONDS:
                    raise ServerError(f"{self.name} does not answer after {READY_SECONDS} s; see {self._log}")
                sleep(0.1)
            if self.alive():
                return self._make_ready()
            if time.monotonic() - started > RETRY_SECONDS:
                raise ServerError(f"{self.name} does not start ({self._last_log_line()}); see {self._log}")
            sleep(0.5)

    def stop(self) -> None:
        """Orderly; what does not end within ``STOP_SECONDS`` is killed."""
        if self.process is not None and self.alive():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """``kill -9`` of the server and of all its children; returns when they are gone."""
        if self.process is None:
            return
        for pid in [self.process.pid, *processes_in(self._home)]:
            send(pid, signal.SIGKILL)
        self.process.wait()
        while processes_in(self._home):
            time.sleep(0.01)
        self.process = None

    # -------------------------------------------------- what each server says about itself
    @property
    @abstractmethod
    def _home(self) -> Path:
        """The server's working directory, by which its processes are known."""

    @abstractmethod
    def _leftover_pid(self) -> int | None: ...

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _prepare(self) -> None:  # noqa: B027 - not every server needs it
        """Before each start."""

    def _make_ready(self) -> None:  # noqa: B027
        """As soon as it answers."""

    # -------------------------------------------------- steps
    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._log.exists() and self._log.stat().st_size > LOG_BYTES_MAX:
                self._log.replace(self._log.with_suffix(".old.log"))
        except OSError as e:
            raise ServerError(f"{self.folder} cannot be used: {e.strerror}") from e

    def _end_leftovers(self, sleep: Sleep) -> None:
        """A server of this very folder that outlived whoever started it."""
        pid = self._leftover_pid()
        if pid is not None and is_in(pid, self._home):
            send(pid, self.stop_signal)
            patience = time.monotonic() + STOP_SECONDS
            while is_in(pid, self._home) and time.monotonic() < patience:
                sleep(0.05)
        for pid in processes_in(self._home):
            send(pid, signal.SIGKILL)

    def _choose_port(self) -> int:
        if self._fixed_port:
            return self._fixed_port
        try:
            last = int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return free_port()
        return last if _is_free(last) else free_port()

    def _popen(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                **options,
            )

    def _last_log_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return (fatal or lines or ["no output"])[-1].strip()


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((LOOPBACK, port))
        except (OSError, OverflowError):
            return False
        return True


def from_wheel(package: str, pattern: str) -> Path:
    spec = find_spec(package)  # without importing it
    for location in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(location).glob(pattern):
            return path
    raise ServerError(
        f"{package} has no build for this platform: give DATABASE_URL and REDIS_URL of servers of your own"
    )


def first_number(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
