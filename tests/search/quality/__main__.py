"""Recall@5 of the text half, the vector half and their fusion, through the real index and the real encoder.

    python -m tests.search.quality [--packages var/quality] [--misses]

Downloads the manuals by apt-get (16 MB) when they are not in --packages yet. Takes three to ten minutes.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from tests.search.encoders import KEY, our_encoder
from tests.search.quality.manuals import LANGUAGES, fetch, packages, read_manual
from tests.search.quality.questions import PROMISED, Question, read_questions
from tests.search.standing_site import standing_site

HITS = 5
HALVES = ("words", "vectors", "fusion")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, default=Path("var/quality"))
    parser.add_argument("--misses", action="store_true", help="show what the fusion does not find")
    options = parser.parse_args()
    fetch(options.packages)
    print(f"{', '.join(packages())}\n")
    with tempfile.TemporaryDirectory() as folder, our_encoder(Path(folder)) as url, standing_site("quality"):
        from django.conf import settings

        settings.EMBEDDINGS_URL, settings.EMBEDDINGS_KEY = url, KEY
        sections = fill(options.packages)
        report(measure(read_questions(), sections, options.misses))
    return 0


def fill(folder: Path) -> dict[UUID, list[str]]:
    """Every manual put and embedded; gives the section of each paragraph of each source."""
    from search import index

    sections, num = {}, 0
    began = time.monotonic()
    for language in LANGUAGES:
        blocks = read_manual(folder, language)
        num += index.put(source_of(language), blocks)
        sections[source_of(language)] = [block.section for block in blocks]
    print(f"{num} passages put, {num / (time.monotonic() - began):.0f} a second")
    began = time.monotonic()
    while index.embed(1000):
        pass
    print(f"{num} vectors made, {num / (time.monotonic() - began):.0f} a second\n")
    return sections


def source_of(language: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"manual:{language}")


Results = dict[tuple[str, str], list[bool]]  # (half, group) -> whether each question was answered


def measure(questions: Sequence[Question], sections: dict[UUID, list[str]], show_misses: bool) -> Results:
    results: Results = defaultdict(list)
    for question in questions:
        source = source_of(question.manual)
        for half, find_ids in halves().items():
            found = {sections[source][paragraph - 1] for paragraph in find_ids(question.text, source)}
            is_found = bool(found & question.sections)
            for group in groups(question):
                results[half, group].append(is_found)
            if show_misses and half == "fusion" and not is_found:
                print(f"missed ({question.manner}, {question.language} in {question.manual}): {question.text}")
    return results


def halves() -> dict[str, Callable[[str, UUID], list[int]]]:
    """Each gives the paragraphs where its best passages begin."""
    from search.by_meaning import find_by_meaning
    from search.by_words import find_by_words
    from search.configured import configured_encoder
    from search.models import Passage
    from search.retrieval import find
    from search.scope import filter_of, num_passages

    def paragraphs(passage_ids: Sequence[int]) -> list[int]:
        return [row.place["paragraph"] for row in Passage.objects.filter(pk__in=passage_ids)]

    def words(text: str, source: UUID) -> list[int]:
        scope = filter_of([source])
        return paragraphs([each.passage_id for each in find_by_words(text, scope, num_passages(scope), HITS)])

    def vectors(text: str, source: UUID) -> list[int]:
        scope, encoder = filter_of([source]), configured_encoder()
        found = find_by_meaning(encoder.question(text), encoder.model, scope, num_passages(scope), HITS)
        return paragraphs([each.passage_id for each in found])

    def fusion(text: str, source: UUID) -> list[int]:
        found = find(text, [source], limit=HITS)
        assert found.by_meaning
        return [hit.place["paragraph"] for hit in found]

    return dict(zip(HALVES, (words, vectors, fusion), strict=True))


def groups(question: Question) -> list[str]:
    kind = question.manner + (", across" if question.is_across else "")
    return [kind, "all promised", question.language] if question.manner in PROMISED else [kind]


def report(results: Results) -> None:
    order = ["all promised", *LANGUAGES]
    order += sorted({group for _, group in results} - set(order))
    print("| questions | " + " | ".join(HALVES) + " |\n|---|" + "---|" * len(HALVES))
    for group in order:
        shares = [sum(results[half, group]) / len(results[half, group]) for half in HALVES]
        num = len(results[HALVES[0], group])
        print(f"| {group} ({num}) | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


if __name__ == "__main__":
    sys.exit(main())
