"""Quantities in a text, whatever way they are written: 4.2 million, 4,2 Mio., 4 200 000, 420万, 12 %, 六成, 3 May.

Pure. A number that may be read in two ways (1.911 is 1911 in German, and less than 2 in English) keeps both values.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_SCALES = {
    "hundred": 1e2, "hundert": 1e2, "thousand": 1e3, "tausend": 1e3, "tsd": 1e3, "mille": 1e3, "k": 1e3,
    "million": 1e6, "millions": 1e6, "millionen": 1e6, "mio": 1e6, "m": 1e6,
    "billion": 1e9, "billions": 1e9, "milliarde": 1e9, "milliarden": 1e9, "mrd": 1e9, "milliard": 1e9, "milliards": 1e9,
    "百": 1e2, "千": 1e3, "万": 1e4, "萬": 1e4, "百万": 1e6, "千万": 1e7, "亿": 1e8, "億": 1e8, "十亿": 1e9,
}  # fmt: skip
_UNITS = {
    "%": "% percent prozent パーセント",
    "EUR": "€ eur euro euros 欧元 ユーロ",
    "USD": "$ usd dollar dollars 美元 ドル",
    "JPY": "¥ jpy yen 円 日元",
    "CNY": "cny rmb 元 人民币",
    "GBP": "£ gbp pound pounds pfund",
    "mg": "mg milligram milligrams milligramm milligramme milligrammes 毫克 ミリグラム",
    "g": "g gram grams gramm gramme grammes 克 グラム",
    "kg": "kg kilogram kilograms kilogramm kilo kilos 公斤 千克 キログラム キロ",
    "l": "l litre litres liter liters 升 リットル",
    "km": "km kilometre kilometres kilometer kilometers kilomètre kilomètres 公里 キロメートル",
    "m": "metre metres meter meters mètre mètres 米 メートル",
    "GB": "gb go gigabyte gigabytes",
    "MB": "mb mo megabyte megabytes",
    "s": "s second seconds sekunde sekunden seconde secondes 秒",
    "min": "min minute minutes minuten 分钟 分間 分",
    "h": "h hour hours stunde stunden heure heures uhr 小时 時間 点",
    "day": "day days tag tage tagen jour jours 天 日間",
    "week": "week weeks woche wochen semaine semaines 周 週間 週",
    "month": "month months monat monate monaten mois 个月 ヶ月 か月 カ月",
    "monthname": "月",
    "year": "year years jahr jahre jahren an ans année années 年",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_WORDS = {
    word: value
    for line in (
        "2 two zwei deux", "3 three drei trois", "4 four vier quatre", "5 five funf cinq", "6 six sechs",
        "7 seven sieben", "8 eight acht huit", "9 nine neun", "10 ten zehn dix", "11 eleven elf onze",
        "12 twelve zwolf douze", "13 thirteen dreizehn treize", "14 fourteen vierzehn quatorze",
        "15 fifteen funfzehn quinze", "16 sixteen sechzehn seize", "20 twenty zwanzig vingt",
        "30 thirty dreissig trente", "40 forty vierzig quarante", "50 fifty funfzig cinquante",
        "60 sixty sechzig soixante", "100 hundred hundert cent",
    )
    for value, *words in [line.split()]
    for word in words
}  # fmt: skip
_MONTHS = (
    "january januar janvier", "february februar février", "march märz mars", "april avril", "may mai", "june juni juin",
    "july juli juillet", "august août", "september septembre", "october oktober octobre", "november novembre",
    "december dezember décembre",
)  # fmt: skip
_MONTH_OF = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
# Words of other meanings too: months only beside a number or after a preposition.
_CAREFUL = frozenset({"may", "march", "mars", "august"})

_DIGITS = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
_CJK_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_CJK_POWERS = {"十": 10, "百": 100, "千": 1000}
_COUNTED = "个個名人台座条項项年月日号時时点分秒天周週次回件本枚つ階层岁歳家種种倍成割万億亿度级級"
_BY_LENGTH = sorted({*_SCALES, *_UNIT_OF}, key=len, reverse=True)
_SCALE = "|".join(re.escape(word) for word in _BY_LENGTH if word in _SCALES)
_UNIT = "|".join(re.escape(word) for word in _BY_LENGTH if word in _UNIT_OF)
_BOUND = r"(?![a-zà-ÿ])"  # the end of a Latin word
_NUMBER = re.compile(
    rf"(?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}\b)"
    r"|(?P<clock>\b\d{1,2}:\d{2}\b)(?:\s?uhr)?"
    rf"|(?P<sign>[$€£¥]\s?)?(?<![\d.,])(?P<digits>{_DIGITS})(?P<more>\s?[亿億]\s?(?P<rest>\d+)万)?"
    rf"(?:\s?(?P<scale>{_SCALE}){_BOUND}\.?)?(?:[\s-]?(?P<unit>{_UNIT}){_BOUND})?"
    rf"|(?P<share>百分之)(?P<part>[〇零一二三四五六七八九十百]+)"
    rf"|(?P<cjk>[〇零一二两兩三四五六七八九十百千]+)(?P<cjkscale>万|亿|億)?(?P<counted>[{_COUNTED}])"
    r"|(?P<word>[a-zà-ÿ]+)"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """`unit` is empty where none is known."""

    values: frozenset[float]
    unit: str = ""

    def agrees(self, other: "Quantity") -> bool:
        return bool(self.values & other.values) and (not self.unit or not other.unit or self.unit == other.unit)


def quantities(text: str) -> list[Quantity]:
    """Every quantity, in the order of the text. One and its articles are not counted: too much is called one."""
    plain = unicodedata.normalize("NFKC", text)
    return [quantity for match in _NUMBER.finditer(plain.lower()) for quantity in _read(match, plain)]


def _read(match: re.Match[str], plain: str) -> Iterator[Quantity]:
    if match["iso"]:
        year, month, day = match["iso"].split("-")
        yield Quantity(frozenset({float(year)}), "year")
        yield Quantity(frozenset({float(month)}), "monthname")
        yield Quantity(frozenset({float(day)}))
    elif match["clock"]:
        yield from (Quantity(frozenset({float(part)})) for part in match["clock"].split(":"))
    elif match["digits"]:
        yield Quantity(_values(match), _UNIT_OF.get(match["unit"] or (match["sign"] or "").strip(), ""))
    elif match["share"]:
        yield Quantity(frozenset({_cjk_value(match["part"])}), "%")
    elif match["cjk"]:
        yield from _read_cjk(match)
    else:
        yield from _read_word(match, plain)


def _values(match: re.Match[str]) -> frozenset[float]:
    scale = _SCALES.get(match["scale"] or "", 1.0)
    if match["rest"]:
        return frozenset({float(match["digits"].replace(",", "")) * 1e8 + float(match["rest"]) * 1e4})
    return frozenset(round(value * scale, 6) for value in _readings(match["digits"]))


def _readings(digits: str) -> Iterator[float]:
    plain = digits.replace(" ", "").replace("'", "")
    marks = [character for character in plain if character in ".,"]
    if not marks:
        yield float(plain)
    elif len(set(marks)) == 2:
        group = marks[0]
        yield float(plain.replace(group, "").replace(marks[-1], "."))
    else:
        whole = plain.replace(marks[0], "")
        last = plain.rpartition(marks[0])[2]
        if len(last) == 3 and not plain.startswith("0"):
            yield float(whole)
        if len(marks) == 1:
            yield float(plain.replace(marks[0], "."))


def _read_cjk(match: re.Match[str]) -> Iterator[Quantity]:
    value = _cjk_value(match["cjk"])
    if value == 1 and not match["cjkscale"]:
        return
    value *= _SCALES.get(match["cjkscale"] or "", 1.0)
    counted = match["counted"]
    if counted in "成割":
        yield Quantity(frozenset({value * 10}), "%")
    elif counted in "万億亿":
        yield Quantity(frozenset({value * _SCALES[counted]}))
    else:
        # 三个月 is a length, 三月 a name: the counter is looked at with what follows it.
        rest = match.string[match.start("counted") :][:2]
        yield Quantity(frozenset({value}), _UNIT_OF.get(rest, _UNIT_OF.get(counted, "")))


def _read_word(match: re.Match[str], plain: str) -> Iterator[Quantity]:
    word = match["word"]
    if month := _MONTH_OF.get(word):
        around = plain[max(0, match.start() - 6) : match.end() + 6]
        is_meant = plain[match.start()].isupper() and re.search(r"\d|\b(?:in|of|until|since|by)\s", around)
        if is_meant or word not in _CAREFUL:
            yield Quantity(frozenset({float(month)}), "monthname")
    elif value := _WORDS.get(word.replace("ö", "o").replace("ü", "u").replace("ß", "ss")):
        after = re.match(rf"[\s-]+({_UNIT}){_BOUND}", match.string[match.end() :])
        yield Quantity(frozenset({float(value)}), _UNIT_OF[after[1]] if after else "")


def _cjk_value(numerals: str) -> float:
    """一九一一 by digits, 三百四十 by powers."""
    if not any(character in _CJK_POWERS for character in numerals):
        return float("".join(str(_CJK_DIGITS[character]) for character in numerals))
    total, digit = 0, 0
    for character in numerals:
        if power := _CJK_POWERS.get(character):
            total += (digit or 1) * power
            digit = 0
        else:
            digit = _CJK_DIGITS[character]
    return float(total + digit)
