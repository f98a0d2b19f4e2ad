"""Plain text to a page: paragraphs as they stand; markdown's and underlined headings are seen."""

import re

from search.web.page import About, Outline, Page
from search.web.unread import Unread
from search.web.untrusted import visible

_GAP = re.compile(r"\n[ \t]*\n\s*")
_HASHES = re.compile(r"(#{1,6})\s+(.+?)\s*#*")
_UNDERLINED = re.compile(r"([^\n]{1,200})\n(=+|-+|~+)")
_FENCED = re.compile(r"(```|~~~)[^\n]*\n(.*?)\n?(?:\1)?", re.DOTALL)


def read_plain(text: str, url: str, is_cut: bool = False) -> Page:
    """The page. Raises Unread("empty")."""
    outline = Outline()
    for part in _GAP.split(visible(text).strip()):
        _add(outline, part)
    if not outline.blocks:
        raise Unread("empty")
    first = outline.blocks[0].text.split("\n")[0].strip()
    return Page(url, About(title=first[:120]), tuple(outline.blocks), is_cut)


def _add(outline: Outline, part: str) -> None:
    if hashes := _HASHES.fullmatch(part):
        outline.add_heading(len(hashes[1]), hashes[2])
    elif underlined := _UNDERLINED.fullmatch(part):
        outline.add_heading("=-~".index(underlined[2][0]) + 1, underlined[1].strip())
    elif fenced := _FENCED.fullmatch(part):
        outline.add("code", fenced[2])
    else:
        outline.add("text", part)
