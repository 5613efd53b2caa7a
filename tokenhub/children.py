"""Children that are kept alive: what starts each, how it is asked to end, and when it may start again."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from tokenhub import environment
from tokenhub.processes import tied_to_us

log = logging.getLogger("tokenhub.supervisor")

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 5.0
#: alive for so long: the next death is a new story
SETTLED_SECONDS = 30
HURRIED_SECONDS = 1


class Signals:
    """Signals as something to wait for. A death of a child, a wish to stop: whatever comes ends the wait, nothing is lost."""

    def __init__(self) -> None:
        self.stop_requests = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # the wake-up is all it is for
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1

    def wait(self, seconds: float) -> None:
        """Until a signal comes, at most ``seconds``."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            while self._reader.recv(4096) == 4096:
                pass


class Child:
    def __init__(
        self,
        name: str,
        launch: Callable[[], "subprocess.Popen[bytes]"],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float,
        kill: Callable[[], None] | None = None,
    ) -> None:
        """``launch`` starts it anew each time; ``kill`` ends all of it at once (default: its session)."""
        self.name = name
        self.grace_seconds = grace_seconds
        self.restart_at: float | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._launch = launch
        self._stop_signal = stop_signal
        self._kill = kill or self._kill_session
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._started_at = 0.0

    def start(self) -> None:
        self.restart_at = None
        self._started_at = time.monotonic()
        self.process = self._launch()
        log.info("%s started pid=%d", self.name, self.process.pid)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def note_death(self) -> None:
        """Plans the next start: at once after a quiet life, later and later after short ones."""
        if self.process is None:
            return
        log.warning("%s died pid=%d exit=%d", self.name, self.process.pid, self.process.returncode)
        self.kill()
        self.process = None
        if time.monotonic() - self._started_at > SETTLED_SECONDS:
            self._delay_seconds = FIRST_DELAY_SECONDS
        self.plan_restart()

    def plan_restart(self) -> None:
        self.restart_at = time.monotonic() + self._delay_seconds
        self._delay_seconds = min(2 * self._delay_seconds, LONGEST_DELAY_SECONDS)

    def ask_to_stop(self) -> None:
        if self.process is not None and self.alive():
            self.process.send_signal(self._stop_signal)

    def kill(self) -> None:
        """What is left of it and of its own children; nothing, after an orderly end."""
        self._kill()

    def _kill_session(self) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()


def python(arguments: Sequence[str], env: Mapping[str, str], **options: Any) -> "subprocess.Popen[bytes]":
    """Python with these arguments, in a session of its own so that Ctrl-C reaches the supervisor alone."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=env,
        cwd=environment.ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=tied_to_us(signal.SIGTERM),
        **options,
    )


def stop_together(children: Iterable[Child], signals: Signals) -> None:
    """Asks all, waits as long as the most patient, kills what remains. A second wish to stop shortens the wait."""
    children = list(children)
    for child in children:
        child.ask_to_stop()
    started = time.monotonic()
    while alive := [child for child in children if child.alive()]:
        grace = HURRIED_SECONDS if signals.stop_requests > 1 else max(child.grace_seconds for child in alive)
        left = started + grace - time.monotonic()
        if left <= 0:
            log.warning("killing %s", ", ".join(child.name for child in alive))
            break
        signals.wait(left)
    for child in children:
        child.kill()
