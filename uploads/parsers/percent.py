"""Which cells of an xlsx sheet are shown in percent. The library that reads values fast keeps no formats.

0.25 shown as 25 % must be found as 25 %. Nothing but the numbers of the styles is read, by expressions over the XML:
a tree of 10,000 rows takes longer than reading them.
"""

import re
from pathlib import Path
from zipfile import ZipFile

from uploads.parsers.archive import read_xml

BUILT_IN = {9, 10}  # 0% and 0.00%
# A larger sheet keeps its plain numbers: this pass holds it in memory.
MAX_SHEET_BYTES = 128 * 1024**2
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

_CELL = re.compile(rb"<(?:\w+:)?c\s([^>]*)>")
_ADDRESS = re.compile(rb'\br="([A-Z]{1,3})(\d+)"')
_STYLE = re.compile(rb'\bs="(\d+)"')


def percent_cells(path: Path, sheet: str) -> frozenset[tuple[int, int]]:
    """Row and column, from 0."""
    with ZipFile(path) as archive:
        if "xl/styles.xml" not in archive.namelist():
            return frozenset()
        styles = _percent_styles(archive)
        part = _part_of(archive, sheet)
        if not styles or part is None or archive.getinfo(part).file_size > MAX_SHEET_BYTES:
            return frozenset()
        return frozenset(_cells(archive.read(part), styles))


def _percent_styles(archive: ZipFile) -> set[bytes]:
    """The indices of the cell formats that show percent."""
    root = read_xml(archive, "xl/styles.xml")
    codes = {
        int(item.get("numFmtId", "0")) for item in root.iter(f"{MAIN}numFmt") if "%" in (item.get("formatCode") or "")
    }
    formats = root.find(f"{MAIN}cellXfs")
    shown = codes | BUILT_IN
    return {
        str(index).encode()
        for index, item in enumerate(formats if formats is not None else [])
        if int(item.get("numFmtId", "0")) in shown
    }


def _part_of(archive: ZipFile, sheet: str) -> str | None:
    relations = {
        item.get("Id"): (item.get("Target") or "").lstrip("/")
        for item in read_xml(archive, "xl/_rels/workbook.xml.rels")
    }
    for item in read_xml(archive, "xl/workbook.xml").iter(f"{MAIN}sheet"):
        if item.get("name") == sheet:
            target = relations.get(item.get(RELATION), "")
            part = target if target.startswith("xl/") else f"xl/{target}"
            return part if part in archive.namelist() else None
    return None


def _cells(xml: bytes, styles: set[bytes]) -> "set[tuple[int, int]]":
    cells = set()
    for match in _CELL.finditer(xml):
        style, address = _STYLE.search(match[1]), _ADDRESS.search(match[1])
        if style and address and style[1] in styles:
            cells.add((int(address[2]) - 1, _column(address[1])))
    return cells


def _column(name: bytes) -> int:
    number = 0
    for letter in name:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
