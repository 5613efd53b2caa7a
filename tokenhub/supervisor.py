"""`make run`: the whole product as children of one process, until it is told to stop.

``python -m tokenhub.supervisor`` is also how production starts it; there ``DATABASE_URL`` and ``REDIS_URL`` name the
servers, here they are started from wheels where they are not given. The supervisor itself never loads Django.
"""

import fcntl
import http.client
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from functools import partial
from typing import IO

from django.core.exceptions import ImproperlyConfigured

from tokenhub import environment
from tokenhub.children import Child, Signals, log, python, stop_together
from tokenhub.embedded import Postgres, Valkey
from tokenhub.logs import LineFormatter
from tokenhub.servers import Server, ServerError, free_port, write_private

READY_SECONDS = 60
#: after an unclean end, the last of the earlier children may still be closing the socket
PORT_PATIENCE_SECONDS = 10
#: a deleted checkout is noticed within this
DATA_DIR_CHECK_SECONDS = 2
BACKLOG = 2048
WEB_GRACE_SECONDS, WORKER_GRACE_SECONDS, SANDBOX_GRACE_SECONDS, SERVER_GRACE_SECONDS = 15, 10, 5, 20
EXAMPLE_MODEL = "openai/gpt-4.1"
CELERY = ["-m", "celery", "--quiet", "-A", "tokenhub"]


class Refused(Exception):
    """It cannot start; the message is one line for whoever started it."""


class StopRequested(Exception):
    pass


class Supervisor:
    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self.dev = environment.flag("TOKENHUB_DEV", False)
        self.host = environment.text("HOST", "127.0.0.1")
        self.port = environment.number("PORT", 8000, least=1)
        self.web_processes = environment.number("WEB_CONCURRENCY", 1 if self.dev else (os.cpu_count() or 1), least=1)
        self.sandbox = environment.flag("TOKENHUB_SANDBOX", self.dev)
        self.data_dir = environment.data_dir()
        # said aloud, so that children do not guess it from files that an earlier life left behind
        self.env = os.environ | {
            "TOKENHUB_DEV": str(int(self.dev)),
            "TOKENHUB_DATA_DIR": str(self.data_dir),
            "DJANGO_SETTINGS_MODULE": "tokenhub.settings",
        }
        #: in the order of their start; each group is stopped together, the last one first
        self.groups: list[list[Child]] = []
        self.addresses: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._listener: socket.socket | None = None

    # ---------------------------------------------------------------- the story
    def start(self) -> None:
        self._check_settings()
        self._take_data_dir()
        self._listen()
        self._make_secret_key()
        self._start_servers()
        self._prepare_database()
        self._start_product()
        first_run = self._first_run()
        self._wait_until_ready()
        self._announce(first_run)

    def watch(self) -> None:
        """Restarts whoever dies, until a signal comes or the data dir is gone."""
        while True:
            times = [child.restart_at for child in self._children() if child.restart_at is not None]
            self.wait(min([DATA_DIR_CHECK_SECONDS, *(at - time.monotonic() for at in times)]))
            self._restart_the_dead()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()  # the children's copies go with them: from then on a client is refused, not kept waiting
        if self.groups:
            log.info("stopping")
            while self.groups:
                stop_together(self.groups.pop(), self.signals)
            log.info("stopped")
        if self._lock is not None:
            if self._still_ours(self._lock):  # and not a new one in its place
                (self.data_dir / environment.SERVERS_FILE).unlink(missing_ok=True)
            self._lock.close()

    def wait(self, seconds: float) -> None:
        """Every wait goes through here, so that each can be cut short."""
        self.signals.wait(seconds)
        if self.signals.stop_requests:
            raise StopRequested
        if self._lock is not None and not self._still_ours(self._lock):
            log.error("the data dir is gone: %s", self.data_dir)
            raise StopRequested

    # ---------------------------------------------------------------- before anything is started
    def _check_settings(self) -> None:
        check = subprocess.run(
            [sys.executable, "-m", "tokenhub.preflight"],
            env=self.env, cwd=environment.ROOT, capture_output=True, text=True, check=False, start_new_session=True,
        )  # fmt: skip
        self.wait(0)
        if check.returncode != 0:
            raise Refused(check.stderr.strip())

    def _take_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)  # PostgreSQL may be another user
            lock = (self.data_dir / "lock").open("a+")
        except OSError as e:
            raise Refused(f"TOKENHUB_DATA_DIR {self.data_dir} is not writable: {e.strerror}") from e
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            lock.seek(0)
            pid = lock.read().strip()
            raise Refused(
                f"already running as pid {pid} on {self.data_dir}: stop it first, or set TOKENHUB_DATA_DIR"
            ) from e
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _still_ours(self, lock: IO[str]) -> bool:
        try:
            return os.path.samestat((self.data_dir / "lock").stat(), os.fstat(lock.fileno()))
        except OSError:
            return False

    def _listen(self) -> None:
        crashed = (self.data_dir / environment.SERVERS_FILE).exists()
        patience = time.monotonic() + (PORT_PATIENCE_SECONDS if crashed else 0)
        while True:
            try:
                family, kind, _, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
                listener = socket.socket(family, kind)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(BACKLOG)
            except (OSError, OverflowError) as e:
                if isinstance(e, OSError) and e.errno == EADDRINUSE and time.monotonic() < patience:
                    self.wait(0.1)
                    continue
                raise Refused(self._why_not_listening(e)) from e
            self._listener = listener
            return

    def _why_not_listening(self, error: Exception) -> str:
        match getattr(error, "errno", None):
            case code if code == EADDRINUSE:
                return (
                    f"port {self.port} is taken: stop what listens there, or choose another with PORT={self.port + 1}"
                )
            case code if code == EACCES:
                return f"port {self.port} needs privileges: choose one above 1023 with PORT=8000"
            case code if code == EADDRNOTAVAIL:
                return f"HOST {self.host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all"
        return f"cannot listen on HOST={self.host} PORT={self.port}: {error}"

    def _make_secret_key(self) -> None:
        file = self.data_dir / environment.SECRET_KEY_FILE
        if self.dev and not environment.text("TOKENHUB_SECRET_KEY") and not file.exists():
            write_private(file, secrets.token_urlsafe(48))

    # ---------------------------------------------------------------- servers
    def _start_servers(self) -> None:
        addresses: dict[str, str] = {}
        logs = self.data_dir / "log"
        if not environment.text("DATABASE_URL"):
            postgres = Postgres(self.data_dir / "postgres", log=logs / "postgres.log")
            self._start_group([self._server(postgres)])
            addresses |= {"database_url": postgres.database_url, "database_owner_url": postgres.owner_url}
        if not environment.text("REDIS_URL"):
            valkey = Valkey(self.data_dir / "valkey", log=logs / "valkey.log")
            self._start_group([self._server(valkey)])
            addresses |= {"redis_url": valkey.url}
        self.env |= {name.upper(): address for name, address in addresses.items()}
        self._publish(addresses)

    def _publish(self, addresses: dict[str, str]) -> None:
        """Tells management commands beside us where our servers are."""
        self.addresses |= addresses
        if not self.addresses:
            return
        try:
            write_private(self.data_dir / environment.SERVERS_FILE, json.dumps(self.addresses))
        except FileNotFoundError:
            self.wait(0)  # which says so if the data dir is gone
            raise

    def _server(self, server: Server) -> Child:
        def launch() -> "subprocess.Popen[bytes]":
            server.start(self.wait)
            assert server.process is not None  # noqa: S101 - started
            return server.process

        return Child(
            server.name, launch, stop_signal=server.stop_signal, grace_seconds=SERVER_GRACE_SECONDS, kill=server.kill
        )

    def _start_group(self, group: list[Child]) -> None:
        self.groups.append(group)
        for child in group:
            child.start()

    # ---------------------------------------------------------------- the database's content
    def _prepare_database(self) -> None:
        # a database of our own, under our lock: whatever an earlier life left open belongs to nobody
        alone = [] if environment.text("DATABASE_URL") else ["--alone"]
        self._manage("prepare", *alone)

    def _manage(self, command: str, *options: str) -> str:
        """Runs a management command to its end and returns its output."""
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            step = python(["manage.py", command, *options], self.env, stdout=output)
            try:
                while step.poll() is None:
                    self.wait(DATA_DIR_CHECK_SECONDS)
            finally:
                step.kill()
            if step.wait() != 0:
                raise Refused(f"`manage.py {command}` failed: see above")
            log.info("%s done in %.1f s", command, time.monotonic() - started)
            output.seek(0)
            return output.read().decode()

    # ---------------------------------------------------------------- the product
    def _start_product(self) -> None:
        # the owner's role is for migrations alone: whoever serves does not get it
        self.env.pop("DATABASE_OWNER_URL", None)
        if self.sandbox:
            port = str(free_port())
            self.env["TOKENHUB_SANDBOX_URL"] = f"http://127.0.0.1:{port}"
            self._start_group([self._sandbox(port)])
        if self.takes_test_payments:
            self._start_group([self._stripe_sandbox()])
        self._start_group([self._worker(), self._scheduler()])
        self._start_group([self._web(number) for number in range(1, self.web_processes + 1)])

    def _sandbox(self, port: str) -> Child:
        command = ["-m", "gateway.sandbox.server", "--host", "127.0.0.1", "--port", port]
        return Child("sandbox", partial(python, command, self.env), grace_seconds=SANDBOX_GRACE_SECONDS)

    @property
    def takes_test_payments(self) -> bool:
        return self.sandbox and not environment.text("STRIPE_SECRET_KEY")

    def _stripe_sandbox(self) -> Child:
        """Payments without Stripe: its stand-in, which tells us what was paid through the same signed webhook."""
        port = str(free_port())
        host = "[::1]" if ":" in self.host else "127.0.0.1"
        self.env |= {
            "TOKENHUB_STRIPE_SANDBOX_URL": f"http://127.0.0.1:{port}",
            "TOKENHUB_STRIPE_SANDBOX_SECRET": f"whsec_{secrets.token_urlsafe(24)}",
            "TOKENHUB_STRIPE_SANDBOX_FILE": str(self.data_dir / "stripe-sandbox.sqlite3"),
            "TOKENHUB_STRIPE_SANDBOX_WEBHOOK_URL": f"http://{host}:{self.port}/billing/stripe/webhook",
            "TOKENHUB_STRIPE_SANDBOX_PAGE_URL": f"{self._public_url()}/billing/test-checkout",
        }
        if self.addresses:
            self._publish({"stripe_sandbox_url": self.env["TOKENHUB_STRIPE_SANDBOX_URL"]})
        command = ["-m", "billing.stripe_sandbox.server", "--host", "127.0.0.1", "--port", port]
        return Child("stripe-sandbox", partial(python, command, self.env), grace_seconds=SANDBOX_GRACE_SECONDS)

    def _worker(self) -> Child:
        command = [
            *CELERY, "worker", "--pool", "threads", "--concurrency", "4",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ]  # fmt: skip
        return Child("worker", partial(python, command, self.env), grace_seconds=WORKER_GRACE_SECONDS)

    def _scheduler(self) -> Child:
        """A child of its own: inside the worker its death would go unnoticed, and with it the sweeps would end."""
        command = [
            *CELERY,
            "beat",
            "--scheduler",
            "celery.beat:Scheduler",
            "--pidfile",
            "",
        ]  # in memory: nothing to corrupt
        return Child("scheduler", partial(python, command, self.env), grace_seconds=WORKER_GRACE_SECONDS)

    def _web(self, number: int) -> Child:
        assert self._listener is not None  # noqa: S101 - opened before any child
        descriptor = self._listener.fileno()
        command = ["-m", "tokenhub.web", "--fd", str(descriptor)]
        launch = partial(python, command, self.env, pass_fds=[descriptor])
        return Child(f"web-{number}", launch, grace_seconds=WEB_GRACE_SECONDS)

    def _wait_until_ready(self) -> None:
        patience = time.monotonic() + READY_SECONDS
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        addresses = [(host, self.port, "/readyz")]
        if self.sandbox:
            sandbox_port = int(self.env["TOKENHUB_SANDBOX_URL"].rpartition(":")[2])
            addresses.append(("127.0.0.1", sandbox_port, "/healthz"))
        if self.takes_test_payments:
            addresses.append(("127.0.0.1", int(self.env["TOKENHUB_STRIPE_SANDBOX_URL"].rpartition(":")[2]), "/healthz"))
        while True:
            ended = [child.name for child in self._children() if not child.alive()]
            if ended:
                raise Refused(f"{', '.join(ended)} ended during the start: see above")
            if all(_answers(*address) for address in addresses):
                return
            if time.monotonic() > patience:
                raise Refused(f"no answer from http://{host}:{self.port}/readyz within {READY_SECONDS} s: see above")
            self.wait(0.1)

    def _first_run(self) -> dict[str, str]:
        """A sign-in and a key, in development; made while the web processes are loading."""
        return dict(json.loads(self._manage("first_run"))) if self.dev else {}

    def _announce(self, first_run: dict[str, str]) -> None:
        url = self._public_url()
        log.info("ready url=%s", url)
        if first_run:
            sys.stdout.write(_welcome(url, **first_run))
            sys.stdout.flush()

    def _public_url(self) -> str:
        return environment.text("TOKENHUB_PUBLIC_URL", f"http://localhost:{self.port}").rstrip("/")

    # ---------------------------------------------------------------- keeping it alive
    def _children(self) -> list[Child]:
        return [child for group in self.groups for child in group]

    def _restart_the_dead(self) -> None:
        for child in self._children():
            if child.process is not None and not child.alive():
                child.note_death()
        for child in self._children():
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                try:
                    child.start()
                except (ServerError, OSError) as e:
                    log.error("%s does not start: %s", child.name, e)
                    child.plan_restart()


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _welcome(url: str, email: str, password: str, api_key: str) -> str:
    return f"""
TokenHub is ready at {url}
  Sign in   {email}  {password or "(the password that you chose)"}
  API key   {api_key}
  Try it:

curl {url}/api/v1/chat/completions \\
  -H "Authorization: Bearer {api_key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{EXAMPLE_MODEL}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
"""


def main() -> int:
    _log_to_stderr()
    refusal = ""
    with Signals() as signals:
        try:
            supervisor = Supervisor(signals)
        except ImproperlyConfigured as e:
            return _refuse(str(e))
        try:
            supervisor.start()
            supervisor.watch()
        except StopRequested:
            pass
        except (Refused, ServerError) as e:
            refusal = str(e)
        finally:
            supervisor.stop()
    return _refuse(refusal) if refusal else 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _refuse(reason: str) -> int:
    sys.stderr.write(f"tokenhub: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
