"""Addresses and values of spreadsheet cells in words. Knows no library."""

import datetime
from typing import TypeAlias

# What python-calamine reads.
Value: TypeAlias = "int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta"


def column_name(column: int) -> str:
    """0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def range_of(first_row: int, first_column: int, last_row: int, last_column: int) -> str:
    """Indices from 0, both corners included."""
    first = f"{column_name(first_column)}{first_row + 1}"
    last = f"{column_name(last_column)}{last_row + 1}"
    return first if first == last else f"{first}:{last}"


def in_words(value: Value, is_percent: bool = False) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return f"{value * 100:.10g}%" if is_percent else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        has_time = value.time() != datetime.time()
        return value.isoformat(sep=" ", timespec="auto") if has_time else value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
