"""Asks an encoder for vectors: ours, or any other `/v1/embeddings`. Knows no database and no settings."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

BATCH = 16  # texts a request: a second or two of work for ours
_QUESTION = httpx.Timeout(5.0, connect=0.5)  # our model may have to be loaded first, in one to two seconds
_PASSAGES = httpx.Timeout(120.0, connect=2.0)


class OutOfReach(Exception):
    """No vectors to be had from there now; says why, without the text that was sent."""


class Prefixes(NamedTuple):
    question: str
    passage: str


# Encoders that were trained with a word before each text. It belongs to the text, so that ours and others get it alike.
_FAMILIES = {
    "e5": Prefixes("query: ", "passage: "),
    "nomic-embed": Prefixes("search_query: ", "search_document: "),
}


def prefixes_of(model: str) -> Prefixes:
    """What the model's family wants before a question and before a passage; mostly nothing."""
    name = model.lower().rpartition("/")[2]
    for family, prefixes in _FAMILIES.items():
        if re.search(rf"(?:^|[-_]){family}(?:$|[-_.])", name):
            return prefixes
    return Prefixes("", "")


class Encoder:
    """One for a process: it keeps its connections. `url` ends in /v1."""

    def __init__(self, url: str, model: str, key: str = "") -> None:
        self.model = model
        self._url = f"{url.rstrip('/')}/embeddings"
        self._prefixes = prefixes_of(model)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # The encoder of this machine is never asked through a proxy.
            mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
        )

    def question(self, text: str) -> list[float]:
        """The question's vector, of length 1. Raises OutOfReach."""
        return self._ask(self._prefixes.question + text, 1, _QUESTION)[0]

    def passages(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text, all of the same size. Raises OutOfReach."""
        return self._ask([self._prefixes.passage + text for text in texts], len(texts), _PASSAGES)

    def plain(self, texts: Sequence[str]) -> tuple[list[list[float]], int | None]:
        """The texts as they are, for whoever knows what their model wants before them; and the tokens it has counted.

        Raises OutOfReach.
        """
        response = self._post(list(texts), _PASSAGES)
        return _vectors(response, len(texts)), _num_tokens(response)

    def _ask(self, given: str | list[str], num: int, timeout: httpx.Timeout) -> list[list[float]]:
        return _vectors(self._post(given, timeout), num)

    def _post(self, given: str | list[str], timeout: httpx.Timeout) -> httpx.Response:
        try:
            response = self._http.post(self._url, json={"model": self.model, "input": given}, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OutOfReach(f"the encoder does not answer ({type(error).__name__})") from error
        if response.status_code != 200:
            raise OutOfReach(f"the encoder answers with status {response.status_code}")
        return response


def _num_tokens(response: httpx.Response) -> int | None:
    """Of an answer that has vectors, and may say nothing of tokens."""
    usage = response.json().get("usage")
    num_tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return num_tokens if isinstance(num_tokens, int) and 0 <= num_tokens < 2**31 else None


def _vectors(response: httpx.Response, num: int) -> list[list[float]]:
    try:
        data: list[dict[str, Any]] = sorted(response.json()["data"], key=lambda each: each["index"])
        vectors = [_unit([float(value) for value in each["embedding"]]) for each in data]
    except (ValueError, KeyError, TypeError) as error:
        raise OutOfReach("the encoder's answer has no known form") from error
    if len(vectors) != num or len({len(vector) for vector in vectors}) != 1:
        raise OutOfReach(f"the encoder gave {len(vectors)} vectors for {num} texts")
    return vectors


def _unit(vector: list[float]) -> list[float]:
    """Length 1, so that inner products are cosines. Raises ValueError where there is no direction."""
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not vector or not math.isfinite(length) or not length:
        raise ValueError("a vector without a direction")
    return [value / length for value in vector]
