"""The small web, served for the whole run, and a guard that may ask exactly its one port."""

from collections.abc import Iterator

import pytest

from search.web.guard import Guard
from tests.search.web.small_web import SmallWeb


@pytest.fixture(scope="session")
def served() -> Iterator[SmallWeb]:
    with SmallWeb() as web:
        yield web


@pytest.fixture
def web(served: SmallWeb) -> SmallWeb:
    served.asked.clear()
    served.headers.clear()
    served.most_at_once.clear()
    return served


@pytest.fixture
def guard(web: SmallWeb) -> Guard:
    return Guard(web.resolver, web.exceptions)
