"""The spreadsheets of the hostile corpus, computed with: whatever they are, the answer is tables or a refusal."""

import time
from pathlib import Path

import pytest

from tests.uploads.hostile import CORPUS, SECRET, Bait
from uploads.computing.answer import SPREADSHEETS, Refusal, Tables
from uploads.computing.asking import read_tables
from uploads.document import Limits, Source
from uploads.fence import FenceLimits
from uploads.sniffing import sniff

SHEETS = [name for name in CORPUS if name.rpartition(".")[2] in ("csv", "tsv", "xls", "xlsx", "xlsm", "ods")]
FENCE = FenceLimits(seconds=40.0, memory_bytes=1024**3, processes=16, line_bytes=4 * 1024**2)


def test_the_corpus_has_spreadsheets() -> None:
    assert len(SHEETS) >= 12


@pytest.mark.parametrize("name", SHEETS)
def test_a_hostile_sheet_ends_in_tables_or_in_words(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    path = tmp_path / "sheet"
    path.write_bytes(CORPUS[name].make(Bait("http://127.0.0.1:9/", secret)))
    media_type = sniff(path, name)
    if media_type not in SPREADSHEETS:
        media_type = "text/csv" if name.endswith("sv") else "application/vnd.ms-excel"
    began = time.monotonic()
    answer = read_tables(Source(path, media_type, name, Limits()), fence=FENCE)
    assert isinstance(answer, Tables | Refusal)
    assert not isinstance(answer, Refusal) or answer.words
    assert SECRET not in repr(answer)
    assert time.monotonic() - began < FENCE.seconds + 10
