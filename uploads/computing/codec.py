"""Queries and answers as JSON. The answer comes from a child that is not trusted: types are checked, all of them.

Dataclasses say themselves what they hold, so that one reader serves for all. Knows no process.
"""

import json
import types
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from uploads.computing.answer import Area, Query, Refusal, Result, Tables
from uploads.wire import CELLS, MAX_NUMBER, UNSTORABLE, WireError, storable

Answer = Tables | Result | Refusal
ANSWERS: dict[str, type[Tables] | type[Result] | type[Refusal]] = {
    "tables": Tables,
    "result": Result,
    "refusal": Refusal,
}
T = TypeVar("T")


def encode_query(query: Query) -> str:
    return json.dumps(asdict(query))


def decode_query(text: str) -> Query:
    return read(Query, json.loads(text))


def encode_answer(answer: Answer) -> str:
    kind = type(answer).__name__.lower()
    return json.dumps({"is": kind, **_storable(asdict(answer))}, ensure_ascii=False, allow_nan=False)


def _storable(value: Any) -> Any:
    match value:
        case dict():
            return {key: _storable(inside) for key, inside in value.items()}
        case list() | tuple():
            return [_storable(inside) for inside in value]
        case str():
            return storable(value)
    return value


def decode_answer(text: str) -> Answer:
    """Raises WireError."""
    try:
        body = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error
    kind = ANSWERS.get(str(body.pop("is", ""))) if isinstance(body, dict) else None
    if kind is None:
        raise WireError("an answer of no known kind")
    answer = read(kind, body)
    if isinstance(answer, Result) and any(len(row) != len(answer.columns) for row in answer.rows):
        raise WireError("a row of another width")
    return answer


def _refuse(constant: str) -> None:
    raise WireError(f"{constant} is no JSON")


def read(kind: type[T], value: Any) -> T:
    """The value as this type says. Raises WireError for any other."""
    found: T = _read(kind, value)
    return found


def _read(kind: Any, value: Any) -> Any:
    if kind == Area:
        return _area(value)
    if is_dataclass(kind):
        return _dataclass(kind, value)
    origin, inside = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _tuple(inside, value)
    if origin is Literal:
        if value not in inside:
            raise WireError("an unknown word")
        return value
    if origin in (Union, types.UnionType):
        if type(value) not in inside:
            raise WireError("none of the types it may have")
        return _read(type(value), value)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise WireError(f"no {kind.__name__}")
    if kind is str and UNSTORABLE.search(value):
        raise WireError("a text that cannot be stored")
    return value


def _dataclass(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise WireError("other keys than expected")
    return kind(**{name: _read(hint, value[name]) for name, hint in hints.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in fields(kind)}


def _tuple(inside: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    assert inside[1:] == (...,), "all our tuples are of any length"
    if not isinstance(value, list):
        raise WireError("no list")
    return tuple(_read(inside[0], one) for one in value)


def _area(value: Any) -> Area:
    match value:
        case {"kind": "cells", "sheet": str(sheet), "range": str(cells), **rest} if not rest:
            if CELLS.fullmatch(cells) and not UNSTORABLE.search(sheet):
                return {"kind": "cells", "sheet": sheet, "range": cells}
        case {"kind": "lines", "first": int(first), "last": int(last), **rest} if not rest:
            if 1 <= first <= last <= MAX_NUMBER:
                return {"kind": "lines", "first": first, "last": last}
    raise WireError("no area")
