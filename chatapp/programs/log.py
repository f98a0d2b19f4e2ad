"""What a call says while it runs: one Valkey stream each, from its runner to the web process that waits for it.

An entry says where it stands in its part, so that twice does no harm and a gap is seen. The row of the ended call has
everything once more: who misses something here waits for that. Offsets count characters.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatapp.answers.events import Part
from chatapp.answers.valkey import blocking_client, client

TTL_S = 600  # after its last entry
BLOCK_MS = 2000
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """`part` None: the call has ended."""

    part: Part | None
    at: int = 0
    text: str = ""


async def say(call_id: UUID, part: Part, at: int, text: str) -> None:
    """Raises RedisError; may then be repeated."""
    async with client().pipeline(transaction=False) as pipe:
        pipe.xadd(_key(call_id), _wire(Entry(part, at, text)))
        pipe.expire(_key(call_id), TTL_S)
        await pipe.execute()


def say_ended(call_id: UUID) -> None:
    """After the commit. Raises RedisError."""
    with blocking_client().pipeline(transaction=False) as pipe:
        pipe.xadd(_key(call_id), _wire(Entry(None)))
        pipe.expire(_key(call_id), TTL_S)
        pipe.execute()


async def read(call_id: UUID, last: str) -> tuple[str, list[Entry]]:
    """What came after `last` ("0": all), and the new last; none after two seconds without. Raises RedisError."""
    found: Any = await client().xread({_key(call_id): last}, count=_PAGE, block=BLOCK_MS)
    entries = _entries(found)
    return (entries[-1][0].decode() if entries else last), [_entry(fields) for _, fields in entries]


async def drop(call_id: UUID) -> None:
    """Raises RedisError."""
    await client().delete(_key(call_id))


def _key(call_id: UUID) -> str:
    return f"sonde:call:{call_id}"


def _wire(entry: Entry) -> dict[Any, Any]:
    return {"e": json.dumps([entry.part, entry.at, entry.text], ensure_ascii=False)}


def _entries(found: Any) -> list[Any]:
    """Of the one stream that was asked for."""
    return list(found[0][1]) if found else []


def _entry(fields: Any) -> Entry:
    return Entry(*json.loads(fields[b"e"]))
