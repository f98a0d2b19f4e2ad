"""The whole stack as `make run` starts it, in a folder of its own, with an owner who has signed in and endpoints.

Rows are read with SQL over a connection of its own: what a test compares with must not pass through what it tests.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import class_row, dict_row

from ops import pids
from ops.data import ROOT, DataDir
from ops.environment import free_ports, given, without_settings
from ops.run import owner_link
from ops.supervisor import Stack
from tests.crash.reader import Reader
from tests.crash.waiting import wait_until

PASSWORD = "a plain long password"
# Tokens. Short enough to be waited for; long enough to be stopped in (`Asked.held`), where 150 come a second.
LONGEST_ANSWER = 90


@dataclass(frozen=True, slots=True)
class Row:
    """What PostgreSQL holds of an answer and its message."""

    status: str
    error_code: str
    finish_reason: str
    fence: int
    text: str
    reasoning: str
    token_ids: list[int]
    prefix_length: int
    completion_tokens: int | None
    replay_equal: bool | None
    is_told: bool

    @property
    def is_ended(self) -> bool:
        return self.status not in {"queued", "running"}


class Site:
    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.data = DataDir(folder / "data")
        # One thread: where cores are shared with other work, two wait for each other most of the time.
        ours = {"SONDE_PORT": str(free_ports(1)[0]), "OMP_NUM_THREADS": "1", **(environ or {})}
        self._environ = {**without_settings(), **ours}
        self.stack = Stack(self.data, self._environ)
        self._session_key = ""

    # Starting, breaking, mending

    def start(self) -> None:
        """Everything answers when this returns."""
        self.stack.start()
        self.stack.wait_ready(60)
        self.wait_well()

    def stop(self) -> None:
        self.stack.stop()

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """One process is away until the block ends."""
        self.stack.stop_process(name)
        try:
            yield
        finally:
            self.stack.start_process(name)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """One process stands still until the block ends, or until it is killed in it."""
        pid = self.stack.kill(name, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """`kill -9`; the supervisor has started it again when this returns."""
        self.stack.wait_restarted(name, self.stack.kill(name, signal.SIGKILL), 20)

    @contextmanager
    def second_runner(self) -> Iterator[None]:
        """Beside the one of the stack, as on a second machine."""
        argv = [sys.executable, "manage.py", "run_answers"]
        with (self.data / "logs" / "second-runner.log").open("wb") as log:
            runner = subprocess.Popen(argv, cwd=ROOT, env=self.stack.env, stdout=log, stderr=log)
        try:
            yield
        finally:
            runner.terminate()
            runner.wait(20)

    def kill_everything(self) -> None:
        """As a power cut would: the supervisor and all it has started, at once."""
        paths = [self.data / "pids" / "supervisord", *sorted((self.data / "pids").iterdir())]
        for pid in filter(None, map(pids.living, paths)):
            os.kill(pid, signal.SIGKILL)
        wait_until("every process dies", lambda: not any(map(pids.living, paths)), 10)
        self.data.release()

    def start_again(self) -> None:
        """What a person does after a power cut; every inner port is another one."""
        self.stack = Stack(self.data, self._environ)
        self.start()

    def wait_well(self, timeout_s: float = 60) -> None:
        """Until every part answers, the model too."""
        wait_until("the site is well", lambda: self.health().get("status") == "ok", timeout_s, self.health)
        wait_until("the model answers", self._model_answers, timeout_s)

    def health(self) -> dict[str, str]:
        try:
            health: dict[str, str] = httpx.get(f"{self.stack.url}health", timeout=5).json()
        except (httpx.HTTPError, ValueError) as error:
            return {"status": type(error).__name__}
        return health

    def end_of_log(self, name: str) -> str:
        path = self.data / "logs" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-25:]) if path.exists() else ""

    def _model_answers(self) -> bool:
        url = self.stack.env["SONDE_INFERENCE_URL"].removesuffix("/v1")
        try:
            return httpx.get(f"{url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    # People and endpoints

    def make_owner(self) -> None:
        link = owner_link(self.stack.env)
        with httpx.Client() as client:
            person = {"name": "Olga", "email": "olga@example.org", "new_password": PASSWORD}
            self._post(client, link, person)
            self._session_key = client.cookies["sessionid"]

    def add_endpoint(self, base_url: str, model: str, continuation: str) -> str:
        """A row of Settings, made by the form that makes it; returns its id."""
        fields = {
            "name": f"{model} {continuation}",
            "base_url": base_url,
            "model": model,
            "context_length": "8192",
            "max_output_tokens": "1024",
            "price_cache_hit": "0",
            "price_cache_miss": "0",
            "price_output": "0",
            "continuation": continuation,
            "thinking": "never",
            "takes_seed": "on",
            "is_enabled": "on",
        }
        with self.browser() as client:
            response = self._post(client, f"{self.stack.url}settings/endpoints/new", fields)
        return response.headers["location"].rpartition("/")[2]

    def page_position(self, conversation: str) -> str | None:
        """Where the page of this conversation says that its reader goes on."""
        with self.browser() as client:
            page = client.get(f"{self.stack.url}c/{conversation}").raise_for_status()
        found = re.search(r'data-position="([^"]+)"', page.text)
        return found[1] if found else None

    def begin_trial(self, endpoint: str) -> None:
        """The owner's button: the worker for tasks tries the endpoint."""
        with self.browser() as client:
            page = f"{self.stack.url}settings/endpoints/{endpoint}"
            self._post(client, page, {}, f"{page}/try")

    def probe_report(self, endpoint: str) -> dict[str, Any]:
        [row] = self.execute("SELECT probe_report FROM endpoints_endpoint WHERE id = %s", endpoint)
        report: dict[str, Any] = row["probe_report"]
        return report

    def shorten_answers(self) -> None:
        self.execute("UPDATE endpoints_endpoint SET max_output_tokens = %s WHERE is_local", LONGEST_ANSWER)

    def browser(self) -> httpx.Client:
        return httpx.Client(cookies={"sessionid": self._session_key}, timeout=10)

    def _post(self, client: httpx.Client, url: str, fields: dict[str, str], action: str = "") -> httpx.Response:
        page = client.get(url).raise_for_status()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token is not None, f"no form at {url}"
        response = client.post(
            action or url, data={**fields, "csrfmiddlewaretoken": token[1]}, headers={"Referer": url}
        )
        assert response.status_code == 302, (
            f"{response.status_code} {re.findall('form__error[^<]*<[^<]*', response.text)}"
        )
        return response

    def tab(self, conversation: str | None = None, position: str | None = None) -> Reader:
        return Reader(self.stack.url, self._session_key, conversation, position)

    # Rows

    def execute(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        url = given(self.stack.env, "DATABASE_URL")
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def row(self, answer: str) -> Row:
        url = given(self.stack.env, "DATABASE_URL")
        with psycopg.connect(url, row_factory=class_row(Row)) as connection:
            row = connection.execute(
                "SELECT a.status, error_code, finish_reason, fence, m.text, reasoning, token_ids, prefix_length,"
                " completion_tokens, replay_equal, ended_event_at IS NOT NULL AS is_told"
                " FROM answers_answer a JOIN conversations_message m ON m.id = a.message_id WHERE a.id = %s",
                [answer],
            ).fetchone()
        assert row is not None, f"answer {answer} has no row"
        return row

    def wait_row_ended(self, answer: str, timeout_s: float) -> Row:
        def look() -> Row | None:
            row = self.row(answer)
            return row if row.is_ended else None

        return wait_until(f"answer {answer} ends in its row", look, timeout_s, lambda: self.row(answer).status)

    def open_answers(self) -> list[str]:
        rows = self.execute("SELECT id::text FROM answers_answer WHERE status IN ('queued', 'running')")
        return [row["id"] for row in rows]
