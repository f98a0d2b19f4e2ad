"""A question that was asked, its reader, and what must hold of its answer whatever was broken on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from ops.environment import DEFAULT_MODEL
from tests.crash.reader import Reader
from tests.crash.site import Row, Site

STORY = "Write a long story about a lighthouse and its keeper."


class Asked:
    """`tab` follows it; `answer`, `reply` and `conversation` are the ids of its `accepted` frame."""

    def __init__(self, site: Site, tab: Reader, accepted: dict[str, Any]) -> None:
        assert accepted["type"] == "accepted", accepted
        self._site = site
        self.tab = tab
        self.accepted = accepted
        self.answer: str = accepted["answer"]
        self.reply: str = accepted["reply"]
        self.conversation: str = accepted["conversation"]

    @property
    def shown(self) -> str:
        return self.tab.text(self.reply)

    @property
    def row(self) -> Row:
        return self._site.row(self.answer)

    def wait_shown(self, wanted: int | str, timeout_s: float = 45) -> str:
        return self.tab.wait_for_text(self.reply, wanted, timeout_s)

    def wait_more(self, characters: int = 1, timeout_s: float = 60) -> str:
        """Until it has gone on from here."""
        return self.wait_shown(len(self.shown) + characters, timeout_s)

    @contextmanager
    def held(self) -> Iterator["Asked"]:
        """Of our own worker: some words are shown, and no more come until the block ends, however fast it is."""
        self.wait_shown(20)
        with self._site.paused("inference"):
            assert not self.row.is_ended, "it ended before it could be held"
            yield self

    def cancel(self) -> None:
        assert self.tab.cancel(self.answer)["type"] == "accepted"

    def wait_end(self, timeout_s: float = 90) -> Row:
        """Reader and row tell one story: same text, same end, and nothing that was shown was ever taken back."""
        message = self.tab.wait_for_end(self.accepted, timeout_s)
        row = self._site.wait_row_ended(self.answer, 5)
        told = (message.status, message.error_code, message.finish_reason)
        assert told == (row.status, row.error_code, row.finish_reason), self.tab.describe()
        assert message.text == row.text, self.tab.describe()
        assert message.reasoning == row.reasoning
        assert self.tab.shown.losses == [], self.tab.describe()
        return row


def check_tokens_spell_text(row: Row) -> None:
    """Of our own worker: a lost or doubled token would be some letters too few or too many."""
    spelt = _tokenizer().decode(row.token_ids, skip_special_tokens=True)
    assert spelt == row.text if row.status == "finished" else spelt.startswith(row.text)


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(DEFAULT_MODEL / "tokenizer.json"))
