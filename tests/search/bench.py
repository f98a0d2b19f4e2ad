"""How long a question takes over 100,000 passages: `python -m tests.search.bench [--passages N] [--questions 200]`.

The words are made up, some common and most rare as in a language; the vectors are unit vectors around a thousand
centres. A question's vector comes over HTTP from a server that has it ready: the encoder's own 10 ms are not in it.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from tests.search.encoders import ForeignEncoder, foreign_encoder
from tests.search.standing_site import standing_site

NAMESPACE = UUID(int=1)
DIMENSIONS = 512
PASSAGES_A_SOURCE = 200
WORDS_A_PASSAGE = 120
DIFFERENT = 10_000  # texts; saying more of them takes longer than everything else here
MODEL = "made up"
SCOPES = (1, 50, 150, 1_000_000)  # sources, or all there are


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    vector: list[float]


class Language:
    """Sixty thousand words, the n-th used as often as 1/n."""

    def __init__(self, chance: random.Random) -> None:
        parts = ("bcdfghjklmnpqrstvwxz", "aeiouy", ["", "", "l", "m", "n", "r", "s", "t", "ck", "sch", "nd"])
        syllables = [first + vowel + last for first in parts[0] for vowel in parts[1] for last in parts[2]]
        made = {"".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(75_000)}
        self.words = sorted(made, key=lambda _: chance.random())[:60_000]
        self._weights = list(accumulate(1 / n for n in range(1, len(self.words) + 1)))
        self._chance = chance

    def say(self, num: int) -> str:
        return " ".join(self._chance.choices(self.words, cum_weights=self._weights, k=num))


class Space:
    """Unit vectors near one of a thousand centres."""

    def __init__(self, chance: random.Random) -> None:
        import numpy as np

        self._numbers = np.random.default_rng(chance.randrange(2**32))
        self._centres = self._numbers.standard_normal((1000, DIMENSIONS))

    def vectors(self, num: int) -> list[list[float]]:
        import numpy as np

        centres = self._centres[self._numbers.integers(0, len(self._centres), num)]
        made = centres + self._numbers.standard_normal((num, DIMENSIONS))
        vectors: list[list[float]] = (made / np.linalg.norm(made, axis=1, keepdims=True)).tolist()
        return vectors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    chance = random.Random(7)
    language, space = Language(chance), Space(chance)
    with standing_site("bench"), foreign_encoder() as encoder:
        from django.conf import settings

        settings.EMBEDDINGS_URL, settings.EMBEDDINGS_MODEL = encoder.url, MODEL
        sources = fill(options.passages, language, space)
        questions = [Question(language.say(8), vector) for vector in space.vectors(options.questions)]
        for num in SCOPES:
            report(questions, chance.sample(sources, min(num, len(sources))), encoder)
        for num in SCOPES:
            check_recall(sources[:num], space)
    return 0


def fill(num: int, language: Language, space: Space) -> list[UUID]:
    from django.db import connection

    from search.by_meaning import make_near_index

    began = time.monotonic()
    sources = [uuid5(NAMESPACE, str(n)) for n in range(-(-num // PASSAGES_A_SOURCE))]
    with connection.cursor() as cursor:
        copy(
            cursor,
            "search_passage (id, source_id, ordinal, text, headings, place, characters, terms)",
            rows(num, language),
        )
        copy(cursor, "search_vector (passage_id, source_id, model, value)", vectors(num, space))
        cursor.execute("INSERT INTO search_word SELECT DISTINCT unnest(tsvector_to_array(terms)) FROM search_passage")
        print(f"{num} passages written in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        cursor.execute("SET maintenance_work_mem = '1GB'")
        make_near_index(DIMENSIONS)
        cursor.execute("VACUUM ANALYZE search_passage, search_vector, search_word")  # as autovacuum does after a while
        print(f"vectors indexed in {time.monotonic() - began:.0f} s")
        for table in ("search_passage", "search_vector", "search_word"):
            cursor.execute("SELECT pg_size_pretty(pg_total_relation_size(%s))", [table])
            print(f"{table}: {cursor.fetchone()[0]}")
    return sources


def copy(cursor: Any, target: str, lines: Iterator[Sequence[object]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN") as out:
        for line in lines:
            out.write_row(line)


def rows(num: int, language: Language) -> Iterator[Sequence[object]]:
    from search.terms import vector_literal

    told = [(language.say(4), language.say(WORDS_A_PASSAGE)) for _ in range(min(num, DIFFERENT))]
    literals = [vector_literal([heading], text) for heading, text in told]
    for n in range(num):
        heading, text = told[n % len(told)]
        source, ordinal = uuid5(NAMESPACE, str(n // PASSAGES_A_SOURCE)), n % PASSAGES_A_SOURCE
        place = f'{{"kind": "paragraph", "paragraph": {ordinal + 1}}}'
        yield n + 1, str(source), ordinal, text, [heading], place, len(text), literals[n % len(told)]


def vectors(num: int, space: Space) -> Iterator[Sequence[object]]:
    from search.by_meaning import literal

    for first in range(0, num, 1000):
        for n, vector in enumerate(space.vectors(min(1000, num - first)), first):
            yield n + 1, str(uuid5(NAMESPACE, str(n // PASSAGES_A_SOURCE))), MODEL, literal(vector)


def report(questions: Sequence[Question], scope: Sequence[UUID], encoder: ForeignEncoder) -> None:
    from search.retrieval import find

    wall, cpu = [], []
    for question in questions:
        encoder.vector = question.vector
        began, began_cpu = time.perf_counter(), cpu_s()
        assert find(question.text, scope).by_meaning
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((cpu_s() - began_cpu) * 1000)
    print(
        f"{len(scope) * PASSAGES_A_SOURCE} passages in scope: {percentiles(wall)}; on the processor {percentiles(cpu)}"
    )


def percentiles(times_ms: Sequence[float]) -> str:
    return f"p50 {statistics.median(times_ms):.1f} ms, p95 {statistics.quantiles(times_ms, n=20)[-1]:.1f} ms"


def cpu_s() -> float:
    """What this process and its database server have computed: the time a question takes on a machine left alone."""
    from django.db import connection

    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    on_cpu = Path(f"/proc/{backend}/schedstat").read_text(encoding="ascii").split()[0]
    return time.process_time() + int(on_cpu) / 1e9


def check_recall(sources: Sequence[UUID], space: Space) -> None:
    """Of the ten nearest of a scope, how many the query finds; the exact comparison says which they are."""
    from django.db import connection

    from search.by_meaning import find_by_meaning, literal
    from search.scope import filter_of, num_passages

    scope = filter_of(sources)
    size, right, asked = num_passages(scope), 0, 0
    for vector in space.vectors(20):
        found = {each.passage_id for each in find_by_meaning(vector, MODEL, scope, size, 10)}
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT passage_id FROM search_vector WHERE {scope.sql} ORDER BY value <#> %s::halfvec LIMIT 10",
                [*scope.params, literal(vector)],
            )
            nearest = {passage_id for (passage_id,) in cursor.fetchall()}
        right += len(found & nearest)
        asked += len(nearest)
    print(f"{len(sources) * PASSAGES_A_SOURCE} passages in scope: {right / asked:.3f} of the ten nearest are found")


if __name__ == "__main__":
    sys.exit(main())
