"""Elements of a page that no reader sees, taken out of its tree: where text for machines alone is put."""

import re
from collections.abc import Iterator

from lxml.html import HtmlElement

_NEVER_SHOWN = (
    "//template | //noscript | //noframes | //datalist | //script | //style[not(ancestor::head)] | //comment()"
)
_STYLED = "//*[@style or @hidden or @class or @id or (self::input and @type='hidden')]"
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*(?:0?\.0*|0)(?![\d.]*[1-9])\b"
    r"|font-size\s*:\s*(?:0*(?:\.0\d*)?(?:px|pt|r?em|%)?|[01](?:\.\d+)?(?:px|pt)|0?\.[0-2]\d*r?em)\s*(?:;|!|$)"
    r"|(?<!-)color\s*:\s*transparent"
    r"|(?:text-indent|left|top|right|bottom|margin-left|margin-top)\s*:\s*-\d{3,}"
    r"|clip\s*:\s*rect\(\s*0|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0)|transform\s*:\s*scale\(\s*0\s*\)"
    r"|(?:max-)?(?:height|width)\s*:\s*0(?:px)?\s*(?:;|$|!).*overflow\s*:\s*hidden"
    r"|overflow\s*:\s*hidden.*(?<![-\w])(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*(?:;|$|!)",
    re.IGNORECASE | re.DOTALL,
)
_COLOUR = re.compile(r"(?<![-\w])(background(?:-color)?|color)\s*:\s*([^;!]+)", re.IGNORECASE)
_WHITE = {"white": "#fff", "#ffffff": "#fff", "rgb(255,255,255)": "#fff", "black": "#000", "#000000": "#000"}
# A rule of the page's own style sheet, outside @media; only plain selectors: .name, #name, tag.name
_RULE = re.compile(r"([^{}@;]+)\{([^{}]*)\}")
_AT_BLOCK = re.compile(r"@[^{};]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_SELECTOR = re.compile(r"[a-z0-9]*([.#])([\w-]+)", re.IGNORECASE)
_MAX_STYLE = 200_000  # characters
_MOST = 0.3  # a style sheet that hides more of the text hides it until a script shows it


def remove_hidden(tree: HtmlElement) -> None:
    """Take them out where they stand; what follows an element stays."""
    rules = _hiding_names("\n".join(tree.xpath("//style/text()"))[:_MAX_STYLE])
    for element in tree.xpath(_NEVER_SHOWN):
        _drop(element)
    by_rule = []
    for element in tree.xpath(_STYLED):
        if _hides_itself(element):
            _drop(element)
        elif rules and not rules.isdisjoint(_names(element)):
            by_rule.append(element)
    length = len(tree.text_content())
    for element in by_rule:
        if len(element.text_content()) <= _MOST * length:
            _drop(element)


def _drop(element: HtmlElement) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _hides_itself(element: HtmlElement) -> bool:
    if element.get("hidden") is not None or element.tag == "input":
        return element.tag not in ("html", "body")
    style = element.get("style")
    return bool(style) and (bool(_HIDING.search(style)) or _is_on_its_own_colour(style))


def _is_on_its_own_colour(style: str) -> bool:
    colours = {name.lower()[:5]: _plain(value) for name, value in _COLOUR.findall(style)}
    return "backg" in colours and colours["backg"] == colours.get("color")


def _plain(colour: str) -> str:
    plain = re.sub(r"\s+", "", colour.lower())
    return _WHITE.get(plain, plain)


def _names(element: HtmlElement) -> Iterator[str]:
    yield from (f".{name}" for name in (element.get("class") or "").split())
    if element.get("id"):
        yield f"#{element.get('id')}"


def _hiding_names(styles: str) -> frozenset[str]:
    names = set()
    for selectors, body in _RULE.findall(_AT_BLOCK.sub("", re.sub(r"/\*.*?\*/", "", styles, flags=re.DOTALL))):
        if _HIDING.search(body):
            for selector in selectors.split(","):
                if match := _SELECTOR.fullmatch(selector.strip()):
                    names.add(match[1] + match[2])
    return frozenset(names)
