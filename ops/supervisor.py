"""The kept supervisor: supervisord with our table of processes, in one data directory.

    with Stack(DataDir(path)) as stack:      # crash tests use exactly what `make run` uses
        stack.start(); stack.wait_ready(60)
        stack.kill("runner", signal.SIGKILL)

Database and broker are answering before anything else starts, and stop last. Nothing is left behind by `stop`, and what
a crash of the supervisor itself left behind is ended by the next `start`.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from ops import pids, postgres, valkey
from ops.data import ROOT, DataDir
from ops.environment import choose_ports, environment, given, publish
from ops.listening import refuse_taken
from ops.problem import Problem
from ops.processes import PROCESSES, Process
from ops.setup import STAMPS
from ops.stamps import once

# supervisord stops one group after the other, the highest priority first: the site at once, then the services.
GROUPS = {"service": ("services", 10), "model": ("site", 20), "site": ("site", 20)}
PAGE_S = 60  # until the page answers; a slow machine compiles every module first
SECTION = """\
[program:{name}]
command={command}
directory={root}
environment={environment}
autostart={autostart}
autorestart=true
startsecs=1
startretries=1000000
stopsignal={stop_signal}
stopwaitsecs={stop_wait_s}
killasgroup={kill_group}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""
HEAD = """\
[supervisord]
nodaemon=true
silent=true
{user}logfile={data}/logs/supervisor.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={data}/pids/supervisord-own
childlogdir={data}/logs
[unix_http_server]
file={socket}
chmod=0600
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


class Stack:
    """Every process of one data directory, or those named in `programs`."""

    def __init__(
        self, data: DataDir, environ: Mapping[str, str] = os.environ, programs: Iterable[str] | None = None
    ) -> None:
        self.data = data
        self._ports = choose_ports(environ)
        names = set(programs) if programs is not None else {process.name for process in PROCESSES}
        unknown = names - {process.name for process in PROCESSES}
        if unknown:
            raise ValueError(
                f"programs={sorted(unknown)}: unknown; known are {[process.name for process in PROCESSES]}"
            )
        self.processes = [
            p for p in PROCESSES if p.name in names and not (p.replaced_by and given(environ, p.replaced_by))
        ]
        self.env = environment(data, self._ports, environ)
        self._supervisord: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        host = self.env["SONDE_HOST"]
        return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{self._ports.web}/"

    def start(self) -> None:
        """The page answers and everything else is starting when this returns; `wait_ready` waits for the rest.

        The page comes first: eight programs that import at once on two cores kept it back by four seconds.
        """
        self.data.acquire()
        try:
            self._end_orphans()
            publish(self.data, self._ports, self.env)
            if any(process.name == "web" for process in self.processes):
                refuse_taken(self.env["SONDE_HOST"], self._ports.web)
            self._start_supervisord()
            self.wait_for_services()
            if any(process.kind == "site" for process in self.processes):
                self._compile_languages()
                self._migrate()
            self._start_rest()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Until a question can be answered: the runner listens, our model is loaded. Raises Problem naming the log."""
        names = {process.name for process in self.processes}
        if {"web", "runner"} <= names:
            self._wait_until(f"{self.url}health", timeout_s, "the site is not well", "runner", b'"status": "ok"')
        if "inference" in names:
            url = f"http://127.0.0.1:{self._ports.inference}/health"
            self._wait_until(url, timeout_s, "the model is not loaded", "inference")

    def _start_rest(self) -> None:
        rest = [process.name for process in self.processes if process.kind != "service"]
        if "web" in rest:
            rest.remove("web")
            self.start_process("web")
            # Its sign-in page, because that one is for everybody.
            self._wait_until(f"{self.url}sign-in", PAGE_S, "the page does not answer", "web")
        for name in rest:
            self.start_process(name)

    def _wait_until(self, url: str, timeout_s: float, complaint: str, log: str, wanted: bytes = b"") -> None:
        deadline = time.monotonic() + timeout_s
        while not _answers(url, wanted):
            self._refuse_dead_supervisor()
            if time.monotonic() > deadline:
                raise Problem(f"{complaint} after {timeout_s:.0f} s: see {self.data / 'logs'}/{log}.log")
            time.sleep(0.05)

    def pid(self, name: str) -> int:
        """The process as it is now; 0 while it is down."""
        return pids.living(self._pid_file(name)) or 0

    def kill(self, name: str, signal_number: int = signal.SIGKILL) -> int:
        """Signal one process and return the pid it had. The supervisor starts it again."""
        pid = self.pid(name)
        if not pid:
            raise ProcessLookupError(f"{name} is not running")
        os.kill(pid, signal_number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, timeout_s: float = 10) -> int:
        deadline = time.monotonic() + timeout_s
        while (pid := self.pid(name)) in {0, old_pid}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} did not come back within {timeout_s} s")
            time.sleep(0.02)
        return pid

    def start_process(self, name: str) -> None:
        self._rpc.startProcess(self._program(name), False)

    def stop_process(self, name: str) -> None:
        """Stop one process for good, until `start_process`."""
        self._rpc.stopProcess(self._program(name), True)

    def alive(self) -> bool:
        return self._supervisord is not None and self._supervisord.poll() is None

    def stop(self) -> None:
        """Stop all in order: the site, then the services. Nothing of it lives when this returns."""
        if not self.data.held:
            return  # what runs here belongs to another
        if self._supervisord is not None:
            wait_s = 5 + sum(process.stop_wait_s for process in self.processes)
            self._supervisord.terminate()
            try:
                self._supervisord.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._supervisord.kill()
                self._supervisord.wait()
            self._supervisord = None
        self._end_orphans()
        self.data.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_supervisord(self) -> None:
        socket_path = self.data.socket_dir() / "supervisor.sock"
        conf = self.data.write_secret("supervisord.conf", self._configuration(socket_path))
        argv = [sys.executable, "-m", "ops.supervisord", "-c", str(conf)]
        log = open(self.data / "logs" / "supervisord.err", "wb")
        with log:
            # Its own session: a Ctrl-C in the terminal reaches us alone, and we stop the rest in order.
            self._supervisord = subprocess.Popen(
                argv, cwd=ROOT, env=self.env, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        pids.record(self._pid_file("supervisord"), self._supervisord.pid)
        deadline = time.monotonic() + 15
        while not self._is_up():
            self._refuse_dead_supervisor()
            if time.monotonic() > deadline:
                raise Problem(f"the supervisor does not answer: see {self.data / 'logs'}/supervisor.log")
            time.sleep(0.02)

    @property
    def _rpc(self) -> Any:
        """The supervisor's commands, over a fresh connection: the transport cannot mend a broken one."""
        from supervisor.xmlrpc import SupervisorTransport

        address = f"unix://{self.data.socket_dir() / 'supervisor.sock'}"
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, address))
        return proxy.supervisor

    def _is_up(self) -> bool:
        try:
            self._rpc.getState()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _refuse_dead_supervisor(self) -> None:
        if not self.alive():
            log = (self.data / "logs" / "supervisord.err").read_text(encoding="utf-8", errors="replace").strip()
            raise Problem(f"the supervisor ended by itself: {log[-600:] or 'see ' + str(self.data / 'logs')}")

    def wait_for_services(self) -> None:
        """Until database and broker answer. Raises Problem where one does not, or could not serve us."""
        valkey.wait_until_ready(given(self.env, "REDIS_URL"), timeout_s=30)
        url = given(self.env, "DATABASE_URL")
        try:
            postgres.wait_until_ready(url, timeout_s=30)
        except Problem as problem:
            raise Problem(f"{problem}; see {self.data / 'logs'}/postgres.log") from problem
        postgres.check(url)

    def _compile_languages(self) -> None:
        folder = ROOT / "chatapp" / "locale"
        products = [path.with_suffix(".mo") for path in folder.rglob("django.po")]
        once(STAMPS / "languages", sorted(folder.rglob("*.po")), lambda: self._manage("compile_languages"), products)

    def _migrate(self) -> None:
        """Bring the tables up to date; skipped when our own cluster has already seen these very migrations."""
        embedded = any(process.name == "postgres" for process in self.processes)
        stamp = self.data / "migrated"
        if not embedded:
            stamp.unlink(missing_ok=True)
        migrations = sorted(ROOT.glob("*/**/migrations/*.py"))
        once(stamp, migrations, self._prepare_tables, [])

    def _prepare_tables(self) -> None:
        """The tables, and the row of our own worker: the page may be asked before the runner has started."""
        self._manage("migrate", "--noinput", "--verbosity", "0")
        self._manage("setup_site")

    def _manage(self, command: str, *options: str) -> None:
        argv = [sys.executable, "manage.py", command, *options]
        done = subprocess.run(argv, cwd=ROOT, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise Problem(f"manage.py {command} failed:\n{done.stderr.strip()[-2000:]}")

    def _end_orphans(self) -> None:
        """End what an earlier supervisor of this directory left behind: it first, then the site, then the services."""
        pids.end([self._pid_file("supervisord")], signal.SIGTERM, wait_s=60)
        for kinds in ({"site", "model"}, {"service"}):
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                wanted = "INT" if signal_number is signal.SIGINT else "TERM"
                chosen = [p for p in PROCESSES if p.kind in kinds and p.stop_signal == wanted]
                pids.end([self._pid_file(p.name) for p in chosen], signal_number, wait_s=15)

    def _program(self, name: str) -> str:
        """The supervisor's name of a process: its group and its own."""
        [process] = [process for process in self.processes if process.name == name]
        return f"{GROUPS[process.kind][0]}:{name}"

    def _pid_file(self, name: str) -> Path:
        return self.data / "pids" / name

    def _configuration(self, socket_path: Path) -> str:
        user = "user=root\n" if os.geteuid() == 0 else ""
        head = HEAD.format(data=_escaped(self.data.path), socket=_escaped(socket_path), user=user)
        members: dict[tuple[str, int], list[str]] = {}
        for process in self.processes:
            members.setdefault(GROUPS[process.kind], []).append(process.name)
        groups = [
            f"[group:{name}]\nprograms={','.join(programs)}\npriority={priority}\n"
            for (name, priority), programs in members.items()
        ]
        return head + "".join(groups) + "".join(self._section(process) for process in self.processes)

    def _section(self, process: Process) -> str:
        argv = process.argv(
            python=sys.executable,
            host=self.env["SONDE_HOST"],
            port=str(self._ports.web),
            service_host="127.0.0.1",
            postgres_port=str(self._ports.postgres),
            valkey_port=str(self._ports.valkey),
            inference_port=str(self._ports.inference),
            inference_key_file=str(self.data.secret_path("inference_key")),
            encoder_port=str(self._ports.encoder),
            embeddings_key_file=str(self.data.secret_path("embeddings_key")),
            model_dir=self.env["SONDE_MODEL_DIR"],
            device="cpu",
            data=str(self.data.path),
        )
        launch = [sys.executable, "-S", "-m", "ops.launch", str(self._pid_file(process.name)), *argv]
        return SECTION.format(
            name=process.name,
            command=" ".join(_quoted(word) for word in launch),
            root=_escaped(ROOT),
            environment=",".join(f'{name}="{value}"' for name, value in process.environment.items()),
            autostart="true" if process.kind == "service" else "false",
            stop_signal=process.stop_signal,
            stop_wait_s=process.stop_wait_s,
            # The database's own children must not be killed under it; celery's and a parser's must.
            kill_group="false" if process.kind == "service" else "true",
            log=_escaped(self.data / "logs" / f"{process.name}.log"),
        )


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _quoted(word: str) -> str:
    return _escaped('"' + word.replace('"', '\\"') + '"')


def _answers(url: str, wanted: bytes) -> bool:
    """Whether this address answers without a failure of its own, and says what is wanted."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return wanted in response.read()
    except urllib.error.HTTPError as error:
        return error.code < 500 and not wanted
    except (OSError, http.client.HTTPException):
        return False
