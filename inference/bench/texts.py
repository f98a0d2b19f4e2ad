"""What the benchmarks let a model read, as token ids: documents of any length, and texts it was not fitted to."""

from __future__ import annotations

import random
from functools import cached_property
from pathlib import Path
from pydoc_data.topics import topics

from inference.smollm2 import CALIBRATION_FILE
from inference.tokenizer import Tokenizer

# Chapters of Python's own reference; the routers of the default model were fitted to another one, "execmodel".
HELD_OUT = "assignment compound debugger formatstrings specialnames string-methods types typesseq".split()


class Texts:
    def __init__(self, model: Path) -> None:
        self._tokenizer = Tokenizer(model)

    def document(self, number: int, num_tokens: int) -> tuple[int, ...]:
        """Begins with its number, so that no two have a common beginning."""
        lines = random.Random(number).choices(self._lines, k=1 + num_tokens // 8)
        token_ids = self._tokenizer.encode("\n".join([f"Document {number}.", *lines]))
        assert len(token_ids) >= num_tokens
        return tuple(token_ids[:num_tokens])

    def question(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(f"\n\n{text}"))

    def held_out(self, num_tokens: int) -> list[tuple[int, ...]]:
        """Texts of equal length."""
        texts = [self._tokenizer.encode(topics[name]) for name in HELD_OUT if name in topics]
        return [tuple(token_ids[:num_tokens]) for token_ids in texts if len(token_ids) >= num_tokens]

    @cached_property
    def _lines(self) -> list[str]:
        return [line for line in CALIBRATION_FILE.read_text(encoding="utf-8").splitlines() if len(line) > 60]
