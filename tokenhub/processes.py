"""Processes by their id: tying a child's life to ours, and knowing whose a process is. Imports nothing of ours."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def tied_to_us(death_signal: int, *, shown_as: int | None = None) -> Callable[[], None]:
    """A ``preexec_fn``: on Linux the child gets ``death_signal`` when the thread that starts it ends, however it ends.

    With ``shown_as`` the child sees our user id as that one, through a user namespace of one id: it takes itself for
    an ordinary user while no user is made and files keep their owner.
    """
    parent, user, group = os.getpid(), os.geteuid(), os.getegid()

    def before_exec() -> None:
        if shown_as is not None:
            os.unshare(os.CLONE_NEWUSER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{shown_as} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{shown_as} {group} 1")
        end_with(parent, death_signal)  # last: a change of credentials would undo it

    return before_exec


def end_with(parent: int, death_signal: int) -> None:
    """From now on, on Linux, the death of our parent sends us that signal."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it was faster
            os._exit(1)


def send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def is_in(pid: int, folder: Path) -> bool:
    """Whether that process lives and is one of this folder's: its pid alone may have been given to somebody else."""
    if sys.platform != "linux":
        command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return str(folder) in command.stdout
    process = Path(f"/proc/{pid}")
    try:
        return (process / "cwd").readlink() == folder
    except PermissionError:  # root in a container, without the power to trace other users' processes
        return process.exists() and str(folder).encode() in (process / "cmdline").read_bytes()
    except OSError:  # gone, or a zombie
        return False


def processes_in(folder: Path) -> list[int]:
    """Linux only; elsewhere the children of a dead server are left to notice by themselves (`RETRY_SECONDS`)."""
    pids = [int(it.name) for it in Path("/proc").glob("[0-9]*")] if sys.platform == "linux" else []
    return [pid for pid in pids if pid != os.getpid() and is_in(pid, folder)]
