"""What must hold of every answer that has ended, whatever was broken on the way."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from ops.environment import DEFAULT_MODEL
from tests.crash.reader import Reader
from tests.crash.site import Row, Site

Accepted = Mapping[str, Any]


def check_shown_is_stored(site: Site, tab: Reader, accepted: Accepted, timeout_s: float = 60) -> Row:
    """The reader and the row tell one story: same text, same end, told once, nothing shown was ever taken back."""
    message = tab.wait_for_end(dict(accepted), timeout_s)
    row = site.wait_row_ended(accepted["answer"], 5)
    assert (message.status, message.error_code, message.finish_reason) == (
        row.status,
        row.error_code,
        row.finish_reason,
    )
    assert message.text == row.text, tab.describe()
    assert message.reasoning == row.reasoning
    assert tab.shown.losses == [], tab.describe()
    return row


def check_tokens_spell_text(row: Row) -> None:
    """Of our own worker: a lost or doubled token would be a letter too few or too many."""
    spelt = _tokenizer().decode(row.token_ids, skip_special_tokens=True)
    if row.status == "finished":
        assert spelt == row.text
        assert row.completion_tokens is not None and abs(row.completion_tokens - len(row.token_ids)) <= 1
    else:
        assert spelt.startswith(row.text)


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(DEFAULT_MODEL / "tokenizer.json"))
