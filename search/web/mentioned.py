"""Addresses that stand in a question: what a person pasted to be read. Pure."""

import re

from search.sentences import CJK
from search.web.canonical import page_key
from search.web.refused import Refused
from search.web.urls import parse_url

MAX_URLS = 5
# An address ends at a space, at a quote or bracket, and where Chinese or Japanese goes on behind it.
_URL = re.compile(rf"https?://[^\s<>\"'“”«»`|\\^{{}}，。；：！？、）】」』{CJK}]+", re.IGNORECASE)
_PAIRS = {")": "(", "]": "["}


def urls_in(text: str) -> list[str]:
    """Each once, in order; those that could not be asked for anyway are left out."""
    found: dict[str, str] = {}
    for match in _URL.finditer(text):
        try:
            url = str(parse_url(_without_end(match.group())))
        except Refused:
            continue
        found.setdefault(page_key(url), url)
    return list(found.values())[:MAX_URLS]


def without_urls(text: str) -> str:
    """What else is said; the addresses themselves are no words to look for."""
    said = _URL.sub(lambda found: found[0][len(_without_end(found[0])) :], text)
    return " ".join(said.split()) if re.search(r"\w", said) else ""


def _without_end(url: str) -> str:
    """Without the sentence's own full stop, comma or closing bracket."""
    while url[-1] in ".,;:!?*_" or (url[-1] in _PAIRS and url.count(url[-1]) > url.count(_PAIRS[url[-1]])):
        url = url[:-1]
    return url
