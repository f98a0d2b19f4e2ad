"""One stack for the whole folder: every test breaks it, waits for its promise, and leaves it well."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.crash.asked import Asked
from tests.crash.reader import Reader
from tests.crash.site import Site
from tests.scripted_endpoint import ScriptedEndpoint
from tests.search.web.small_web import SmallWeb

LOGS = ("runner", "web", "inference", "worker-io", "supervisor")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the ends of the processes' logs: the folder that held them is gone afterwards."""
    report = yield
    site = getattr(item, "funcargs", {}).get("whole_site")
    if report.failed and site is not None:
        for name in LOGS:
            report.sections.append((f"end of {name}.log", site.end_of_log(name)))
    return report


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What of the scripted endpoint the site knows, by what it can do; `server` counts and remembers requests.

    Those that wait hold at word 20 (`silent` before the first) while `hold` is in force: nothing is left to timing.
    """

    server: ScriptedEndpoint
    by_prefix: str
    by_final_message: str
    without: str
    silent: str
    waits_at_end: str
    slow: str

    def asked(self, text: str) -> list[dict[str, Any]]:
        """The requests for this very question (the one for a title holds it inside another text)."""
        return [body for body in self.server.requests if any(m["content"] == text for m in body["messages"])]

    def times_asked(self, text: str) -> int:
        return len(self.asked(text))

    @contextmanager
    def hold(self) -> Iterator[None]:
        self.server.gate.clear()
        try:
            yield
        finally:
            self.server.gate.set()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not tmp_path: as root the database's account must be able to pass through, as in a usual checkout."""
    path = Path(tempfile.mkdtemp(prefix="sonde-crash-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def whole_site(folder: Path, small_web: SmallWeb) -> Iterator[Site]:
    """The small web is its internet."""
    site = Site(folder, {"DJANGO_SETTINGS_MODULE": "tests.crash.settings", "SMALL_WEB_PORT": str(small_web.port)})
    try:
        site.start()
        site.make_owner()
        site.shorten_answers()
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="session")
def endpoints(whole_site: Site) -> Iterator[Endpoints]:
    with ScriptedEndpoint() as server:

        def add(model: str, continuation: str = "none") -> str:
            return whole_site.add_endpoint(server.base_url, model, continuation)

        yield Endpoints(
            server,
            by_prefix=add("prefix+gate:20", "prefix_true"),
            by_final_message=add("final+gate:20", "continue_final_message"),
            without=add("gate:20"),
            silent=add("gate:0"),
            waits_at_end=add("gate:39"),
            slow=add("slow:200"),
        )


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    """Well before the test, and nothing left open after it."""
    whole_site.wait_well()
    yield whole_site
    whole_site.wait_well()
    for answer in whole_site.open_answers():
        with whole_site.tab() as tab:
            tab.cancel(answer)
        whole_site.wait_row_ended(answer, 20)


class Ask(Protocol):
    def __call__(self, question: str, endpoint: str | None = None) -> Asked: ...


@pytest.fixture
def ask(site: Site) -> Iterator[Ask]:
    """Asks in a new tab, in a conversation of its own; without an endpoint, our own worker."""
    with ExitStack() as tabs:
        yield asking(site, tabs)


def asking(site: Site, tabs: ExitStack) -> Ask:
    def ask(question: str, endpoint: str | None = None) -> Asked:
        tab = tabs.enter_context(site.tab())
        return Asked(site, tab, tab.ask(question, endpoint=endpoint))

    return ask


@pytest.fixture
def tab(site: Site) -> Iterator[Reader]:
    with site.tab() as tab:
        yield tab
