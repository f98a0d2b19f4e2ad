"""`manage.py run_answers` as a process: started, stopped by SIGTERM, killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from chatapp.accounts.models import User
from chatapp.answers.models import Status
from chatapp.endpoints.models import Endpoint
from ops.data import ROOT
from tests.chatapp.answers.stories import ask, check_story, ended, expire_lease, play, row, shown
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def runner_process() -> Iterator[subprocess.Popen[bytes]]:
    """The real program on the test's own database."""
    url = urlsplit(settings.CONFIG.database_url)._replace(path=f"/{connection.settings_dict['NAME']}")
    environ = {**os.environ, "DATABASE_URL": url.geturl()}
    environ.pop("DATABASE_URL_FILE", None)
    process = subprocess.Popen([sys.executable, "manage.py", "run_answers"], cwd=ROOT, env=environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_the_next_process_goes_on(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, ending: signal.Signals
) -> None:
    await play(endpoint, scripted, "prefix+gate:6", continuation="prefix_true", takes_token_ids=True)
    scripted.gate.clear()
    accepted = await ask(member)
    with runner_process() as first:
        reader = await shown(accepted, 6)
        first.send_signal(ending)
        assert first.wait(15) == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    assert (await row(accepted.answer_id)).status == Status.RUNNING
    scripted.gate.set()
    if ending == signal.SIGKILL:
        await expire_lease(accepted.answer_id)  # not to wait ten seconds for it
    with runner_process():
        answer = await ended(accepted.answer_id)
    await reader.catch_up()
    assert reader.text == (await check_story(accepted)).text == TEXT
    assert answer.fence == 2 and answer.token_ids == [1000 + index for index in range(40)]
