"""`kill -9` of the runner: one crash with an answer of every kind of endpoint open, and one test for each."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.crash.asked import STORY, Asked, check_tokens_spell_text
from tests.crash.conftest import Endpoints, asking
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
SHOWN = "".join(WORDS[:20])


@dataclass(frozen=True, slots=True)
class Crash:
    """What was open by its name, and what had been shown of those that were in the middle of a word."""

    asked: dict[str, Asked]
    shown_by_own_worker: str
    shown_slowly: str


def question(name: str) -> str:
    return f"{STORY} ({name})"


@pytest.fixture(scope="module")
def crash(whole_site: Site, endpoints: Endpoints) -> Iterator[Crash]:
    """Killed with every answer open; one of them is cancelled while nobody works on it."""
    whole_site.wait_well()
    streaming = {
        "prefix": endpoints.by_prefix,
        "final message": endpoints.by_final_message,
        "none": endpoints.without,
        "cancelled": endpoints.by_prefix,
    }
    others = {**streaming, "silent": endpoints.silent, "slow": endpoints.slow}
    with ExitStack() as tabs:
        ask = asking(whole_site, tabs)
        with endpoints.hold(), ask(question("own worker")).held() as own_worker:
            asked = {name: ask(question(name), endpoint) for name, endpoint in others.items()}
            asked["own worker"] = own_worker
            for name in streaming:
                asked[name].wait_shown(SHOWN)
            wait_until("the silent one is asked", lambda: endpoints.asked(question("silent")), 20)
            asked["slow"].wait_shown(20)
            killed = whole_site.stack.kill("runner", signal.SIGKILL)
            assert len(whole_site.open_answers()) == len(asked), "one ended before the crash"
            asked["cancelled"].cancel()
            whole_site.stack.wait_restarted("runner", killed)
            own, slow = asked["own worker"].shown, asked["slow"].shown
        for each in asked.values():
            each.tab.wait_for_end(each.accepted, 90)
        yield Crash(asked, own, slow)


def test_our_worker_goes_on_and_the_reader_sees_no_seam(crash: Crash) -> None:
    row = crash.asked["own worker"].wait_end()
    assert (row.status, row.fence) == ("finished", 2)
    assert len(row.text) > len(crash.shown_by_own_worker) > 0
    check_tokens_spell_text(row)


@pytest.mark.parametrize("name", ["prefix", "final message"])
def test_endpoint_that_can_continue_is_asked_for_the_rest_alone(endpoints: Endpoints, crash: Crash, name: str) -> None:
    row = crash.asked[name].wait_end()
    assert (row.status, row.text, row.fence) == ("finished", TEXT, 2)
    first, second = endpoints.asked(question(name))
    assert first["messages"][-1]["role"] == "user"
    assert second["messages"][:-1] == first["messages"]
    assert (second["messages"][-1]["role"], second["messages"][-1]["content"]) == ("assistant", SHOWN)


def test_endpoint_without_continuation_keeps_its_text_and_is_not_asked_again(
    endpoints: Endpoints, crash: Crash
) -> None:
    row = crash.asked["none"].wait_end()
    assert (row.status, row.error_code, row.text) == ("failed", "interrupted", SHOWN)
    assert len(endpoints.asked(question("none"))) == 1


def test_words_of_the_last_second_are_read_back_from_the_log(crash: Crash) -> None:
    """Shown after the last snapshot: the rows did not have them when the runner died."""
    row = crash.asked["slow"].wait_end()
    assert (row.status, row.error_code) == ("failed", "interrupted")
    assert row.text == crash.shown_slowly != ""


def test_cut_answer_is_continued_when_a_person_asks_for_it(
    whole_site: Site, endpoints: Endpoints, crash: Crash
) -> None:
    cut = crash.asked["none"]
    again = Asked(whole_site, cut.tab, cut.tab.request("continue_answer", message=cut.reply))
    assert again.reply == cut.reply and again.answer != cut.answer
    row = again.wait_end()
    assert (row.status, row.text) == ("finished", SHOWN + TEXT)
    assert len(endpoints.asked(question("none"))) == 2


def test_question_that_may_have_been_billed_is_not_sent_a_second_time(endpoints: Endpoints, crash: Crash) -> None:
    row = crash.asked["silent"].wait_end()
    assert (row.status, row.error_code, row.text) == ("failed", "interrupted", "")
    assert len(endpoints.asked(question("silent"))) == 1


def test_cancelling_during_the_takeover_keeps_what_was_shown(endpoints: Endpoints, crash: Crash) -> None:
    row = crash.asked["cancelled"].wait_end()
    assert (row.status, row.text) == ("cancelled", SHOWN)
    assert len(endpoints.asked(question("cancelled"))) == 1
