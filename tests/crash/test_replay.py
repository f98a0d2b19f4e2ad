"""The same question with the same seed and parts, asked of our own worker in the running stack."""

import pytest

from tests.crash.asked import STORY, Asked, check_tokens_spell_text
from tests.crash.conftest import Ask
from tests.crash.site import Site

pytestmark = pytest.mark.crash


def test_replay_says_whether_it_came_out_the_same(site: Site, ask: Ask) -> None:
    asked = ask(STORY)
    original = asked.wait_end()
    assert original.status == "finished" and original.replay_equal is None
    replay = Asked(site, asked.tab, asked.tab.request("replay_answer", answer=asked.answer))
    row = replay.wait_end()
    assert row.status == "finished"
    check_tokens_spell_text(row)
    # In bfloat16 the sums may round differently with another batch: what is promised is that it is said.
    assert row.replay_equal == (row.text == original.text)
