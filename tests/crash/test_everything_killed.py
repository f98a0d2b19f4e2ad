"""The power goes: every process is killed at once with answers open, and the site is started again."""

import pytest

from tests.crash.asked import STORY, check_tokens_spell_text
from tests.crash.conftest import Ask, Endpoints
from tests.crash.site import Site
from tests.scripted_endpoint import TEXT, WORDS

pytestmark = pytest.mark.crash
SHOWN = "".join(WORDS[:20])


def test_every_answer_goes_on_after_the_next_start(site: Site, endpoints: Endpoints, ask: Ask) -> None:
    with endpoints.hold():
        prefix, without = ask("power", endpoints.by_prefix), ask("power cut", endpoints.without)
        waiting = prefix.tab.ask("and then?", parent=prefix.reply, endpoint=endpoints.by_prefix)
        with ask(STORY).held() as own:
            for asked in (prefix, without):
                asked.wait_shown(SHOWN)
            site.kill_everything()
    site.start_again()
    row = prefix.wait_end()
    assert (row.status, row.text) == ("finished", TEXT)
    row = without.wait_end()
    assert (row.status, row.error_code, row.text) == ("failed", "interrupted", SHOWN)
    row = own.wait_end()
    assert row.status == "finished"
    check_tokens_spell_text(row)
    message = prefix.tab.wait_for_end(waiting, 30)
    assert (message.status, message.text) == ("finished", TEXT)
    assert len(endpoints.asked("power cut")) == 1 and len(endpoints.asked("power")) == 3
