"""Readers come and go while one answer streams: a reload, a second reader, a lost network, and the right to read."""

import pytest

from tests.crash.conftest import Ask, Endpoints
from tests.crash.site import Site
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
SHOWN = "".join(WORDS[:20])


def test_reload_second_reader_and_lost_network_end_with_the_same_text(
    site: Site, endpoints: Endpoints, ask: Ask
) -> None:
    with endpoints.hold():
        first = ask("for many readers", endpoints.without)
        first.wait_shown(SHOWN)
        with site.tab(first.conversation) as reloaded, site.tab(first.conversation) as late:
            reloaded.wait_for_text(first.reply, SHOWN, 10)
            late.lose_network()
            first.tab.lose_network()
            endpoints.server.gate.set()
            reloaded.wait_for_end(first.accepted, 20)
            assert first.shown == SHOWN  # nothing has reached it
            first.tab.regain_network()
            late.regain_network()
            row = first.wait_end(20)
            for tab in (reloaded, late):
                tab.wait_for_end(first.accepted, 20)
                assert (tab.text(first.reply), tab.shown.losses) == (TEXT, [])
    assert (row.status, row.text) == ("finished", TEXT)
    # It went on from the last id it had seen, and needed no snapshot for that.
    assert (first.tab.num_connections, first.tab.shown.num_snapshots) == (2, 1)


def test_reader_that_stays_away_longer_than_the_log_gets_a_snapshot(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        asked = ask("for a reader who sleeps", endpoints.without)
        asked.wait_shown(SHOWN)
        asked.tab.lose_network()
    wait_until("it ends unseen", lambda: asked.row.is_ended and asked.row.is_told, 20)
    with site.without("valkey"):
        for path in (site.data / "valkey").rglob("*"):
            if path.is_file():
                path.unlink()  # as a lost disk, or an expired log
    asked.tab.regain_network()
    asked.wait_end(30)
    assert asked.tab.shown.num_snapshots == 2


def test_page_shows_what_the_log_goes_on_from(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    """A page read in the middle of an answer: its position and its text fit together, so that nothing is missing."""
    with endpoints.hold():
        asked = ask("for a page", endpoints.without)
        asked.wait_shown(SHOWN)
        wait_until("the text is saved", lambda: asked.row.text == SHOWN, 10)
        position = site.page_position(asked.conversation)
        assert position is not None and int(position.split("-")[1]) > 0
        with site.tab(asked.conversation, position) as tab:
            tab.shown.hold_page(asked.tab.shown, asked.row.text)
            endpoints.server.gate.set()
            tab.wait_for_end(asked.accepted, 20)
            assert (tab.text(asked.reply), tab.shown.losses, tab.shown.num_snapshots) == (TEXT, [], 0)
