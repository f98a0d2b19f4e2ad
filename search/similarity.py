"""How near texts are in meaning, by the encoder: what search.checking may be given. Knows no database."""

from collections.abc import Sequence

from search.checking import Similarity
from search.encoding import Encoder

CALIBRATED = "use-multilingual-v3"  # the one whose cosines search.checking knows how to read


def similarity_of(encoder: Encoder) -> Similarity | None:
    """Cosines, by one request for each sentence and passage; None for an encoder that checking was not tuned with.

    Keeps the vectors of the texts it has seen. The function raises OutOfReach.
    """
    if encoder.model != CALIBRATED:
        return None
    known: dict[str, list[float]] = {}

    def similarity(sentence: str, texts: Sequence[str]) -> list[float]:
        missing = [text for text in dict.fromkeys([sentence, *texts]) if text not in known]
        if missing:
            known.update(zip(missing, encoder.passages(missing), strict=True))
        one = known[sentence]
        return [sum(a * b for a, b in zip(one, known[text], strict=True)) for text in texts]

    return similarity
