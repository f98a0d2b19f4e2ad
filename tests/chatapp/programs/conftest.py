"""A program of the member, with a key, at the real site; a runner in a thread; an endpoint that plays a part."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import openai
import pytest

from chatapp.accounts.models import User
from chatapp.endpoints.models import Endpoint
from chatapp.programs.runner import PATIENCE, CallRunner
from tests.live_site import LiveSite
from tests.scripted_endpoint import ScriptedEndpoint

QUICK = replace(PATIENCE, unreachable_s=0.5, local_s=1.0, rate_limited_s=0.3, first_wait_s=0.05, longest_wait_s=0.1)
PRICES = {"price_cache_hit": Decimal("0.028"), "price_cache_miss": Decimal("0.28"), "price_output": Decimal("0.42")}
QUESTION = [{"role": "user", "content": "What is the tide?"}]


@pytest.fixture
def scripted() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as served:
        yield served


@pytest.fixture
def plays(endpoint: Endpoint, scripted: ScriptedEndpoint) -> Callable[..., None]:
    """The endpoint of the story plays this part; its model is called by it."""

    def play(model: str, **facts: object) -> None:
        Endpoint.objects.filter(pk=endpoint.pk).update(base_url=scripted.base_url, model=model, **PRICES, **facts)

    play("plain")
    return play


@pytest.fixture
def secret(member: User) -> str:
    return new_secret(member)


def new_secret(person: User, name: str = "Reports", **scope: object) -> str:
    from chatapp.programs.keys import Scope, make

    return make(person, name, Scope(**scope)).secret  # type: ignore[arg-type]


def client_of(site: LiveSite, secret: str, **options: object) -> openai.OpenAI:
    """The real package, which is told nothing but an address and a key."""
    settings = {"max_retries": 0, "timeout": 30.0, **options}
    return openai.OpenAI(base_url=f"{site.url}/v1", api_key=secret, **settings)  # type: ignore[arg-type]


@pytest.fixture
def program(live_site: LiveSite, secret: str) -> Iterator[openai.OpenAI]:
    with client_of(live_site, secret) as client:
        yield client


class RunnerThread:
    """A runner of calls with an event loop of its own; `kill` ends it as kill -9 would."""

    def __init__(self, concurrency: int = 32) -> None:
        self._loop = asyncio.new_event_loop()
        self._runner = CallRunner(concurrency, QUICK)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._task: asyncio.Task[None]
        self._begun = threading.Event()

    def __enter__(self) -> "RunnerThread":
        self._thread.start()
        self._begun.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._runner.stop)
            self._thread.join(20)

    def kill(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    def _work(self) -> None:
        async def run() -> None:
            self._task = asyncio.create_task(self._runner.run())
            self._begun.set()
            await asyncio.wait({self._task})

        self._loop.run_until_complete(run())
        self._loop.close()


@contextmanager
def running(concurrency: int = 32) -> Iterator[RunnerThread]:
    with RunnerThread(concurrency) as runner:
        yield runner


@pytest.fixture
def runner(plays: Callable[..., None]) -> Iterator[RunnerThread]:
    with running() as started:
        yield started
