"""Holds the cited sentences of an answer against the passages they cite."""

import logging
from collections.abc import Iterator, Sequence

from chatapp.answers.models import Answer
from chatapp.evidence.computed import Computed
from chatapp.evidence.marks import Cited, cited_sentences
from chatapp.evidence.models import Check, Evidence
from search.checking import Similarity, Verdict, check
from search.configured import configured_encoder
from search.encoding import OutOfReach
from search.numbers import Quantity, quantities
from search.similarity import similarity_of

logger = logging.getLogger(__name__)

DECIMALS = range(5)  # to which people round


def check_sentences(answer: Answer) -> list[Check]:
    """A check for each sentence with a mark. A number that is no passage of this answer supports nothing."""
    sentences = cited_sentences(answer.message.text)
    wanted = {number for sentence in sentences for number in sentence.numbers}
    rows = Evidence.objects.filter(answer=answer, number__in=wanted).select_related("excerpt")
    passages = {row.number: row for row in rows}
    similarity = similarity_of(configured_encoder()) if passages else None
    try:
        made = [_check(answer, sentence, passages, similarity) for sentence in sentences]
    except OutOfReach as error:
        logger.warning("answer %s is checked by words alone: %s", answer.pk, error)
        made = [_check(answer, sentence, passages, None) for sentence in sentences]
    return [each for each in made if each is not None]


def _check(
    answer: Answer, sentence: Cited, passages: dict[int, Evidence], similarity: Similarity | None
) -> Check | None:
    cited = [passages[number] for number in sentence.numbers if number in passages]
    if any(row.excerpt is None for row in cited):
        return None  # the source was deleted: nothing can be said of it any more
    verdict = compare(sentence.words, cited, similarity)
    return Check(
        answer=answer,
        start=sentence.start,
        end=sentence.end,
        numbers=list(sentence.numbers),
        verdict=verdict.found,
        evidence=cited[verdict.best] if verdict.best is not None else None,
    )


def compare(words: str, cited: Sequence[Evidence], similarity: Similarity | None = None) -> Verdict:
    """What was computed holds values and few words: its sentence stands on its quantities, if it has any.

    Those of the query count as well (longer than 50), and a value may be rounded, or said in percent.
    """
    verdict = check(words, [row.text for row in cited], similarity)
    claimed = quantities(words)
    computed = [index for index, row in enumerate(cited) if row.computed is not None]
    if verdict.found == "supported" or not computed or not claimed:
        return verdict
    held = [quantity for row in cited for quantity in _held_by(row)]
    is_held = all(any(_is_rounding(each, other) for other in held) for each in claimed)
    return Verdict("supported" if is_held else "not_found", computed[0])


def _held_by(row: Evidence) -> Iterator[Quantity]:
    """Cells of a result are numbers as programs write them, of any number of decimals."""
    if row.computed is None:
        yield from quantities(row.text)
        return
    yield from quantities(Computed.of(row).sql)
    for cell in row.text.replace("\n", "\t").split("\t"):
        try:
            yield Quantity(frozenset({float(cell)}))
        except ValueError:
            yield from quantities(cell)


def _is_rounding(said: Quantity, held: Quantity) -> bool:
    """Units are not compared: a cell holds a bare number, and the sentence says of what."""
    exact = {value * factor for value in held.values for factor in ((1, 100) if said.unit == "%" else (1,))}
    return any(round(value, decimals) == one for value in exact for decimals in DECIMALS for one in said.values)
