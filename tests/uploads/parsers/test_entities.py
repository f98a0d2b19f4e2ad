"""No document reaches a file beside it: an entity that names one is never followed."""

import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.uploads.parsers.reading import blocks_of
from uploads.document import Unparsable

SECRET = "the words of another file"


def with_entity(xml: bytes, word: bytes, secret: Path) -> bytes:
    """An entity that is the file's content, used after a word of the text."""
    assert word in xml
    declared = re.match(rb"(<\?xml[^>]*\?>)?", xml)
    assert declared is not None
    entity = f'<!DOCTYPE x [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'.encode()
    return declared[0] + entity + xml[declared.end() :].replace(word, word + b" &s;")


@pytest.mark.parametrize(
    ("name", "member", "word"),
    [
        ("report.docx", "word/document.xml", "tides"),
        ("deck.pptx", "ppt/slides/slide1.xml", "High on"),
        ("saved/report.odt", "content.xml", "tides"),
        ("saved/deck.odp", "content.xml", "High on"),
        ("saved/costs.ods", "content.xml", "Anna"),
        ("costs.xlsx", "xl/sharedStrings.xml", "Anna"),
    ],
)
def test_an_entity_is_never_followed(
    name: str, member: str, word: str, written: Path, saved: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    path = tmp_path / Path(name).name
    with ZipFile(written / name) as whole, ZipFile(path, "w") as changed:
        for item in whole.infolist():
            data = whole.read(item)
            if item.filename == member:
                data = with_entity(data, word.encode(), tmp_path / "secret")
            changed.writestr(item, data)
    try:
        text = " ".join(block.text for block in blocks_of(path))
    except Unparsable as problem:
        assert problem.fault in ("broken", "empty")
    else:
        assert SECRET not in text
