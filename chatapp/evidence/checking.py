"""Holds the cited sentences of an answer against the passages they cite."""

import logging

from chatapp.answers.models import Answer
from chatapp.evidence.marks import Cited, cited_sentences
from chatapp.evidence.models import Check, Evidence
from search.checking import Similarity, check
from search.configured import configured_encoder
from search.encoding import OutOfReach
from search.similarity import similarity_of

logger = logging.getLogger(__name__)


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
    verdict = check(sentence.words, [row.text for row in cited], similarity)
    return Check(
        answer=answer,
        start=sentence.start,
        end=sentence.end,
        numbers=list(sentence.numbers),
        verdict=verdict.found,
        evidence=cited[verdict.best] if verdict.best is not None else None,
    )
