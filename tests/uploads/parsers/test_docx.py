"""Word documents, by python-docx and by LibreOffice."""

from pathlib import Path

import pytest

from tests.uploads.parsers.reading import OFFICE, block_with, blocks_of, read, renamed_main_part
from uploads.document import Block, Unparsable


def check_report(blocks: list[Block]) -> None:
    assert block_with("Section 2.1 is about", blocks).text == "Section 2.1 is about größere Flächen and 疏浚工程."
    assert block_with("Section 2.1 is about", blocks).headings[-2:] == ("Chapter 2", "Section 2.1")
    assert block_with("Chapter 2 opens", blocks).headings[-1] == "Chapter 2"
    assert "Chapter 1" not in block_with("Chapter 2 opens", blocks).headings
    assert block_with("Point of section 1.2", blocks).headings[-1] == "Section 1.2"
    table = block_with("410 m", blocks)
    assert (table.kind, table.text) == ("table", "Mole\tLength\nNorth\t410 m\nSouth\t380 m")
    assert [block.text for block in blocks if block.kind == "heading"][-6:] == [
        "Chapter 1",
        "Section 1.1",
        "Section 1.2",
        "Chapter 2",
        "Section 2.1",
        "Section 2.2",
    ]
    assert [block.place for block in blocks] == [
        {"kind": "paragraph", "paragraph": number} for number in range(1, len(blocks) + 1)
    ]


def test_paragraphs_stand_under_their_headings(written: Path) -> None:
    blocks = blocks_of(written / "report.docx")
    check_report(blocks)
    assert block_with("Chapter 1 opens", blocks).headings == ("Harbour report", "Chapter 1")


def test_libreoffice_writes_the_same(saved: Path) -> None:
    check_report(blocks_of(saved / "report.docx"))


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
        f"{OFFICE}.wordprocessingml.template.main+xml",
    ],
)
def test_macros_and_templates_read_as_documents(written: Path, tmp_path: Path, content_type: str) -> None:
    check_report(blocks_of(renamed_main_part(written / "report.docx", tmp_path / "a.docx", content_type)))


def test_a_document_cut_short_is_broken(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    whole = (written / "report.docx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unparsable, match="broken"):
        read(path)


def test_unpacking_to_more_than_allowed_is_a_bomb(written: Path) -> None:
    with pytest.raises(Unparsable, match="bomb"):
        read(written / "report.docx", max_unpacked_bytes=10_000)


def test_a_password_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    with pytest.raises(Unparsable, match="encrypted"):
        read(path)
