"""Where sentences begin and end, in the languages we serve. Knows nothing of passages, marks or answers.

Rules, not a model: an ending mark counts unless it stands in a number, an abbreviation or a name's initial. A mark like
[3] behind the full stop belongs to the sentence before it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# CJK ideographs, kana, hangul syllables, and their halfwidth and fullwidth forms.
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
_CLOSERS = "\"'»”’)\\]}」』）】》〉"
_MARKS = r"(?:\s?(?:\[\d{1,3}\]|【\d{1,3}】))*"
# In CJK text an ending mark ends whatever follows; a Latin one needs a space behind it.
_END = re.compile(
    rf"(?P<wide>[。！？｡]+|(?<=[{CJK}])[.!?]+(?!\w))[{_CLOSERS}]*{_MARKS}"
    rf"|(?P<stop>[.!?…]+)[{_CLOSERS}]*{_MARKS}(?=\s|$)"
    r"|(?P<gap>\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*•·–—#]|\d{1,3}[.)])[ \t]))"
)
_LAST_WORD = re.compile(r"[^\s(\[\"'„“«]+$")
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof st jr sr vs etc e.g i.e cf al fig figs no nos vol pp p ed eds ca approx dept est inc ltd co corp
    jan feb mar apr jun jul aug sep sept oct nov dec
    z.b d.h u.a o.ä u.ä usw bzw ca evtl ggf inkl exkl vgl nr abs art hrsg bd aufl st str tel z.t i.d.r s.o s.u bspw sog
    mio mrd hr fr geb gest jh jhd
    m mm mme mlle p.ex c.-à-d env cf chap éd av apr réf tél art vol
    """.split()
)
# What follows a German or French ordinal: "am 3. Mai", "im 19. Jahrhundert".
_AFTER_ORDINAL = re.compile(
    r"\s+(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jahrhundert|Kapitel|Auflage|Abschnitt|Quartal|Klasse|Stock"
    r"|Tag|Woche|Monat|Juni|Juli)"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` up to, not including, `end`."""

    start: int
    end: int


def sentence_spans(text: str) -> Iterator[Span]:
    """Every sentence without the space around it, in order; what has no ending mark is a sentence up to its gap."""
    start = 0
    for match in _END.finditer(text):
        if match["stop"] and not _ends(text, start, match):
            continue
        yield from _trimmed(text, start, match.start() if match["gap"] else match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentence_spans(text)]


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    first = start + len(piece) - len(piece.lstrip())
    last = end - (len(piece) - len(piece.rstrip()))
    if first < last:
        yield Span(first, last)


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a Latin full stop ends its sentence."""
    rest = text[match.end() :][:24].lstrip()
    if rest[:1].islower():
        return False
    if match["stop"] != ".":
        return True
    word = _LAST_WORD.search(text[start : match.start()][-32:])
    before = word.group() if word else ""
    if before.isdigit() and len(before) <= 3:
        is_list_number = not text[start : match.start() - len(before)].strip()
        return not is_list_number and not _AFTER_ORDINAL.match(text, match.end())
    if len(before) == 1 and before.isalpha():
        return False  # an initial, or "z. B."
    return before.lower() not in _ABBREVIATIONS
