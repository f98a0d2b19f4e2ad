"""Web pages."""

from pathlib import Path

import pytest

from tests.uploads.parsers.reading import block_with, blocks_of

PAGE = """<!doctype html><html><head><meta charset="{charset}"><title>t</title><style>p {{}}</style></head><body>
<h1>Häfen</h1><p>Die Behörde genehmigte größere Flächen.</p>
<h2>Kosten</h2><ul><li>Erster Punkt</li></ul>
<table><tr><th>Mole</th><th>Side</th><th>Länge</th></tr><tr><td>Nord</td><td>a</td><td>410 m</td></tr></table>
<script>alert("never text")</script><pre>price = 3
total = 4</pre><h1>Gezeiten</h1><p>Zum Schluss.</p></body></html>"""


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_text_stands_under_its_headings(charset: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(PAGE.format(charset=charset).encode(charset))
    blocks = blocks_of(path)
    assert block_with("größere", blocks).headings == ("Häfen",)
    assert block_with("Erster", blocks).headings == ("Häfen", "Kosten")
    assert block_with("410", blocks).text == "Mole\tSide\tLänge\nNord\ta\t410 m"
    assert block_with("price", blocks).kind == "code"
    assert block_with("Schluss", blocks).headings == ("Gezeiten",)
    assert not [block for block in blocks if "never" in block.text]
    assert [block.place["paragraph"] for block in blocks if block.place["kind"] == "paragraph"] == list(
        range(1, len(blocks) + 1)
    )


def test_an_xhtml_declaration_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text('<?xml version="1.0" encoding="utf-8"?>\n<html><body><p>Words of the page.</p></body></html>')
    assert blocks_of(path, "application/xhtml+xml")[0].text == "Words of the page."
