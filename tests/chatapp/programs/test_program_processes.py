"""The real processes: a runner and a web process are killed while a program waits; a file gets to be cited."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from django.db.models.functions import Now

from chatapp.answers.models import ENDED
from chatapp.programs.models import Call
from chatapp.usage.models import Spending
from ops.services import Services
from tests.chatapp.programs.conftest import QUESTION
from tests.crash.waiting import wait_until
from tests.file_fixtures import RealProcess, Web, real_environment
from tests.scripted_endpoint import ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)
TIDES = b"# Harbour\n\nHigh tide is at noon.\n\nThe pier is 40 m long and was built in 1925.\n"


@pytest.fixture
def web(services: Services, file_store: Path) -> Iterator[Web]:
    with Web(real_environment(services, file_store)) as started:
        yield started


@contextmanager
def runner_of(services: Services, file_store: Path) -> Iterator[RealProcess]:
    with RealProcess(real_environment(services, file_store), "runner") as started:
        yield started


def client_at(web: Web, secret: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{web.url}/v1", api_key=secret, max_retries=0, timeout=60)


def test_a_killed_runner_is_heard_of_and_a_killed_web_process_calls_off(
    services: Services, file_store: Path, web: Web, secret: str, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("slow:300")
    with client_at(web, secret) as program:
        with runner_of(services, file_store) as first:
            stream = iter(program.chat.completions.create(model="slow:300", messages=QUESTION, stream=True))  # type: ignore
            while not next(stream).choices[0].delta.content:
                pass
            first.kill()
        assert Spending.objects.get().ended_at is None
        Call.objects.update(lease_expires_at=Now())  # not to wait ten seconds for it
        with runner_of(services, file_store):
            with pytest.raises(openai.APIError) as failed:
                list(stream)
            assert failed.value.code == "interrupted"
            assert Spending.objects.get().ended_at is not None
            stream = iter(program.chat.completions.create(model="slow:300", messages=QUESTION, stream=True))  # type: ignore
            while not next(stream).choices[0].delta.content:
                pass
            web.kill()
            Call.objects.update(watched_at="2020-01-01T00:00Z")  # nor thirty
            wait_until("it is called off", lambda: not Call.objects.exclude(status__in=ENDED).exists(), 15)
            wait_until("the meter stops", lambda: not Spending.objects.filter(ended_at=None).exists(), 5)
    assert scripted.closed_early == 2 and Spending.objects.count() == 2


def test_a_file_is_sent_asked_about_and_cited(
    services: Services, file_store: Path, web: Web, secret: str, plays: Callable[..., None]
) -> None:
    plays("cites", context_length=8192)
    env = real_environment(services, file_store)
    with (
        RealProcess(env, "worker-parse"),
        RealProcess(env, "worker-io"),
        runner_of(services, file_store),
        client_at(web, secret) as program,
    ):
        file = program.files.create(file=("tides.md", TIDES), purpose="user_data")
        part = {"type": "file", "file": {"file_id": file.id}}
        content = [{"type": "text", "text": "How long is the pier?"}, part]
        answer = program.chat.completions.create(model="cites", messages=[{"role": "user", "content": content}])  # type: ignore
        [first, _second] = [each.model_dump() for each in answer.choices[0].message.annotations or []]
        assert first["file_citation"]["file_id"] == file.id and "tide" in first["file_citation"]["quote"].lower()
        assert program.files.retrieve(file.id).status == "processed"
