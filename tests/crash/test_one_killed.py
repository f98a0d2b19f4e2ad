"""`kill -9` of each other process while an answer streams, and the orderly end of a runner: no text lost or doubled."""

import pytest

from tests.crash.asked import STORY, check_tokens_spell_text
from tests.crash.conftest import Ask, Endpoints
from tests.crash.site import LONGEST_ANSWER, Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
SHOWN = "".join(WORDS[:20])


def test_killed_inference_goes_on_where_it_stopped(site: Site, ask: Ask) -> None:
    asked = ask(STORY)
    with asked.held():
        site.kill("inference")
    row = asked.wait_end()
    assert (row.status, row.fence) == ("finished", 1)  # the same runner has waited for it
    assert row.finish_reason == "stop" or len(row.token_ids) == LONGEST_ANSWER
    check_tokens_spell_text(row)


@pytest.mark.parametrize("name", ["valkey", "postgres", "web", "worker-io"])
def test_killed_process_costs_no_text_and_no_second_request(
    site: Site, endpoints: Endpoints, ask: Ask, name: str
) -> None:
    """The endpoint here could not continue anything: a second request would be seen."""
    question = f"{name} is killed"
    with endpoints.hold():
        scripted = ask(question, endpoints.without)
        with ask(STORY).held() as own:
            scripted.wait_shown(SHOWN)
            site.kill(name)
    row = scripted.wait_end()
    assert (row.status, row.text, row.fence) == ("finished", TEXT, 1)
    assert len(endpoints.asked(question)) == 1
    row = own.wait_end()
    assert (row.status, row.fence) == ("finished", 1)
    check_tokens_spell_text(row)


def test_reader_follows_on_from_its_last_id_when_web_comes_back(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        asked = ask("web is killed, the log is not", endpoints.without)
        asked.wait_shown(SHOWN)
        site.kill("web")
    asked.wait_end()
    assert (asked.tab.num_connections, asked.tab.shown.num_snapshots) == (2, 1)


def test_reader_gets_one_snapshot_when_the_log_has_another_epoch(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        asked = ask("the log is restarted", endpoints.without)
        asked.wait_shown(SHOWN)
        site.kill("valkey")
    asked.wait_end()
    assert (asked.tab.num_connections, asked.tab.shown.num_snapshots) == (1, 2)


def test_new_worker_takes_the_tasks_of_a_killed_one(site: Site, endpoints: Endpoints) -> None:
    site.kill("worker-io")
    site.begin_trial(endpoints.by_prefix)
    report = wait_until("the trial is done", lambda: "lines" in site.probe_report(endpoints.by_prefix), 60)
    assert report


def test_runner_that_is_told_to_stop_saves_and_hands_over_at_once(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        asked = ask("the runner is stopped", endpoints.by_prefix)
        with ask(STORY).held() as own:
            asked.wait_shown(SHOWN)
            with site.without("runner"):
                assert asked.row.text == SHOWN and own.row.text
                leases = "SELECT lease_expires_at <= now() AS is_free FROM answers_answer WHERE id = ANY(%s::uuid[])"
                assert site.execute(leases, [asked.answer, own.answer]) == [{"is_free": True}] * 2
    row = asked.wait_end()
    assert (row.status, row.text, row.fence) == ("finished", TEXT, 2)
    row = own.wait_end()
    assert (row.status, row.fence) == ("finished", 2)
    check_tokens_spell_text(row)


def test_runner_and_log_killed_together(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        prefix, without = ask("two", endpoints.by_prefix), ask("two at once", endpoints.without)
        with ask(STORY).held() as own:
            for asked in (prefix, without):
                asked.wait_shown(SHOWN)
            before = {name: site.stack.kill(name) for name in ("runner", "valkey")}
            for name, pid in before.items():
                site.stack.wait_restarted(name, pid, 20)
    row = prefix.wait_end()
    assert (row.status, row.text) == ("finished", TEXT)
    row = without.wait_end()
    assert (row.status, row.error_code, row.text) == ("failed", "interrupted", SHOWN)
    row = own.wait_end()
    assert row.status == "finished"
    check_tokens_spell_text(row)
