"""A runner that slept through its lease (a stopped machine, a swapped-out process) and wakes up: it writes nothing."""

import os
import signal
from contextlib import ExitStack

import pytest

from tests.crash.asked import STORY, check_tokens_spell_text
from tests.crash.conftest import Ask, Endpoints
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash


def test_runner_that_slept_is_fenced_out_of_log_and_rows(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with ExitStack() as second:
        with endpoints.hold():
            scripted = ask("a runner sleeps", endpoints.by_prefix)
            with ask(STORY).held() as own:
                scripted.wait_shown("".join(WORDS[:20]))
                answers = [scripted, own]
                sleeper = site.stack.kill("runner", signal.SIGSTOP)
                second.callback(os.kill, sleeper, signal.SIGCONT)
                second.enter_context(site.second_runner())
                wait_until("the second takes over", lambda: all(asked.row.fence == 2 for asked in answers), 30)
        rows = [asked.wait_end() for asked in answers]
        assert [(row.status, row.fence) for row in rows] == [("finished", 2)] * 2
        assert rows[0].text == TEXT
        check_tokens_spell_text(rows[1])
        positions = [asked.tab.shown.position for asked in answers]
        os.kill(sleeper, signal.SIGCONT)
        for asked in answers:
            lost = f"answer {asked.answer} lost fence=1"
            wait_until("it sees that it has lost", lambda lost=lost: lost in site.end_of_log("runner"), 20)
    assert [asked.wait_end() for asked in answers] == rows
    assert [asked.tab.shown.position for asked in answers] == positions
