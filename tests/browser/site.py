"""The real site for browser tests: uvicorn, the runner, PostgreSQL and Valkey as processes, a scripted model."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30


class Site:
    """Web and runner over the servers of this test run; each can be ended and started again on its own."""

    def __init__(self, env: Mapping[str, str], port: int, log_folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._env = {**env, "SONDE_PORT": str(port)}
        self._log_folder = log_folder
        self._port = port
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._log_folder.mkdir(parents=True, exist_ok=True)
        self.start_web()
        self._spawn("runner", "manage.py", "run_answers")
        self.wait_until_ready()

    def start_web(self) -> None:
        options = [
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
            "--no-access-log",
            "--timeout-graceful-shutdown",
            "1",
        ]
        self._spawn("web", "-m", "uvicorn", "chatapp.asgi:application", *options)

    def start_reading(self) -> None:
        """The worker that reads files, and what waits for it: queues `parse` and `default` in one process here."""
        options = ["--pool", "threads", "-c", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        argv = ["-m", "celery", "--quiet", "-A", "chatapp.celery", "worker", "-Q", "parse,default", "-n", "reading@%h"]
        self._spawn("reading", *argv, *options)

    def start_searching(self, web_port: int) -> None:
        """The worker that asks engines and reads pages, of the small web alone; queue `default` waits for it too."""
        options = ["--pool", "threads", "-c", "4", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        argv = [
            "-m",
            "celery",
            "--quiet",
            "-A",
            "chatapp.celery",
            "worker",
            "-Q",
            "search,default",
            "-n",
            "searching@%h",
        ]
        env = {"DJANGO_SETTINGS_MODULE": "tests.browser.web_settings", "SMALL_WEB_PORT": str(web_port)}
        self._spawn("searching", *argv, *options, env=env)
        self._wait_for_worker("searching@")

    def _wait_for_worker(self, name: str) -> None:
        """On a busy machine its libraries take longer to load than a test waits for a search."""
        from chatapp.celery import app

        until = time.monotonic() + READY_S
        while not any(answered.startswith(name) for reply in app.control.ping(timeout=1.0) for answered in reply):
            assert time.monotonic() < until, f"no worker {name} after {READY_S} s; see {self._log_folder}"

    def wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S
        while not self._answers():
            assert time.monotonic() < until, f"the site is not ready after {READY_S} s; see {self._log_folder}"
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/sign-in", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def _spawn(self, name: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
        with open(self._log_folder / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                env={**self._env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
