"""The questions of questions.toml, each in five languages with the manual that it is asked of."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.search.quality.manuals import LANGUAGES

Manner = Literal["words", "paraphrase", "riddle"]
# What the promise of docs/retrieval.md is about; a riddle has not a single telling word of the manual.
PROMISED: tuple[Manner, ...] = ("words", "paraphrase")


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    language: str
    manual: str  # the language of the manual that is asked
    manner: Manner
    sections: frozenset[str]

    @property
    def is_across(self) -> bool:
        return self.language != self.manual


def read_questions() -> list[Question]:
    path = Path(__file__).parent / "questions.toml"
    return [
        question
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["question"]
        for question in _in_each_language(entry)
    ]


def _in_each_language(entry: dict[str, object]) -> Iterator[Question]:
    sections = entry["sections"]
    assert isinstance(sections, list)
    for place, language in enumerate(LANGUAGES):
        manual = LANGUAGES[(place + 1) % len(LANGUAGES)] if entry.get("across") else language
        manner: Manner = entry["manner"]  # type: ignore[assignment]  # TOML knows no literals; the test does
        yield Question(str(entry[language]), language, manual, manner, frozenset(sections))
