"""Accepted means accepted: a question sent while something is away is answered when it is back, and asked once."""

from contextlib import ExitStack

import pytest

from tests.crash.asked import STORY, Asked
from tests.crash.conftest import Ask, Endpoints
from tests.crash.reader import Reader
from tests.crash.site import Site
from tests.scripted_endpoint import TEXT

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("name", ["valkey", "runner", "web"])
def test_question_sent_while_a_process_is_away_is_answered_when_it_is_back(
    site: Site, endpoints: Endpoints, tab: Reader, name: str
) -> None:
    question = f"while {name} is away"
    with site.without(name):
        client_id = tab.send("send_message", text=question, conversation=None, parent=None, endpoint=endpoints.without)
        accepted = None if name == "web" else tab.wait_answered(client_id)
    accepted = accepted or tab.wait_answered(client_id)
    tab.follow(accepted["conversation"])
    row = Asked(site, tab, accepted).wait_end(30)
    assert (row.status, row.text) == ("finished", TEXT)
    assert len(endpoints.asked(question)) == 1


def test_tab_that_opens_while_the_log_is_away_can_ask(site: Site, endpoints: Endpoints) -> None:
    with ExitStack() as tabs:
        with site.without("valkey"):
            tab = tabs.enter_context(site.tab())
            asked = Asked(site, tab, tab.ask("a tab without a log", endpoint=endpoints.without))
        row = asked.wait_end(30)
    assert (row.status, row.text) == ("finished", TEXT)


def test_question_sent_while_our_worker_is_away_waits_for_it(site: Site, ask: Ask) -> None:
    with site.without("inference"):
        asked = ask(STORY)
    row = asked.wait_end()
    assert row.status == "finished" and row.text


def test_question_sent_while_the_database_is_away_is_refused_and_works_later_under_the_same_id(
    site: Site, endpoints: Endpoints, tab: Reader
) -> None:
    question = {"text": "no database", "conversation": None, "parent": None, "endpoint": endpoints.without}
    with site.without("postgres"):
        client_id = tab.send("send_message", **question)
        refused = tab.wait_answered(client_id)
        assert (refused["type"], refused["code"]) == ("error", "unavailable")
    site.wait_well()
    answers = []
    for _ in range(2):
        tab.send("send_message", client_id=client_id, **question)
        answers.append(tab.wait_answered(client_id))
    first, second = answers
    assert first == second and first["type"] == "accepted"
    tab.follow(first["conversation"])
    assert Asked(site, tab, first).wait_end(30).text == TEXT
    assert site.execute("SELECT count(*) FROM answers_answer WHERE client_id = %s", client_id) == [{"count": 1}]
    assert len(endpoints.asked("no database")) == 1
