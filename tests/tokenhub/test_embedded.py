"""The servers from wheels: real, and in order again after every kind of end. Each test has servers of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import errors

from tokenhub.embedded import Postgres, Valkey
from tokenhub.processes import processes_in
from tokenhub.servers import ServerError, free_port

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.kill()


def test_the_tests_run_on_a_real_postgresql_18(app_db: psycopg.Connection) -> None:
    [(version, role)] = app_db.execute("SELECT version(), current_user").fetchall()
    assert version.startswith("PostgreSQL 18.")
    assert role == "tokenhub_app"


def test_the_tests_run_on_a_real_valkey() -> None:
    with redis.from_url(os.environ["REDIS_URL"]) as client:
        assert client.info("server")["server_name"] == "valkey"
        assert client.eval("return redis.call('INCRBY', KEYS[1], 41) + 1", 1, "test:lua") == 42
        client.delete("test:lua")


def test_postgres_keeps_what_was_committed_through_kill_9(postgres: Postgres) -> None:
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    address = postgres.owner_url

    postgres.kill()
    postgres.start()

    assert postgres.owner_url == address  # clients find it where it was
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(1,)]


def test_postgres_starts_although_a_stranger_has_the_pid_of_its_lock_file(postgres: Postgres) -> None:
    postgres.kill()
    lock = postgres.folder / "data" / "postmaster.pid"
    _, _, rest = lock.read_text().partition("\n")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lock.write_text(f"{stranger.pid}\n{rest}")
        postgres.start()
        assert postgres.alive()
        assert stranger.poll() is None  # and does not harm the stranger
        stranger.kill()


@linux_only
def test_postgres_starts_while_backends_of_a_killed_postmaster_still_live(postgres: Postgres) -> None:
    assert postgres.process is not None
    with psycopg.connect(postgres.superuser_url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # it cannot notice
        postgres.process.kill()
        postgres.process.wait()
        second = Postgres(postgres.folder)
        second.start()
        try:
            assert backend not in processes_in(postgres.folder / "data")
        finally:
            second.kill()


def test_a_second_life_takes_over_from_servers_that_were_left_running(tmp_path: Path) -> None:
    for server_class in (Postgres, Valkey):
        abandoned, second = server_class(tmp_path / server_class.name), server_class(tmp_path / server_class.name)
        abandoned.start()
        try:
            second.start()
            assert not abandoned.alive()
            assert second.alive()
        finally:
            second.kill()


def test_valkey_keeps_its_data_through_an_orderly_end(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey")
    server.start()
    with redis.from_url(server.url) as client:
        client.set("kept", "1")
    server.stop()
    server.start()
    try:
        with redis.from_url(server.url) as client:
            assert client.get("kept") == b"1"
    finally:
        server.kill()


def test_the_applications_role_can_use_and_nothing_else(postgres: Postgres) -> None:
    refused = [
        "CREATE TABLE mine (value int)",
        "CREATE TEMP TABLE mine (value int)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "SET ROLE tokenhub_owner",
        "SET ROLE postgres",
        "SET session_replication_role = replica",  # would switch triggers off
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT rolpassword FROM pg_authid",
    ]
    with psycopg.connect(postgres.database_url, autocommit=True) as connection:
        for statement in refused:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        timeouts = [
            connection.execute(f"SHOW {name}".encode()).fetchone() for name in ("lock_timeout", "statement_timeout")
        ]
    assert timeouts == [("5s",), ("30s",)]


def test_nobody_enters_without_the_password(postgres: Postgres) -> None:
    for role in ("postgres", "tokenhub_owner", "tokenhub_app"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://{role}:guess@127.0.0.1:{postgres.port}/tokenhub")
    assert (postgres.folder / "passwords.json").stat().st_mode & 0o777 == 0o600


def test_a_taken_port_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenhub.servers.RETRY_SECONDS", 0)
    first = Valkey(tmp_path / "first")
    first.start()
    try:
        with pytest.raises(ServerError, match="valkey does not start") as refusal:
            Valkey(tmp_path / "second", port=first.port).start()
        assert "\n" not in str(refusal.value)
    finally:
        first.kill()


def test_another_major_versions_data_is_left_alone(postgres: Postgres) -> None:
    postgres.stop()
    (postgres.folder / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match="was written by PostgreSQL 16, this is 18"):
        postgres.start()


@linux_only
def test_servers_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from tokenhub.embedded import Postgres, Valkey
servers = [Postgres(Path(sys.argv[1]) / "postgres"), Valkey(Path(sys.argv[1]) / "valkey")]
for server in servers: server.start()
print("started", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        homes = [tmp_path / "postgres" / "data", tmp_path / "valkey"]
        assert all(processes_in(home) for home in homes)
        starter.kill()
    eventually(lambda: not any(processes_in(home) for home in homes))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only Linux's root needs it")
def test_root_without_user_namespaces_runs_postgres_as_nobody() -> None:
    """As in a container whose profile forbids them; here a namespace of all ids forbids further ones."""
    folder = Path(f"/tmp/tokenhub-{free_port()}")  # noqa: S108 - pytest's own folders are closed to others
    inside = """
import os, sys
from pathlib import Path
from tokenhub.embedded import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
print(Path(f"/proc/{server.pid}").stat().st_uid, (Path(sys.argv[1]) / "data").stat().st_uid)
server.stop()
"""
    outside = """
import os, sys
from pathlib import Path
made, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.unshare(os.CLONE_NEWUSER)
    os.write(made[1], b".")
    os.read(mapped[0], 1)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
os.read(made[0], 1)
for name in ("uid_map", "gid_map"):
    Path(f"/proc/{child}/{name}").write_text("0 0 65536")
os.write(mapped[1], b".")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    try:
        run = subprocess.run(
            [sys.executable, "-c", outside, inside, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (run.stdout.split(), run.returncode) == (["65534", "65534"], 0), run.stderr
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def eventually(promise: Callable[[], bool], seconds: float = 20) -> None:
    """For what other processes do, and no event tells."""
    patience = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < patience
        time.sleep(0.05)
