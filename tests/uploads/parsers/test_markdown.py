"""Markdown: headings, code, tables, each at its lines."""

from pathlib import Path

from tests.uploads.parsers.reading import block_with, blocks_of

PAGE = """\
# Harbour

Opening words
on two lines.

## Costs

| Item | Euro |
|------|-----:|
| Mole | 410  |

```python
# not a heading
price = 3
```

Second title
------------
Under it.

# Tides
Last.
"""


def test_everything_stands_under_its_headings_at_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(PAGE)
    told = [
        (block.kind, block.text, (block.place["first"], block.place["last"]), block.headings)
        for block in blocks_of(path)
        if block.place["kind"] == "lines"
    ]
    assert told == [
        ("heading", "Harbour", (1, 1), ()),
        ("text", "Opening words\non two lines.", (3, 4), ("Harbour",)),
        ("heading", "Costs", (6, 6), ("Harbour",)),
        ("table", "Item\tEuro\nMole\t410", (8, 10), ("Harbour", "Costs")),
        ("code", "# not a heading\nprice = 3", (13, 14), ("Harbour", "Costs")),
        ("heading", "Second title", (17, 18), ("Harbour",)),
        ("text", "Under it.", (19, 19), ("Harbour", "Second title")),
        ("heading", "Tides", (21, 21), ()),
        ("text", "Last.", (22, 22), ("Tides",)),
    ]


def test_a_readme_of_ours_is_read_whole() -> None:
    path = Path(__file__).resolve().parents[3] / "README.md"
    blocks = blocks_of(path)
    assert block_with("It needs Python 3.11", blocks).headings[-1] == "Start"
    words = set(path.read_text(encoding="utf-8").replace("|", " ").split())
    assert len(words - set(" ".join(block.text for block in blocks).split())) < 0.1 * len(words)
