"""The same query twice is asked once; another, a failed or an expired one is asked again."""

import asyncio
from uuid import uuid4

from django.core.cache.backends.locmem import LocMemCache

from search.web.providers.provider import Failure, Query, Result, Results
from search.web.providers.remembering import Remembering

GOOD = Results((Result("https://a.test/", "A", "text", "counting"),))


class Counting:
    name = "counting"

    def __init__(self, answer: Results = GOOD) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def search(self, query: Query) -> Results:
        self.asked.append(query.text)
        return self._answer


def store() -> LocMemCache:
    return LocMemCache(uuid4().hex, {})


async def test_a_query_is_asked_once() -> None:
    provider = Counting()
    remembering = Remembering(provider, store())
    assert [await remembering.search(Query(text)) for text in ("a  b", "a b", "a b")] == [GOOD] * 3
    assert provider.asked == ["a  b"]


async def test_another_query_language_or_engine_is_another() -> None:
    provider, shared = Counting(), store()
    other = Counting()
    other.name = "other"
    for query in (Query("a"), Query("b"), Query("a", "de"), Query("a", "de", 3)):
        await Remembering(provider, shared).search(query)
    await Remembering(other, shared).search(Query("a"))
    assert (len(provider.asked), len(other.asked)) == (4, 1)


async def test_failures_and_nothing_are_asked_again() -> None:
    for answer in (Results(), Results(GOOD.results, (Failure("counting", "timeout"),))):
        provider = Counting(answer)
        remembering = Remembering(provider, store())
        assert [await remembering.search(Query("a")) for _ in range(2)] == [answer] * 2
        assert len(provider.asked) == 2


async def test_it_forgets() -> None:
    provider = Counting()
    remembering = Remembering(provider, store(), expires_s=0.05)
    await remembering.search(Query("a"))
    await asyncio.sleep(0.1)
    await remembering.search(Query("a"))
    assert len(provider.asked) == 2
