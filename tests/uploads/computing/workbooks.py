"""Spreadsheets by openpyxl, and the same in other forms by LibreOffice."""

import datetime
import subprocess
from pathlib import Path

import openpyxl

from uploads.document import Limits, Source

PROGRAM = "soffice"
MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xls": "application/vnd.ms-excel",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
}
REGIONS = ("North", "South", "East")


def source_of(path: Path) -> Source:
    return Source(path, MEDIA_TYPES[path.suffix[1:]], path.name, Limits())


def write_sales(path: Path) -> None:
    """Two sheets: sales with a title and a total, in B2:F18; people, and under them a second table, of trips."""
    book = openpyxl.Workbook()
    sales = book.active
    assert sales is not None
    sales.title = "Sales 2024"
    sales["B2"] = "Sales by region"
    for column, title in zip("BCDEF", ("Region", "Price (EUR)", "Pieces", "Day", "Paid"), strict=True):
        sales[f"{column}3"] = title
    for index in range(12):
        row = 4 + index
        sales[f"B{row}"] = REGIONS[index % 3]
        sales[f"C{row}"] = 10 + index / 2
        sales[f"D{row}"] = index
        sales[f"E{row}"] = datetime.date(2024, 1, 1 + index)
        sales[f"E{row}"].number_format = "yyyy-mm-dd"
        sales[f"F{row}"] = index % 4 == 0
    sales["B16"], sales["C16"], sales["D16"] = "Total", 153, 66
    people = book.create_sheet("People")
    for line in (["Name", "Region"], ["Ann", "North"], ["Bob", "South"], ["Cem", "East"]):
        people.append(line)
    people.append([])
    people.append(["Trips"])
    for trip in (["Who", "Hours"], ["Ann", 3], ["Bob", 4.5]):
        people.append(trip)
    book.save(path)


def convert(path: Path, form: str) -> Path:
    """LibreOffice with a profile of its own, so that no other instance is asked."""
    folder = path.parent
    subprocess.run(
        [PROGRAM, f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", form, path.name],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=180,
    )
    return path.with_suffix(f".{form}")
