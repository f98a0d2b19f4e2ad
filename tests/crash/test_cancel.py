"""Cancel against everything that may happen at the same moment: each answer has exactly one end, and keeps its text."""

import threading
from contextlib import ExitStack

import pytest

from tests.crash.asked import STORY, Asked, check_tokens_spell_text
from tests.crash.conftest import Ask, Endpoints
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
SHOWN = "".join(WORDS[:20])


def test_queued_question_ends_at_once_and_is_never_asked(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        first = ask("the one before", endpoints.without)
        first.wait_shown(SHOWN)
        queued = first.tab.ask("the one that waits", parent=first.reply, endpoint=endpoints.without)
        waiting = Asked(site, first.tab, queued)
        assert waiting.row.status == "queued"
        waiting.cancel()
        row = waiting.wait_end(5)
        assert (row.status, row.text) == ("cancelled", "")
        assert first.row.status == "running"
    assert first.wait_end().text == TEXT
    assert endpoints.asked("the one that waits") == []


def test_running_answer_is_closed_and_its_text_stays(endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        asked = ask("stop", endpoints.without)
        with ask(STORY).held() as own:
            asked.wait_shown(SHOWN)
            closed = endpoints.server.closed_early
            asked.cancel()
            own.cancel()
            row = asked.wait_end(20)
        assert (row.status, row.text) == ("cancelled", SHOWN)
        wait_until("the endpoint's connection is closed", lambda: endpoints.server.closed_early > closed, 10)
    row = own.wait_end(20)
    assert row.status == "cancelled" and row.text
    check_tokens_spell_text(row)


def test_cancel_against_the_last_word_has_one_winner(endpoints: Endpoints, ask: Ask) -> None:
    """The network and the log decide who is first; whoever it is, there is one end and it does not change."""
    with endpoints.hold():
        answers = [ask(f"race {number}", endpoints.waits_at_end) for number in range(6)]
        for asked in answers:
            asked.wait_shown("".join(WORDS[:39]))
        begins = threading.Barrier(len(answers) + 1)

        def cancel(asked: Asked, after_s: float) -> None:
            begins.wait()
            threading.Event().wait(after_s)
            asked.tab.send("cancel_answer", answer=asked.answer)

        threads = [threading.Thread(target=cancel, args=(a, 0.01 * n)) for n, a in enumerate(answers)]
        with ExitStack() as stack:
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            begins.wait()
            endpoints.server.gate.set()
    for asked in answers:
        row = asked.wait_end(20)
        assert row.status in {"finished", "cancelled"}
        assert row.text == TEXT if row.status == "finished" else TEXT.startswith(row.text)
        asked.cancel()  # an ended one stays as it is
        assert asked.row == row
        assert asked.tab.shown.endings == [(asked.answer, row.status)]


def test_cancel_against_the_claim_has_one_winner(endpoints: Endpoints, ask: Ask) -> None:
    for number in range(6):
        asked = ask(f"at once {number}", endpoints.slow)
        asked.cancel()
        row = asked.wait_end(20)
        assert row.status == "cancelled" and TEXT.startswith(row.text)
        assert asked.tab.shown.endings == [(asked.answer, "cancelled")]
