"""Made-up texts in seven languages: words as often as in a language, most of them rare, each in its own script."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Language:
    """The n-th of its words is used as often as 1/n."""

    name: str
    words: Sequence[str]
    space: str
    weights: Sequence[float]

    def say(self, chance: random.Random, num: int) -> str:
        return self.space.join(chance.choices(self.words, cum_weights=self.weights, k=num))

    def rare(self, chance: random.Random) -> str:
        """Of the thousands that stand in some messages each; still rarer ones may stand in none."""
        return chance.choice(self.words[len(self.words) // 30 : len(self.words) // 5])

    def common(self, chance: random.Random) -> str:
        return chance.choice(self.words[5:50])


def languages(chance: random.Random) -> list[Language]:
    latin = _syllables("b c d f g h j k l m n p r s t v w z".split(), "a e i o u".split(), ["", "", "l", "n", "r", "s"])
    french = _syllables("b c d f g j l m n p r s t v ch".split(), "a é e è i o ou ê".split(), ["", "", "l", "n", "r"])
    german = _syllables("b d f g h k l m n r s sch t w z".split(), "a ä e i o ö u ü".split(), ["", "n", "r", "ch", "ß"])
    russian = _syllables("б в г д ж з к л м н п р с т х ч ш".split(), "а е и о у ы ё".split(), ["", "", "л", "н", "т"])
    arabic = _syllables("ب ت ج ح د ر س ش ص ع ف ق ك ل م ن ه".split(), "ا و ي".split(), ["", "", "ن", "ر", "ة"])
    chinese = [chr(code) for code in range(0x4E00, 0x4E00 + 3_500)]
    kana = [chr(code) for code in range(0x30A2, 0x30ED)]
    return [
        _spaced("en", latin, chance),
        _spaced("de", german, chance, compounds=0.3),
        _spaced("fr", french, chance),
        _spaced("ru", russian, chance),
        _spaced("ar", arabic, chance, lead="ال"),
        _made("zh", lambda: "".join(chance.choices(chinese, k=chance.choice((1, 2, 2, 2, 3)))), "", chance),
        _made("ja", lambda: "".join(chance.choices(chinese[:1500] + kana * 6, k=chance.randint(1, 4))), "", chance),
    ]


def _syllables(first: Sequence[str], vowels: Sequence[str], last: Sequence[str]) -> list[str]:
    return [one + vowel + end for one in first for vowel in vowels for end in last]


def _spaced(
    name: str, syllables: Sequence[str], chance: random.Random, *, compounds: float = 0.0, lead: str = ""
) -> Language:
    def word() -> str:
        made = "".join(chance.choices(syllables, k=chance.randint(1, 4)))
        if chance.random() < compounds:
            made += "".join(chance.choices(syllables, k=chance.randint(2, 4)))
        return lead + made if lead and chance.random() < 0.4 else made

    return _made(name, word, " ", chance)


def _made(name: str, word: Callable[[], str], space: str, chance: random.Random) -> Language:
    made = list(dict.fromkeys(word() for _ in range(30_000)))
    chance.shuffle(made)
    return Language(name, made, space, list(accumulate(1 / n for n in range(1, len(made) + 1))))
