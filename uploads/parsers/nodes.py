"""What kreuzberg found in a document (its tree, flat), as blocks that count their paragraphs under their headings."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from kreuzberg import ExtractionConfig, extract_file_sync
from kreuzberg.exceptions import KreuzbergError

from uploads.document import Block, BlockKind, Unparsable
from uploads.parsers.elements import table_blocks
from uploads.parsers.outline import Outline

# A group repeats its heading, a list holds its items.
CONTAINERS = {"group", "list", "slide"}


def nodes_of(path: Path, media_type: str) -> list[Mapping[str, Any]]:
    try:
        found = extract_file_sync(path, media_type, config=ExtractionConfig(include_document_structure=True))
    except KreuzbergError as error:
        raise Unparsable("broken") from error
    return [node["content"] for node in found.document["nodes"]] if found.document else []


def blocks(nodes: Iterable[Mapping[str, Any]], levels: Mapping[str, int] | None = None) -> Iterator[Block]:
    """`levels`: paragraphs that are headings though the library does not say so, by `key` of their text."""
    outline, numbers = Outline(), count(1)
    for node in nodes:
        text = str(node.get("text") or "")
        if node["node_type"] == "table":
            yield from table_blocks(_rows(node["grid"]), next(numbers), outline.path)
        elif node["node_type"] not in CONTAINERS and text.strip():
            level = node["level"] if node["node_type"] == "heading" else (levels or {}).get(key(text))
            above = outline.path if level is None else outline.enter(level, text)
            kind: BlockKind = "heading" if level is not None else "code" if node["node_type"] == "code" else "text"
            yield Block(kind, text, {"kind": "paragraph", "paragraph": next(numbers)}, above)


def key(text: str) -> str:
    """What two readers of the same paragraph agree on."""
    return "".join(character for character in text if character.isalnum())


def _rows(grid: Mapping[str, Any]) -> list[list[str]]:
    rows = [[""] * grid["cols"] for _ in range(grid["rows"])]
    for cell in grid["cells"]:
        rows[cell["row"]][cell["col"]] = cell["content"]
    return rows
