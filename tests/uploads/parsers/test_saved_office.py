"""What LibreOffice saves: OpenDocument, rich text, books, and Microsoft's old formats."""

from pathlib import Path

import pytest
from olefile import OleFileIO

from tests.uploads.parsers.reading import TYPES, block_with, blocks_of, read
from tests.uploads.parsers.test_docx import check_report
from uploads.document import Progress, Started, Unparsable


@pytest.mark.parametrize("form", ["odt", "rtf"])
def test_paragraphs_stand_under_their_headings(form: str, saved: Path) -> None:
    check_report(blocks_of(saved / f"report.{form}"))


def test_an_old_word_document_gives_its_paragraphs_in_order(saved: Path) -> None:
    blocks = blocks_of(saved / "report.doc")
    texts = [block.text for block in blocks]
    assert texts[:3] == ["Harbour report", "Chapter 1", "Chapter 1 opens with a word on the tides."]
    assert block_with("Section 2.1 is about", blocks).text == "Section 2.1 is about größere Flächen and 疏浚工程."
    assert block_with("410 m", blocks).text == "Mole\tLength\nNorth\t410 m\nSouth\t380 m"
    assert texts[-1] == "After the table."


def test_a_book_is_read_chapter_by_chapter(saved: Path) -> None:
    path = saved / "report.epub"
    events = read(path)
    assert isinstance(events[0], Started) and events[0].unit == "part" and events[0].total >= 2
    assert [event.done for event in events if isinstance(event, Progress)] == list(range(1, events[0].total + 1))
    blocks = blocks_of(path)
    assert block_with("Section 2.1 is about", blocks).headings == ("Chapter 2",)
    assert [block.place for block in blocks] == [
        {"kind": "paragraph", "paragraph": number} for number in range(1, len(blocks) + 1)
    ]


def test_slides_of_an_open_presentation_keep_shapes_and_notes(saved: Path) -> None:
    blocks = blocks_of(saved / "deck.odp")
    assert [(block.text, block.place) for block in blocks if "slide 2" in block.text] == [
        ("Title of slide 2", {"kind": "slide", "slide": 2, "shape": 1}),
        ("High on slide 2", {"kind": "slide", "slide": 2, "shape": 2}),
        ("Low on slide 2", {"kind": "slide", "slide": 2, "shape": 3}),
        ("Said on slide 2", {"kind": "slide", "slide": 2, "shape": 0}),
    ]
    assert block_with("Low on slide 3", blocks).headings == ("Title of slide 3",)
    assert block_with("410 m", blocks).text == "Mole\tLength\nNorth\t410 m"


def test_slides_of_an_old_presentation_keep_their_texts_and_notes(saved: Path) -> None:
    events, blocks = read(saved / "deck.ppt"), blocks_of(saved / "deck.ppt")
    assert events[0] == Started("slide", 4)
    assert block_with("Title of slide 2", blocks).kind == "heading"
    low, note = block_with("Low on slide 2", blocks), block_with("Said on slide 2", blocks)
    assert low.place["kind"] == "slide" and low.place["slide"] == 2 and low.headings == ("Title of slide 2",)
    assert note.place == {"kind": "slide", "slide": 2, "shape": 0}
    assert block_with("410 m", blocks).place["kind"] == "slide"


@pytest.mark.parametrize("form", ["odt", "odp", "epub", "rtf", "doc", "ppt"])
def test_what_is_none_of_them_is_broken(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}"
    path.write_bytes(b"PK\x03\x04 and then nothing of the kind" * 40)
    with pytest.raises(Unparsable, match="broken"):
        read(path, TYPES[form])


@pytest.mark.parametrize(
    ("name", "stream", "at", "mark"),
    [("report.doc", "WordDocument", 11, b"\x13"), ("deck.ppt", "Current User", 12, bytes.fromhex("dfc4d1f3"))],
)
def test_old_formats_tell_of_their_password(
    name: str, stream: str, at: int, mark: bytes, saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes((saved / name).read_bytes())
    with OleFileIO(path, write_mode=True) as compound:
        data = compound.openstream(stream).read()
        compound.write_stream(stream, data[:at] + mark + data[at + len(mark) :])
    with pytest.raises(Unparsable, match="encrypted"):
        read(path)


@pytest.mark.parametrize("form", ["odt", "odp", "ods", "epub"])
def test_unpacking_to_more_than_allowed_is_a_bomb(form: str, saved: Path) -> None:
    name = next(path.name for path in saved.iterdir() if path.suffix == f".{form}")
    with pytest.raises(Unparsable, match="bomb"):
        read(saved / name, max_unpacked_bytes=1000)
