"""Text fragments: the part of a link (#:~:text=...) that makes a browser scroll to a passage of the live page. Pure."""

import re
from urllib.parse import quote

from search.sentences import CJK

_BULLET = re.compile(r"^\s*[-*•]\s+")
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_WHOLE = 10  # words that are quoted whole
_ENDS = 5  # words at each end of a longer one
_CJK_ENDS = 10  # characters
_MAX_PART = 120


def fragment(text: str) -> str:
    """`text=first words,last words`: both ends stand within one line of the page each. Empty for an empty text."""
    lines = [line for raw in text.splitlines() if (line := _BULLET.sub("", raw).replace("\t", "\n").strip())]
    if not lines:
        return ""
    first, last = lines[0].split("\n")[0], lines[-1].split("\n")[-1].strip()
    if len(lines) == 1 and first == last and len(_WORD.findall(first)) <= _WHOLE:
        return f"text={_encoded(first)}"
    start, end = _first_words(first), _last_words(last)
    return f"text={_encoded(start)},{_encoded(end)}"


def live_link(url: str, text_fragment: str) -> str:
    """Where the live page shows it; a browser that knows no text fragments opens the page."""
    page = url.partition("#")[0]
    return f"{page}#:~:{text_fragment}" if text_fragment else page


def _first_words(line: str) -> str:
    return _words(line, list(_WORD.finditer(line)))


def _last_words(line: str) -> str:
    return _words(line, list(_WORD.finditer(line)), from_end=True)


def _words(line: str, found: list[re.Match[str]], from_end: bool = False) -> str:
    edge = found[-1] if from_end else found[0]
    count = _CJK_ENDS if len(edge.group()) == 1 and edge.group() > "\u3000" else _ENDS
    part = found[-count:] if from_end else found[:count]
    text = line[part[0].start() : part[-1].end()]
    return text[-_MAX_PART:] if from_end else text[:_MAX_PART]


def _encoded(text: str) -> str:
    # A hyphen, a comma and an ampersand are syntax there.
    return quote(text, safe="").replace("-", "%2D")
