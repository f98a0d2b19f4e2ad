"""Results remembered for a while, so that the same query asked twice leaves the house once."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from search.web.providers.provider import Provider, Query, Result, Results

EXPIRES_S = 900  # news are older than that; a regenerated answer comes sooner


class Store(Protocol):
    """As Django's caches."""

    async def aget(self, key: str) -> Any: ...
    async def aset(self, key: str, value: Any, timeout: float | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Remembering:
    """Asks `provider` unless the store knows. Answers with failures in them are not remembered.

    `engine` tells apart two engines of one name: its address, for example.
    """

    provider: Provider
    store: Store
    expires_s: float = EXPIRES_S
    engine: str = ""

    @property
    def name(self) -> str:
        return self.provider.name

    async def search(self, query: Query) -> Results:
        key = _key(f"{self.name} {self.engine}", query)
        if (known := await self.store.aget(key)) is not None:
            return _unpacked(known)
        results = await self.provider.search(query)
        if results.results and not results.failures:
            await self.store.aset(key, [astuple(result) for result in results.results], self.expires_s)
        return results


def _key(name: str, query: Query) -> str:
    """A hash: what was asked for should not be readable in a cache."""
    told = "\n".join((name, query.language or "", str(query.limit), " ".join(query.text.split())))
    return f"web-search:{hashlib.sha256(told.encode()).hexdigest()}"


def _unpacked(known: Sequence[Sequence[str]]) -> Results:
    return Results(tuple(Result(*fields) for fields in known))
