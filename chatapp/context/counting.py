"""Counts tokens before an endpoint does: with its own tokenizer.json, or by a ratio learned from its usage reports.

Knows no database, HTTP, settings or clock.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

# A learned ratio is an average: one in ten characters is kept in reserve for text that is denser than it.
RESERVE = 1.1
# One report moves the ratio by a fifth: some questions in another language do not turn it over.
SMOOTHING = 0.2
LOWEST, HIGHEST = 1.0, 8.0  # Chinese in an English vocabulary; long words in a large one
# Below this a report says more about the template than about the text.
FEWEST_CHARACTERS = 200


class Counter(Protocol):
    def count(self, text: str) -> int: ...


class TokenizerCounter:
    """Exact but for the template's own tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class RatioCounter:
    def __init__(self, characters_per_token: float) -> None:
        self._characters_per_token = min(max(characters_per_token, LOWEST), HIGHEST)

    def count(self, text: str) -> int:
        return math.ceil(len(text) / self._characters_per_token * RESERVE)


def counter_for(tokenizer_path: str, characters_per_token: float) -> Counter:
    """The tokenizer where a path is given and the file is there (a worker may be imported later), else the ratio."""
    path = Path(tokenizer_path)
    if not tokenizer_path or not path.is_file():
        return RatioCounter(characters_per_token)
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: Path, mtime_ns: int) -> TokenizerCounter:
    return TokenizerCounter(Tokenizer.from_file(str(path)))


def learned_ratio(ratio: float, characters: int, tokens: int) -> float:
    """The next ratio after an endpoint reported `tokens` for a prompt of `characters`."""
    if characters < FEWEST_CHARACTERS or tokens <= 0:
        return ratio
    seen = min(max(characters / tokens, LOWEST), HIGHEST)
    return ratio + SMOOTHING * (seen - ratio)
