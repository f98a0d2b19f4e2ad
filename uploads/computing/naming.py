"""Names that SQL takes without quotes, made of what a sheet calls its columns and itself. Knows no library."""

import re
from collections.abc import Container

MAX_NAME = 50
ROW = "_row"  # the column that every table has: a row's number in its sheet


def safe_name(title: str, otherwise: str, taken: set[str], reserved: Container[str]) -> str:
    """Adds the name to `taken`. Letters of every script stay; `Cost (EUR)` is cost_eur, `2024` is _2024."""
    name = re.sub(r"\W+", "_", title.strip().lower()).strip("_")[:MAX_NAME].strip("_") or otherwise
    if name[0].isdigit():
        name = f"_{name}"
    if name in reserved:
        name = f"{name}_"
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    taken.add(unique)
    return unique
