"""Reads the fields of a JSON object one by one, and knows which nobody has asked for. Pure.

A field that is null counts as not given. Every refusal names the field, its value and what is allowed.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any

from chatapp.endpoints.deltas import storable
from chatapp.programs.errors import ApiError, not_understood, out_of_range, unsupported

SHOWN = 60  # characters of a value that a refusal repeats


def read_object(body: bytes) -> dict[str, Any]:
    """Raises ApiError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    clean = _storable(value)
    assert isinstance(clean, dict)
    return clean


class Fields:
    """`place` stands before the names in refusals, such as `messages[3].`"""

    def __init__(self, given: dict[str, Any], place: str = "") -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._place = place
        self._known: set[str] = set()

    def name(self, name: str) -> str:
        return self._place + name

    def any(self, name: str) -> Any:
        self._known.add(name)
        return self._given.get(name)

    def text(self, name: str, most: int | None = None) -> str | None:
        value = self.any(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be a string.")
        if most is not None and len(value) > most:
            raise out_of_range(
                self.name(name), f"{self.name(name)} has {len(value)} characters; at most {most} may be."
            )
        return value

    def needed(self, name: str) -> Any:
        value = self.any(name)
        if value is None:
            raise not_understood(self.name(name), f"{self.name(name)} is missing.")
        return value

    def needed_text(self, name: str) -> str:
        self.needed(name)
        return self.text(name) or ""

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self.any(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be a whole number.")
        if not low <= value <= high:
            raise out_of_range(self.name(name), f"{self._said(name, value)} must be from {low} to {high}.")
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self.any(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be a number.")
        if not low <= value <= high:
            raise out_of_range(self.name(name), f"{self._said(name, value)} must be from {low:g} to {high:g}.")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.any(name)
        if value is not None and not isinstance(value, bool):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be true or false.")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise out_of_range(self.name(name), f"{self._said(name, value)} must be one of {', '.join(allowed)}.")
        return value

    def items(self, name: str, most: int) -> list[Any] | None:
        value = self.any(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be a list.")
        if len(value) > most:
            raise out_of_range(self.name(name), f"{self.name(name)} has {len(value)} items; at most {most} may be.")
        return value

    def object(self, name: str) -> "Fields | None":
        value = self.any(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise not_understood(self.name(name), f"{self._said(name, value)} must be an object.")
        return Fields(value, f"{self.name(name)}.")

    def only(self, name: str, *allowed: Any) -> None:
        """For what we cannot do: nothing but the value that asks for nothing."""
        value = self.any(name)
        if value is not None and value not in allowed:
            words = f"{self._said(name, value)} is not supported; leave it out."
            raise unsupported(self.name(name), words)

    def pass_over(self, names: Iterable[str]) -> None:
        self._known.update(names)

    def refuse_unknown(self) -> None:
        unknown = sorted(set(self._given) - self._known)
        if unknown:
            raise unsupported(self.name(unknown[0]), f"{self.name(unknown[0])[:200]} is not supported; leave it out.")

    def _said(self, name: str, value: Any) -> str:
        words = json.dumps(value, ensure_ascii=False)
        return f"{self.name(name)}={words if len(words) <= SHOWN else words[:SHOWN] + '…'}"


def _storable(value: Any) -> Any:
    """Without what PostgreSQL does not take."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {storable(name): _storable(each) for name, each in value.items()}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ApiError(400, "invalid_json", "The body holds a number that is none.")
    return value
