"""`kill -9` of the runner: one crash with an answer of every kind of endpoint open, and one test for each."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.crash.checks import check_shown_is_stored, check_tokens_spell_text
from tests.crash.conftest import Endpoints
from tests.crash.reader import Reader
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
STORY = "Write a long story about a lighthouse and its keeper."
SHOWN = "".join(WORDS[:20])


@dataclass
class Crash:
    """The readers of one crash by what they asked, and what each was shown at that moment."""

    tabs: dict[str, Reader] = field(default_factory=dict)
    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.tabs[name].text(self.accepted[name]["reply"])


@pytest.fixture(scope="module")
def crash(whole_site: Site, endpoints: Endpoints) -> Iterator[Crash]:
    """Killed with every answer open; one of them is cancelled while nobody works on it."""
    whole_site.wait_well()
    crash = Crash()
    with ExitStack() as stack:
        stack.enter_context(endpoints.hold())
        silent = {"silent free": endpoints.silent_free, "silent billed": endpoints.silent_billed}
        streaming = {
            "prefix": endpoints.by_prefix,
            "final message": endpoints.by_final_message,
            "none": endpoints.without,
            "cancelled": endpoints.by_prefix,
        }
        for name, endpoint in {**streaming, **silent, "own worker": None}.items():
            crash.tabs[name] = stack.enter_context(whole_site.tab())
            crash.accepted[name] = crash.tabs[name].ask(f"{STORY} ({name})", endpoint=endpoint)
        for name in streaming:
            crash.tabs[name].wait_for_text(crash.accepted[name]["reply"], SHOWN, 20)
        for name in silent:
            wait_until(f"{name} is asked", lambda name=name: endpoints.times_asked(f"{STORY} ({name})"), 20)
        crash.tabs["own worker"].wait_for_text(crash.accepted["own worker"]["reply"], 20, 30)
        killed = whole_site.stack.kill("runner", signal.SIGKILL)
        assert len(whole_site.open_answers()) == len(crash.tabs), "one ended before the crash"
        crash.tabs["cancelled"].cancel(crash.accepted["cancelled"]["answer"])
        whole_site.stack.wait_restarted("runner", killed)
        crash.shown = {name: crash.text(name) for name in crash.tabs}
        endpoints.server.gate.set()
        for name, tab in crash.tabs.items():
            tab.wait_for_end(crash.accepted[name], 60)
        yield crash


def test_our_worker_goes_on_and_the_reader_sees_no_seam(whole_site: Site, crash: Crash) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs["own worker"], crash.accepted["own worker"])
    assert (row.status, row.fence) == ("finished", 2)
    assert len(row.text) > len(crash.shown["own worker"]) > 0
    check_tokens_spell_text(row)


@pytest.mark.parametrize("name", ["prefix", "final message"])
def test_endpoint_that_can_continue_is_asked_for_the_rest_alone(
    whole_site: Site, endpoints: Endpoints, crash: Crash, name: str
) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs[name], crash.accepted[name])
    assert (row.status, row.text, row.fence) == ("finished", TEXT, 2)
    asked = endpoints.asked(f"{STORY} ({name})")
    assert [body["messages"][-1]["role"] for body in asked] == ["user", "assistant"]
    assert asked[1]["messages"][-1]["content"] == SHOWN


def test_endpoint_without_continuation_keeps_its_text_and_is_not_asked_again(
    whole_site: Site, endpoints: Endpoints, crash: Crash
) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs["none"], crash.accepted["none"])
    assert (row.status, row.error_code) == ("failed", "interrupted")
    assert row.text == SHOWN
    assert endpoints.times_asked(f"{STORY} (none)") == 1


def test_cut_answer_is_continued_when_a_person_asks_for_it(
    whole_site: Site, endpoints: Endpoints, crash: Crash
) -> None:
    tab, cut = crash.tabs["none"], crash.accepted["none"]
    again = tab.request("continue_answer", message=cut["reply"])
    assert again["type"] == "accepted" and again["reply"] == cut["reply"] and again["answer"] != cut["answer"]
    row = check_shown_is_stored(whole_site, tab, again)
    assert (row.status, row.text) == ("finished", SHOWN + TEXT)
    assert endpoints.times_asked(f"{STORY} (none)") == 2


def test_question_that_may_have_been_billed_is_not_sent_a_second_time(
    whole_site: Site, endpoints: Endpoints, crash: Crash
) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs["silent billed"], crash.accepted["silent billed"])
    assert (row.status, row.error_code, row.text) == ("failed", "interrupted", "")
    assert endpoints.times_asked(f"{STORY} (silent billed)") == 1


def test_question_that_costs_nothing_and_showed_nothing_is_answered_by_the_next_runner(
    whole_site: Site, crash: Crash
) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs["silent free"], crash.accepted["silent free"])
    assert (row.status, row.text, row.fence) == ("finished", TEXT, 2)


def test_cancelling_during_the_takeover_keeps_what_was_shown(
    whole_site: Site, endpoints: Endpoints, crash: Crash
) -> None:
    row = check_shown_is_stored(whole_site, crash.tabs["cancelled"], crash.accepted["cancelled"])
    assert row.status == "cancelled"
    assert row.text == SHOWN
    assert endpoints.times_asked(f"{STORY} (cancelled)") == 1
