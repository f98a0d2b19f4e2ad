"""Reads a JSON object field by field, with types and ranges, and refuses what nobody has read.

A null counts as absent. Nothing is accepted and ignored: `finish` names the first field that was not asked for.
"""

from __future__ import annotations

from typing import Any

from inference.server.errors import BadRequest


class Fields:
    def __init__(self, body: object, where: str = "") -> None:
        if not isinstance(body, dict):
            raise BadRequest(f"{where or 'the request body'} must be a JSON object", param=where or None)
        self._values: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
        self._where = where

    def path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def has(self, name: str) -> bool:
        return name in self._values

    def take(self, name: str) -> Any:
        """The value as it is, or None."""
        return self._values.pop(name, None)

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.invalid(name, value, "true or false")
        return value

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise self.invalid(name, value, "a string")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.invalid(name, value, f"an integer from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, above: bool = False) -> float | None:
        """`above`: the lower end itself is not allowed."""
        value = self.take(name)
        if value is None:
            return None
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if not good or (above and value == low):
            raise self.invalid(name, value, f"a number {'above' if above else 'from'} {low:g} to {high:g}")
        return float(value)

    def finish(self) -> None:
        for name in self._values:
            raise BadRequest(f"{self.path(name)} is not supported", code="unsupported_option", param=self.path(name))

    def invalid(self, name: str, value: object, wanted: str) -> BadRequest:
        shown = repr(value) if isinstance(value, int | float) else "absent" if value is None else type(value).__name__
        return BadRequest(f"{self.path(name)} must be {wanted}, not {shown}", param=self.path(name))
