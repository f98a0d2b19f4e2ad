"""Source code and JSON."""

from pathlib import Path

from tests.uploads.parsers.reading import block_with, blocks_of

CLASSES = """\
import os

class Harbour:
    def open(self):
        return 1

class Mole:
""" + "".join(f"    def step_{number}(self):\n        return {number}\n\n" for number in range(60))


def test_pieces_begin_at_definitions_under_their_class(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(CLASSES)
    blocks = blocks_of(path)
    assert [block.kind for block in blocks] == ["code"] * len(blocks)
    assert block_with("class Harbour", blocks).place == {"kind": "lines", "first": 3, "last": 5}
    assert block_with("step_59", blocks).headings == ("class Mole",)
    assert block_with("step_59", blocks).text.startswith("def step_")


def test_no_line_is_lost_or_said_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(CLASSES)
    lines = [line for block in blocks_of(path) for line in block.text.splitlines() if line.strip()]
    assert [line.strip() for line in lines] == [line.strip() for line in CLASSES.splitlines() if line.strip()]


def test_every_other_text_type_is_code(tmp_path: Path) -> None:
    path = tmp_path / "a.rs"
    path.write_text("pub fn main() {}\n")
    assert blocks_of(path, "text/x-rust")[0].kind == "code"


def test_json_without_line_breaks_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + ",".join(f'{{"id": {number}}}' for number in range(3000)) + "]")
    blocks = blocks_of(path)
    assert len(blocks) > 3 and max(len(block.text) for block in blocks) < 10_000
    assert blocks[-1].place == {"kind": "lines", "first": 1, "last": 1}
