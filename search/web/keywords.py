"""From a question to what is typed into a search engine, by rules: for models that cannot write queries. Pure.

English, German and French lose the words of grammar and of asking; Chinese is cut at its question words and particles,
Japanese keeps what is written in ideographs, katakana and Latin letters.
"""

import re
from collections.abc import Iterator
from datetime import date

from search.sentences import CJK, sentences
from search.stopwords import STOPWORDS
from search.terms import fold, stem

MAX_WORDS = 8
_LONG = 60  # words: a pasted text with a question in it
_FEW = 2  # keywords: no more, and a word that points back, and the question leans on the one before

_PHRASE = re.compile(r"[\"“„«「『]([^\"“”„«»「」『』\n]{2,60})[\"”“»」』]")
_PART = re.compile(rf"[{CJK}]+|[^\W_{CJK}](?:[\w.'’+#-]*[^\W_{CJK}]|[+#]+)?")
_CJK_RUN = re.compile(rf"[{CJK}]")
_KANA = re.compile("[\u3040-\u30ff]")
_ASKING = frozenset(
    map(
        fold,
        """
        please tell explain describe show find search look give list know wonder wondering question answer help want
        hello hi thanks thank anyone today latest currently current recent recently now
        bitte sag sage erzähl erzähle erkläre erklär zeig zeige finde such suche gib nenne weiß weißt wissen frage hilfe
        hallo danke heute aktuell aktuelle aktuellen derzeit neueste neuesten gibt eigentlich denn mal genau
        könnte könnten könntest könntet würde würdest erklären erzählen suchen finden wäre
        svp merci bonjour dis expliquez explique montre trouve cherche donne donnez savoir question aide aujourd'hui
        actuel actuelle actuellement dernier dernière derniers dernières est-ce qu'est-ce s'il plaît
        """.split(),
    )
)
_ELISION = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)['’](?=\w)", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_LEANING = re.compile(
    r"^\W*(?:and|but|what about|und|aber|et|mais)\b|\b(?:it|its|they|them|their|he|she|his|her|this|that|these|those"
    r"|there|es|sie|er|ihn|ihr|davon|dort|dies\w*|il|elle|ils|elles|ça|cela|ce|cette)\b|它|他|她|那|这|其|それ|これ|その|この|彼",
    re.IGNORECASE,
)
_TODAY = re.compile(
    r"\b(?:today|latest|newest|current(?:ly)?|this year|right now|heute|derzeit|aktuell\w*|neueste\w*|dieses jahr"
    r"|aujourd['’]hui|actuel\w*|cette année|derni(?:er|ère)s?)\b|今天|今年|最新|目前|现在|現在|今日|最近",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    "请问|請問|请|請|麻烦|告诉我|告訴我|帮我|幫我|我想知道|想知道|查一下|搜索|介绍一下|一下|什么时候|什麼時候|为什么|為什麼|什么|什麼"
    "|怎么样|怎么|怎麼|如何|哪里|哪裡|哪儿|哪一年|哪年|哪个|哪個|哪些|哪|谁|誰|多少|几个|幾個|几年|是不是|有没有|能不能|可以|多久"
    "|多大|多长|多高|有多|吗|嗎|呢|吧|啊|的|了|是|在|和|与|或|由|被|把|对于|关于|我们|他们|它|他|她|我|你|这个|那个|这|那|今天|目前|现在|最新"
)
_JAPANESE = re.compile(
    "教えてください|教えて|知りたい|調べて|探して|ください|何年|何時|何人|何|誰|いつ|今日|現在|最新|について|とは"
)
_JAPANESE_WORD = re.compile("[\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f々]+")


def keywords(question: str) -> list[str]:
    """What the question is about, in its own words and order; MAX_WORDS at most, phrases in quotes kept whole."""
    text = _asked_part(question)
    found = [f'"{phrase}"' for phrase in _PHRASE.findall(text)]
    found += _words(_PHRASE.sub(" ", text))
    kept = list({stem(fold(word)): word for word in reversed(found)}.values())[::-1]
    return _telling(kept)


def write_query(question: str, earlier: str = "", today: date | None = None) -> str:
    """One query. A short question may lean on the `earlier` one; `today` tells what "latest" means."""
    words = keywords(question)
    if earlier and (not words or len(words) <= _FEW and _LEANING.search(question)):
        words = [*keywords(earlier)[: MAX_WORDS // 2], *words]
    if today and _TODAY.search(question) and not re.search(r"\b(?:19|20)\d\d\b", question):
        words.append(str(today.year))
    return " ".join(dict.fromkeys(words)) or " ".join(question.split())[:100]


def _asked_part(question: str) -> str:
    """Of a long message its last question, or else its beginning."""
    if len(question.split()) <= _LONG and len(question) <= 8 * _LONG:
        return question
    said = sentences(question)
    asked = [sentence for sentence in said if sentence.rstrip("\"'»”)").endswith(("?", "？"))]
    return asked[-1] if asked else " ".join(said[:2])[: 8 * _LONG]


def _words(text: str) -> Iterator[str]:
    is_japanese = bool(_KANA.search(text))
    for part in _PART.findall(text):
        if _CJK_RUN.match(part):
            yield from _japanese(part) if is_japanese else _chinese(part)
            continue
        word = _POSSESSIVE.sub("", _ELISION.sub("", part))
        if not all(plain in STOPWORDS or plain in _ASKING for plain in fold(word).split("-")):
            yield word


def _chinese(run: str) -> Iterator[str]:
    return (piece for piece in _CHINESE.split(run) if piece)


def _japanese(run: str) -> Iterator[str]:
    return iter(_JAPANESE_WORD.findall(_JAPANESE.sub(" ", run)))


def _telling(words: list[str]) -> list[str]:
    """The words that say most, where there are too many: phrases, names, numbers, long ones; in their order."""
    if len(words) <= MAX_WORDS:
        return words

    def weight(place: int) -> tuple[bool, bool, int]:
        word = words[place]
        return word.startswith('"'), word[:1].isupper() or word[:1].isdigit(), len(word)

    best = sorted(range(len(words)), key=weight, reverse=True)[:MAX_WORDS]
    return [words[place] for place in sorted(best)]
