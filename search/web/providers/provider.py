"""What every search engine is to us. A failure is a value beside the results, never an empty list in their place."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

FailureCode = Literal[
    "unreachable",
    "timeout",
    "unauthorised",  # no key, a wrong one, or one without this right
    "rate_limited",
    "blocked",  # the engine took us for a program: a captcha, a denied access
    "rejected",  # it does not take this request; `detail` may say more
    "failed",  # an error of its own
    "malformed",  # its answer is not what its documentation says
    "refused",  # its address may not be asked
]


@dataclass(frozen=True, slots=True)
class Query:
    """`language` is an ISO code, or None where it is not known."""

    text: str
    language: str | None = None
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Result:
    """`snippet` is the engine's own excerpt: a hint for choosing pages, not a source."""

    url: str
    title: str
    snippet: str
    engine: str


@dataclass(frozen=True, slots=True)
class Failure:
    """`detail` is a word for people who set the engine up; never a key, a query or a page."""

    engine: str
    code: FailureCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """Best first. Nothing found and nothing failed is an answer too."""

    results: tuple[Result, ...] = ()
    failures: tuple[Failure, ...] = field(default=())


class Provider(Protocol):
    @property
    def name(self) -> str: ...

    async def search(self, query: Query) -> Results:
        """Raises nothing that the engine or the network can cause."""
        ...
