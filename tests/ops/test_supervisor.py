"""The services under the real supervisor: started, killed, restarted, stopped, and what a crash leaves is ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from ops import pids
from ops.data import ROOT, DataDir
from ops.environment import free_ports, given, without_settings
from ops.postgres import Postgres, check, wait_until_ready
from ops.problem import Problem
from ops.supervisor import Stack

pytestmark = pytest.mark.crash
SERVICES = ("postgres", "valkey")


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    environ = {**without_settings(), "SONDE_PORT": str(free_ports(1)[0])}
    with Stack(DataDir(folder / "data"), environ, SERVICES) as stack:
        stack.start()
        yield stack


def living_pids(stack: Stack) -> list[str]:
    return [path.name for path in (stack.data / "pids").iterdir() if pids.living(path)]


def test_killed_services_come_back_with_what_was_written(stack: Stack) -> None:
    database, broker = given(stack.env, "DATABASE_URL"), redis.Redis.from_url(given(stack.env, "REDIS_URL"))
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('kept')")
    broker.xadd("log", {"word": "kept"})
    for name in SERVICES:
        stack.wait_restarted(name, stack.kill(name))
    stack.wait_for_services()
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("kept",)]
    assert broker.xlen("log") == 1


def test_role_is_no_superuser_and_strangers_do_not_come_in(stack: Stack) -> None:
    url = given(stack.env, "DATABASE_URL")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False, False)
    for stranger in (
        url.replace(stack.data.secret("database_password"), "wrong"),
        url.replace("//sonde:", "//postgres:"),
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(stranger)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(given(stack.env, "REDIS_URL").replace(stack.data.secret("broker_password"), "x")).ping()


def test_stop_leaves_no_process_and_a_restart_finds_its_rows(stack: Stack) -> None:
    with psycopg.connect(given(stack.env, "DATABASE_URL")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    assert set(living_pids(stack)) == {"supervisord", *SERVICES}
    postgres_pid = stack.pid("postgres")
    stack.stop()
    assert living_pids(stack) == []
    assert pids.began(postgres_pid) is None
    assert "database system is shut down" in (stack.data / "logs" / "postgres.log").read_text()
    with Stack(stack.data, without_settings(), SERVICES) as again:
        again.start()
        with psycopg.connect(given(again.env, "DATABASE_URL")) as connection:
            assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_orphans_of_a_killed_supervisor_are_ended_by_the_next_start(stack: Stack) -> None:
    assert stack._supervisord is not None
    stack._supervisord.kill()
    stack._supervisord.wait()
    orphans = {name: stack.pid(name) for name in SERVICES}
    assert all(orphans.values())  # they do outlive it
    stack.data.release()
    with Stack(stack.data, without_settings(), SERVICES) as again:
        again.start()
        assert all(pids.began(pid) is None for pid in orphans.values())
        assert all(again.pid(name) not in {0, orphans[name]} for name in SERVICES)


def test_everything_of_a_killed_make_run_is_ended_by_the_next_start(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ops.data import DataDir; from ops.supervisor import Stack\n"
        f"Stack(DataDir(Path(sys.argv[1])), programs={SERVICES!r}).start(); print('up', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", code, str(folder / "data")]
    with subprocess.Popen(argv, cwd=ROOT, env=without_settings(), stdout=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stdout.readline() == b"up\n"
        run.kill()
    data = DataDir(folder / "data")
    left = {path.name: pids.living(path) for path in (data / "pids").iterdir()}
    assert left["supervisord"] and left["postgres"] and left["valkey"]
    with Stack(data, without_settings(), SERVICES) as stack:
        stack.start()
        assert all(pids.began(pid) is None for pid in left.values() if pid)


def test_second_start_on_the_same_directory_is_refused_and_harms_nothing(stack: Stack) -> None:
    before = {name: stack.pid(name) for name in SERVICES}
    with pytest.raises(Problem, match="in use by process"):
        Stack(DataDir(stack.data.path), without_settings(), SERVICES).start()
    assert {name: stack.pid(name) for name in SERVICES} == before
    stack.wait_for_services()


def test_database_without_trigrams_of_chinese_is_refused_with_the_reason(folder: Path) -> None:
    data = DataDir(folder / "data")
    [port] = free_ports(1)
    environ = {**without_settings(), "SONDE_DATA": str(data.path)}
    argv = [sys.executable, "-m", "ops.postgres", "--port", str(port), "--may-create-databases"]
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL) as server:
        url = f"postgresql://sonde:{data.secret('database_password')}@127.0.0.1:{port}/"
        wait_until_ready(f"{url}sonde", timeout_s=30)
        check(f"{url}sonde")
        with psycopg.connect(f"{url}sonde", autocommit=True) as connection:
            connection.execute("CREATE DATABASE plain TEMPLATE template0 ENCODING UTF8 LOCALE_PROVIDER libc LOCALE 'C'")
        with psycopg.connect(f"{url}plain", autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE EXTENSION vector")
        with pytest.raises(Problem, match="lacks the extension vector|no trigrams in Chinese"):
            check(f"{url}plain")
        server.send_signal(signal.SIGINT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs an account for the database")
def test_as_root_an_unreachable_folder_moves_the_cluster_and_keeps_every_mode(folder: Path) -> None:
    hidden = folder / "hidden"
    hidden.mkdir(mode=0o700)
    data = DataDir(hidden / "data")
    postgres = Postgres(data)
    try:
        assert hidden not in postgres.folder().parents
        with Stack(data, without_settings(), SERVICES) as stack:
            stack.start()
            assert stack.pid("postgres")
        assert hidden.stat().st_mode & 0o777 == 0o700
    finally:
        postgres.remove()


def test_supervisor_that_cannot_start_says_why(folder: Path) -> None:
    stack = Stack(DataDir(folder / "data"), without_settings(), ["valkey"])
    began = time.monotonic()
    with pytest.raises(Problem, match="supervisor ended by itself"):
        stack._configuration = lambda socket_path: "[supervisord]\nnodaemon=maybe\n"  # type: ignore[method-assign]
        stack.start()
    assert time.monotonic() - began < 10
    assert living_pids(stack) == []
