"""Whether two sentences on the same thing say the opposite: one of them denies it, or has the opposite word. Pure.

Lists, not a model: what denies, and pairs of opposites, in the five languages. Two denials make an assertion.
"""

import re
from collections.abc import Iterable, Iterator

from search.sentences import CJK
from search.terms import fold

# Words that deny, or have a denial in them: forbidden is not allowed, free is not paid for.
_DENYING = frozenset(
    fold(word)
    for word in """
    not no never none nobody nothing nowhere neither nor without cannot can't don't doesn't didn't won't isn't aren't
    wasn't weren't hasn't haven't hadn't shouldn't couldn't wouldn't forbidden prohibited banned unable impossible lacks
    nicht kein keine keinen keinem keiner keines nie niemals niemand nichts nirgends weder ohne verboten untersagt
    unmöglich unzulässig kostenlos kostenfrei gratis unentgeltlich
    pas jamais aucun aucune rien personne nulle sans ni interdit interdite interdits interdites défendu impossible
    gratuit gratuite gratuits gratuites gratuitement
    """.split()
)
_DENYING_CJK = re.compile(
    r"不(?![同但仅僅过過断斷久少管足等论論锈])|没有|沒有|(?<!淹)没(?!收)|未(?![来來])|无(?![论線线])|無(?!線)|非(?!常)"
    r"|禁止|勿|免费|免除|無料|(?<![少危])(?:ない|なかっ|なく(?!な)|なけれ)|なし[でにの]|ません|ずに|られず|禁じ"
)
# One denial in two forms that deny: not even like "must", なければならない, which is even by itself.
_FORBIDDING = re.compile(r"[てで]は(?:いけ|なら)(?:ない|ません)")

# Opposites, each side its words in all languages; Latin ones as stems that begin a word, or whole with a `.` behind.
_OPPOSITES = (
    (
        """
        rose. rise. rises. rising. risen. increas grew. grow higher. more. above. exceed upward
        gestieg stieg. steig erhoh hoher mehr. uber. ubersteig augment hausse superieur gagne
        增长 增加 上升 提高 高于 多于 超过 上涨 増え 増加 上がっ 上がる 上回 多かっ 多く 高い 高く
        """,
        """
        fell. fall. falls. falling. fallen. decreas declin drop reduc lower. less. below. fewer. downward
        gesunk sank. sink gefallen. fiel. niedrig weniger. unter. unterschreit verringer gering
        diminu baiss inferieur moins. perd
        减少 下降 降低 低于 少于 下跌 减 減っ 減少 下がっ 下がる 下回 少な 低い 低く
        """,
    ),
    (
        "before. earlier. vor. vorher. bevor avant. 之前 以前 前に 前の",
        "after. later. nach. nachher. nachdem apres. 之后 以后 之後 以後 後に 後の てから",
    ),
    (
        "open. opens. opened. offen. geoffnet offnet. ouvert ouvre. 开放 打开 开门 開い 開け 開館 営業し",
        "closed. close. closes. shut. geschlossen schliess ferme 关闭 关门 閉ま 閉じ 閉館 閉鎖",
    ),
    (
        "most. maximum. hochstens maximal. 最多 至多 最大 最高 まで 以下",
        "least. minimum. mindestens minimal. 至少 最少 最小 最低 以上",
    ),
    (
        "always. often. immer. stets. oft. toujours. souvent. 总是 一直 経常 常に いつも",
        "seldom. rarely. selten. rarement. 很少 めったに",
    ),
    ("newest. latest. neueste recent. 最新", "oldest. alteste ancien 最旧 最古 最も古"),
    (
        "accept angenommen akzept accepte 接受 批准 受け入れ 承認",
        "reject refus abgelehnt ablehn rejet 拒绝 否决 拒否 却下",
    ),
    (
        "enabled. enable aktivier active. 启用 开启 有効",
        "disabled. disable deaktivier desactiv 禁用 停用 無効",
    ),
    ("include einschliess enthalt compris 包括", "exclude ausschliess ausgenommen exclu 不含 除外 除く"),
    ("start. starts. beginn commence 开始 始ま 開始", "end. ends. stop endet. termin 结束 停止 終わ 終了"),
    ("best. beste meilleur 最好 最良", "worst. schlechteste pire. 最差 最悪"),
)
# "No more than" is neither a denial nor a growth: it is a limit.
_LIMITS = (
    (
        re.compile(r"\b(?:no|not) more than\b|\bnicht mehr als\b|\bpas plus d[eu']|不(?:超过|多于)|を超えない"),
        " maximum ",
    ),
    (re.compile(r"\b(?:no|not) (?:less|fewer) than\b|\bnicht weniger als\b|\bpas moins d[eu']|不少于"), " minimum "),
)
_LATIN_WORD = re.compile(rf"[^\W\d_{CJK}]+(?:['’]t\b)?")


def is_opposite(one: str, other: str) -> bool:
    """Whether exactly one of the two is turned round: by a denial more or less, or by an opposite word."""
    one, other = _plain(one), _plain(other)
    turns = _denials(one) + _denials(other)
    turns += sum(_are_opposite(sides, one, other) for sides in _SIDES)
    return turns % 2 == 1


def is_turning(word: str) -> bool:
    """Whether the folded word is one of those looked at here: it says nothing on what a sentence is about."""
    return word in _DENYING or any(side.holds([word], word) for sides in _SIDES for side in sides)


class _Side:
    def __init__(self, words: str) -> None:
        folded = [fold(word) for word in words.split()]
        self._cjk = tuple(word for word in folded if re.search(f"[{CJK}]", word))
        self._whole = frozenset(word[:-1] for word in folded if word.endswith("."))
        self._stems = tuple(word for word in folded if not word.endswith(".") and word not in self._cjk)

    def holds(self, words: Iterable[str], text: str) -> bool:
        if any(word in text for word in self._cjk):
            return True
        return any(word in self._whole or word.startswith(self._stems) for word in words)


_SIDES = tuple((_Side(one), _Side(other)) for one, other in _OPPOSITES)


def _are_opposite(sides: tuple[_Side, _Side], one: str, other: str) -> bool:
    """Each has one side, and not the same. A sentence with both sides says nothing either way."""
    first, second = (_held(sides, text) for text in (one, other))
    return first is not None and second is not None and first != second


def _held(sides: tuple[_Side, _Side], text: str) -> int | None:
    words = list(_words(text))
    held = [side.holds(words, text) for side in sides]
    return held.index(True) if held.count(True) == 1 else None


def _denials(text: str) -> int:
    count = sum(word.replace("’", "'") in _DENYING for word in _words(text))
    return count + len(_DENYING_CJK.findall(_FORBIDDING.sub("禁止", text)))


def _plain(text: str) -> str:
    plain = fold(text)
    for limit, word in _LIMITS:
        plain = limit.sub(word, plain)
    return plain


def _words(folded: str) -> Iterator[str]:
    return (match.group() for match in _LATIN_WORD.finditer(folded))
