"""A value that DuckDB gave, as JSON and people can have it. Knows no DuckDB."""

import datetime
import math
from decimal import Decimal

from uploads.computing.answer import Scalar

LARGEST_EXACT = 2**53  # JavaScript counts no further


def scalar_of(value: object, longest: int) -> tuple[Scalar, bool]:
    """The value, and whether it had to be cut. Floats lose what adding them up has left in the sixteenth digit."""
    match value:
        case None | bool():
            return value, False
        case int():
            return (value if abs(value) <= LARGEST_EXACT else str(value)), False
        case float():
            return (float(f"{value:.15g}") if math.isfinite(value) else str(value)), False
        case Decimal():
            return (int(value) if value == value.to_integral_value() else float(value)), False
        case datetime.datetime():
            return value.isoformat(sep=" "), False
        case datetime.date() | datetime.time():
            return value.isoformat(), False
        case _:
            text = str(value)
            return (text if len(text) <= longest else text[:longest] + "…"), len(text) > longest
