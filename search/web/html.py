"""HTML to a page: the main text in blocks, without navigation, banners and what no reader sees.

trafilatura finds the main text. Where it finds next to nothing of much, the page is read as it stands (BeautifulSoup).
A page that shows no text has a reason, and says it.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

import lxml.html
import trafilatura
from bs4 import BeautifulSoup, Tag
from lxml.etree import ParserError, _Element
from lxml.html import HtmlElement

from search.web.about import read_about
from search.web.hidden import remove_hidden
from search.web.page import Outline, Page, PageBlock
from search.web.unread import Fault, Unread
from search.web.untrusted import visible

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_FEW = 250  # characters: less is a teaser, a notice, or nothing
_SHARE = 0.2  # of what stands on the page: less, and the extraction has missed it
# A page of two million characters that is nothing but tags took 20 s; one of 100 kB has some 4,000.
_MAX_TAGS = 40_000
_MAX_DEPTH = 200  # levels; trafilatura recurses, and nobody nests so deep by hand
_SOUP_FURNITURE = ["nav", "header", "footer", "aside", "form", "button", "select", "dialog", "svg", "iframe"]
_SOUP_BLOCKS = ["h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "pre", "table", "blockquote", "dt", "dd", "figcaption"]
_BREAK = "\x00"  # no page holds one by then
_HEADING = re.compile(r"h([1-6])")

_SCRIPTS = re.compile(r"enable javascript|javascript (?:is )?(?:required|disabled|needed)|requires javascript"
    r"|javascript (?:aktivieren|einschalten)|aktivieren sie javascript|activer javascript|启用\s*javascript"
    r"|javascript\s*を有効", re.IGNORECASE)  # fmt: skip
_WALL = re.compile(
    r"cookie|captcha|are you (?:a )?human|not a robot|unusual traffic|checking your browser|access denied"
    r"|verify you are|consent|datenschutz|zustimm|einwillig|sign in to|log ?in to|anmelden, um|connectez-vous"
    r"|人机验证|验证码|登录后|請先登入|ログインして|同意",
    re.IGNORECASE,
)
_ROOTS = "//*[@id='root' or @id='app' or @id='__next' or @id='__nuxt' or @id='___gatsby']"


def read_html(html: str, url: str, is_cut: bool = False) -> Page:
    """The page. Raises Unread: `scripts`, `wall`, `empty` or `broken`."""
    html, has_rest = _first_tags(_DECLARATION.sub("", html.replace("\0", ""), count=1))
    about = read_about(html, url)
    tree = _tree(html)
    title = _heading(tree)
    scripted = _is_scripted(tree)
    remove_hidden(tree)
    shown = len(" ".join(tree.text_content().split()))
    blocks = _main_blocks(tree, title)
    num_characters = _length(blocks)
    if num_characters < _FEW and num_characters < _SHARE * shown:
        whole = _whole_blocks(tree)
        blocks = whole if _length(whole) > num_characters else blocks
    if fault := _fault(blocks, scripted):
        raise Unread(fault)
    return Page(url, about, tuple(blocks), is_cut or has_rest)


def _first_tags(html: str) -> tuple[str, bool]:
    """As much of the page as is read, and whether there is more."""
    if html.count("<") <= _MAX_TAGS:
        return html, False
    ends = re.finditer("<", html)
    return html[: next(islice(ends, _MAX_TAGS, None)).start()], True


def _tree(html: str) -> HtmlElement:
    parser = lxml.html.HTMLParser(encoding="utf-8")
    try:
        tree = lxml.html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    except (ParserError, ValueError) as error:
        raise Unread("empty") from error
    if _depth(tree) > _MAX_DEPTH:
        raise Unread("broken")
    return tree


def _depth(tree: HtmlElement) -> int:
    depth, level = 0, [tree]
    while level and depth <= _MAX_DEPTH:
        depth, level = depth + 1, [child for element in level for child in element]
    return depth


def _heading(tree: HtmlElement) -> str:
    found = tree.xpath("//h1")
    return _line(found[0].text_content()) if len(found) == 1 else ""


def _main_blocks(tree: HtmlElement, title: str) -> list[PageBlock]:
    document = trafilatura.bare_extraction(tree, fast=True, include_tables=True, include_comments=False)
    body = getattr(document, "body", None)
    outline = Outline()
    if title and body is not None and not any(_line(_flat(head)) == title for head in body.iter("head")):
        outline.add_heading(1, title)  # it stood in a header that was taken for furniture
    for element in body if body is not None else ():
        _add(outline, element)
    return outline.blocks


def _add(outline: Outline, element: _Element) -> None:
    match element.tag:
        case "head":
            outline.add_heading(int((element.get("rend") or "h2")[1:2] or 2), _line(_flat(element)))
        case "code":
            outline.add("code", visible(_flat(element, is_code=True)).strip("\n"))
        case "list":
            outline.add("text", "\n".join(_items(element)))
        case "table":
            _add_table(outline, [[_line(_flat(cell)) for cell in row.iter("cell")] for row in element.iter("row")])
        case "quote" if len(element):
            outline.add("text", _line(element.text or ""))
            for child in element:
                _add(outline, child)
        case _:
            outline.add("text", _paragraph(_flat(element)))


def _items(element: _Element, depth: int = 0) -> Iterator[str]:
    """`- item` lines; a definition follows its term on the same line."""
    term = ""
    for item in element.iterchildren("item"):
        inner = list(item.iterchildren("list"))
        text = _line(_flat(item, without=inner))
        if (item.get("rend") or "").startswith("dt"):
            if term:
                yield f"- {term}"
            term = text
            continue
        if text:
            yield f"- {term}: {text}" if term else f"- {text}"
            term = ""
        for each in inner:
            yield from _items(each, depth + 1)
    if term:
        yield f"- {term}"


def _add_table(outline: Outline, rows: list[list[str]]) -> None:
    rows = [row for row in rows if any(row)]
    if max(map(len, rows), default=0) > 1:
        outline.add("table", "\n".join("\t".join(row) for row in rows))
    else:
        for row in rows:  # made for the looks
            outline.add("text", row[0])


def _flat(element: _Element, without: Sequence[_Element] = (), is_code: bool = False) -> str:
    """The text of an element, with the line breaks that a reader sees."""
    parts = [element.text]
    for child in element:
        if child.tag == "lb":
            parts.append(_BREAK)
        elif child not in without:
            space = " " if child.tag in ("p", "list", "item", "cell", "row") else ""
            parts += [space, _flat(child, is_code=True), space]
        parts.append(child.tail)
    text = "".join(part or "" for part in parts)
    return text if is_code else " ".join(text.split()).replace(_BREAK, "\n")


def _whole_blocks(tree: HtmlElement) -> list[PageBlock]:
    """Every block of text on the page that is no furniture by its tag."""
    soup = BeautifulSoup(lxml.html.tostring(tree, encoding="unicode"), "lxml")
    for tag in soup.find_all(_SOUP_FURNITURE):
        tag.decompose()
    outline = Outline()
    for tag in soup.find_all(_SOUP_BLOCKS):
        if tag.find_parent(_SOUP_BLOCKS) is None:
            _add_tag(outline, tag)
    if not outline.blocks and soup.body:
        outline.add("text", _paragraph(soup.body.get_text("\n")))
    return outline.blocks


def _add_tag(outline: Outline, tag: Tag) -> None:
    if heading := _HEADING.fullmatch(tag.name):
        outline.add_heading(int(heading[1]), _line(tag.get_text(" ")))
    elif tag.name == "pre":
        outline.add("code", visible(tag.get_text()).strip("\n"))
    elif tag.name == "table":
        rows = [[_line(cell.get_text(" ")) for cell in row.find_all(["td", "th"])] for row in tag.find_all("tr")]
        _add_table(outline, rows)
    else:
        text = _line(tag.get_text(" "))
        outline.add("text", f"- {text}" if tag.name == "li" else text)


def _is_scripted(tree: HtmlElement) -> bool:
    """Whether scripts make the page: it says so where there are none, or has an empty place for them to fill."""
    if _SCRIPTS.search(" ".join(element.text_content() for element in tree.xpath("//noscript"))):
        return True
    return bool(tree.xpath("//script")) and any(not root.text_content().strip() for root in tree.xpath(_ROOTS))


def _fault(blocks: list[PageBlock], is_scripted: bool) -> Fault | None:
    """Why so little text is none; None where it counts."""
    if _length(blocks) >= 4 * _FEW:
        return None
    text = " ".join(block.text for block in blocks)
    few = len(text) < _FEW
    if few and is_scripted or _SCRIPTS.search(text):
        return "scripts"
    if len({match.lower() for match in _WALL.findall(text)}) >= (1 if few else 3):
        return "wall"
    return "empty" if not any(block.kind != "heading" for block in blocks) else None


def _length(blocks: list[PageBlock]) -> int:
    return sum(len(block.text) for block in blocks if block.kind != "heading")


def _line(text: str) -> str:
    return " ".join(visible(text).split())


def _paragraph(text: str) -> str:
    return "\n".join(line for raw in visible(text).split("\n") if (line := " ".join(raw.split())))
