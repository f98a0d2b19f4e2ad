"""Plain text and its encodings."""

from pathlib import Path

import pytest

from tests.uploads.parsers.reading import block_with, blocks_of, read
from uploads.document import Progress, Started, Unparsable

GERMAN = "Die Behörde genehmigte größere Flächen für die Straßenbahn, und prüft jährlich die Übergänge.\n"
CHINESE = "港务局在三月的勘测之后批准了第二期疏浚工程，并将每年检查一次所有的过渡区段。\n"
RUSSIAN = "Портовое управление утвердило второй этап дноуглубительных работ после мартовского обследования.\n"


def test_paragraphs_keep_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\n\nthree\n   \nfour")
    assert [(block.text, block.place) for block in blocks_of(path)] == [
        ("one\ntwo", {"kind": "lines", "first": 1, "last": 2}),
        ("three", {"kind": "lines", "first": 5, "last": 5}),
        ("four", {"kind": "lines", "first": 7, "last": 7}),
    ]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "cp1252"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (CHINESE, "utf-8"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-16"),
        (RUSSIAN, "cp1251"),
    ],
)
def test_the_encoding_is_found(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((text * 3).encode(encoding))
    assert blocks_of(path)[0].text == (text * 3).strip()


def test_an_umlaut_after_a_megabyte_of_ascii_is_right(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"plain words all along\n\n" * 60_000 + GERMAN.encode("cp1252"))
    assert blocks_of(path)[-1].text == GERMAN.strip()


def test_a_line_without_end_comes_in_pieces_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * 30_000)
    blocks = blocks_of(path)
    assert len(blocks) > 3 and "".join(block.text for block in blocks) == "x" * 30_000
    assert {(block.place["first"], block.place["last"]) for block in blocks if block.place["kind"] == "lines"} == {
        (1, 1)
    }


def test_progress_comes_on_the_way_and_ends_at_the_total(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("line\n" * 5000)
    events = read(path)
    progress = [event.done for event in events if isinstance(event, Progress)]
    assert events[0] == Started("line", 5000)
    assert len(progress) > 4 and progress == sorted(progress) and progress[-1] == 5000


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_a_text_without_text_is_empty(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(Unparsable, match="empty"):
        read(path)


def test_control_characters_and_nul_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"be\x00fore\x07 and \x1bafter\n")
    assert block_with("and", blocks_of(path)).text == "before and after"


def test_more_characters_than_allowed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word \n\n" * 100)
    assert len(blocks_of(path, max_characters=400)) == 100
    with pytest.raises(Unparsable, match="too_large"):
        read(path, max_characters=399)


def test_a_type_nobody_reads_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x7fELF")
    with pytest.raises(Unparsable, match="unsupported"):
        read(path, "application/x-executable")
