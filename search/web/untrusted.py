"""Page text with what cannot be trusted taken out. Pure.

Two steps, because two readers differ: `visible` is what a person sees on the page, and is kept as evidence; `fenced` is
what a model may be shown of it: no link, no image, no mark that looks like ours, no token that ends its turn.
"""

import re
import unicodedata

# Tags (U+E0000...) and variation selectors carry whole sentences that no screen shows; bidi controls show others than
# those that are read. Joiners stay where letters need them: in Arabic and Indic scripts, and in emoji.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff\U0001d173-\U0001d17a\ue000-\uf8ff]"
)
_JOINERS = re.compile(
    "(?<![\u0600-\u08ff\u0900-\u0dff\u1780-\u17ff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
)
_SELECTORS = re.compile(
    "(?<![#*0-9\u00a9\u00ae\u2000-\u3299\U0001f000-\U0001faff])[\ufe00-\ufe0f]|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_ENDS = re.compile("\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
_MAX_MARKS = 4  # combining marks on one letter; more is decoration that hides lines
_STACKED = re.compile(
    rf"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{{{_MAX_MARKS}}})[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)

_IMAGE = re.compile(
    r"!\[([^\]\n]{0,500})\](?:\([^()\n]{0,2000}(?:\([^()\n]{0,500}\)[^()\n]{0,500})*\)?|\[[^\]\n]{0,200}\])"
)
_LINK = re.compile(
    r"\[([^\]\n]{1,500})\](?:\([^()\n]{0,2000}(?:\([^()\n]{0,500}\)[^()\n]{0,500})*\)|\[[^\]\n]{0,200}\])"
)
_DEFINITION = re.compile(r"^[ \t]{0,3}\[[^\]\n]{1,200}\]:[ \t]*\S.*$", re.MULTILINE)
_URL = re.compile(r"<?\b[a-z][a-z0-9+.-]{1,20}:(?://|\\\\)([^\s<>\"'`)\]|]{1,4000})>?", re.IGNORECASE)
_BARE_SCHEME = re.compile(r"\b(?:javascript|vbscript|data|mailto|tel|file|blob)\s*:(?=\S)", re.IGNORECASE)
_HTML = re.compile(
    r"<(?:/?[a-z][a-z0-9:_-]*(?:\s[^<>]{0,2000})?/?|!--.{0,5000}?--|![a-z][^<>]{0,200})>", re.IGNORECASE | re.DOTALL
)
# A mark of ours is [3] or 【3】; so a page's own footnotes are in round brackets.
_MARK = re.compile(
    r"[\[【［]\s*((?:\^?\d{1,4}|source|quelle|doc(?:ument)?)(?:[\s,:†\-–]+[\w]{1,12})*)\s*[\]】］]", re.IGNORECASE
)
# <|im_start|>, <｜User｜>, [INST], <<SYS>>, </s>: words of chat templates, whoever's they are.
_TEMPLATE = re.compile(
    r"<\s*[|｜][^<>\n]{0,60}[|｜]\s*>|\[/?INST\]|<<\s*/?SYS\s*>>|</?s>|<(?:start|end)_of_turn>|<\|?(?:bos|eos|pad)\|?>"
    r"|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"(!(?=\[)|\](?=[(\[:]))")
_MAX_ROUNDS = 20
_FENCE = re.compile(r"(`{3,}|~{3,})")


def visible(text: str) -> str:
    """The text as a screen shows it: NFC, without controls and characters that nobody sees."""
    text = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text))
    if text.isascii():
        return _CONTROLS.sub("", text)
    for pattern in (_CONTROLS, _INVISIBLE, _JOINERS, _SELECTORS):
        text = pattern.sub("", text)
    return _STACKED.sub(r"\1", text)


def fenced(text: str) -> str:
    """`visible`, and nothing in it that a reader of markdown, or a model, takes for more than words."""
    text = _without_syntax(visible(text))
    text = _FENCE.sub("'''", text)
    text = _MARK.sub(r"(\1)", text)
    # Whatever was put together too cleverly to be seen above: no link and no image without these two in a row.
    return _BRACKETS.sub(r"\1 ", text)


def _without_syntax(text: str) -> str:
    """Taking one thing out may leave another: <<b>|im_start|>. Each round shortens the text."""
    for _ in range(_MAX_ROUNDS):
        shorter = _TEMPLATE.sub(" ", text)
        shorter = _IMAGE.sub(r"\1", shorter)
        shorter = _LINK.sub(r"\1", shorter)
        shorter = _HTML.sub(" ", shorter)
        shorter = _DEFINITION.sub("", shorter)
        shorter = _URL.sub(_place_of, shorter)
        shorter = _BARE_SCHEME.sub("", shorter)
        if shorter == text:
            return text
        text = shorter
    return re.sub(r"[<>|｜]|//", " ", text)  # nobody writes like that


def _place_of(match: re.Match[str]) -> str:
    """Host and path, as a person would say them: no scheme to click, no query that carries anything away."""
    return re.split(r"[?#\\]", match[1], maxsplit=1)[0].rpartition("@")[2].rstrip("/.,;:!?")
