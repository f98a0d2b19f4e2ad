"""Two sources that everybody in these tests knows, and a third that is out of reach."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from search import index
from search.configured import configured_encoder
from search.encoding import Encoder
from tests.search.encoders import KEY, our_encoder


@dataclass(frozen=True, slots=True)
class Block:
    text: str
    place: dict[str, Any]
    headings: tuple[str, ...] = ()
    kind: str = "text"


def paragraphs(*texts: str) -> list[Block]:
    """Each under a heading of its own, so that each is a passage."""
    return [Block(text, {"kind": "paragraph", "paragraph": n}, (f"Part {n}",)) for n, text in enumerate(texts, 1)]


def put(*texts: str) -> UUID:
    source_id = uuid4()
    index.put(source_id, paragraphs(*texts))
    return source_id


WATERWORKS = (
    "The harbour station was built in 1911 by the engineer Clara Voss.",
    "Replacing the cast iron mains will cost 4.2 million euros.",
    "The highest nitrate reading was 41 milligrams per litre.",
)
ANLAGEN = (
    "Die Pumpen der Hafenstation laufen seit 1911 ohne größere Störung.",
    "Für den Austausch der Gussleitungen sind 4,2 Millionen Euro vorgesehen.",
    "水质监测系统每小时报告一次硝酸盐浓度。",
    "浄水場のポンプは毎年点検されます。",
)


@pytest.fixture
def waterworks(db: None) -> UUID:
    return put(*WATERWORKS)


@pytest.fixture
def anlagen(db: None) -> UUID:
    return put(*ANLAGEN)


@pytest.fixture
def secret(db: None) -> UUID:
    """Somebody else's: it holds every word that is asked for."""
    return put(" ".join([*WATERWORKS, *ANLAGEN]))


def texts(hits: Iterable[Any]) -> list[str]:
    return [hit.text for hit in hits]


@pytest.fixture(scope="session")
def encoder_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our encoder, one process for the whole run."""
    with our_encoder(tmp_path_factory.mktemp("encoder")) as url:
        yield url


@pytest.fixture
def encoder(encoder_url: str, nobody_else_encodes: None, settings: Settings) -> Encoder:
    """The configured encoder is ours, and runs."""
    settings.EMBEDDINGS_URL, settings.EMBEDDINGS_KEY = encoder_url, KEY
    return configured_encoder()


@pytest.fixture(autouse=True)
def nobody_else_encodes(settings: Settings) -> None:
    """Unless a test asks for an encoder there is none, whatever may run on this machine."""
    settings.EMBEDDINGS_URL = "http://127.0.0.1:9/v1"
