"""What a hostile file is here, and the list that the modules beside this one fill."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# How a file may end: read to its end, in part, refused before it is read, or with a fault of uploads/document.py.
READ, PARTLY, REFUSED = "ready", "partly", "refused"


@dataclass(frozen=True, slots=True)
class Bait:
    """What a file that gets its way would touch."""

    url: str  # of a listener that counts
    secret: Path  # a file with SECRET in it


SECRET = "zq-the-canary-sang"


@dataclass(frozen=True, slots=True)
class Hostile:
    name: str
    make: Callable[[Bait], bytes]
    ends: frozenset[str]


CORPUS: dict[str, Hostile] = {}


def hostile(name: str, *ends: str) -> Callable[[Callable[[Bait], bytes]], Callable[[Bait], bytes]]:
    """Adds a file under the name it is uploaded by; `ends`: the states that are right for it."""

    def added(make: Callable[[Bait], bytes]) -> Callable[[Bait], bytes]:
        assert name not in CORPUS and ends, name
        CORPUS[name] = Hostile(name, make, frozenset(ends))
        return make

    return added
