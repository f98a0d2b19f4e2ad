"""Quantities agree however they are written, and differ where they differ."""

import pytest

from search.numbers import quantities


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("4.2 million euros", "4,2 Mio. Euro"),
        ("4.2 million euros", "4.200.000 €"),
        ("4.2 million euros", "420万欧元"),
        ("4.2 million euros", "420万ユーロ"),
        ("1,911 people", "1911 people"),
        ("1.911 Menschen", "1,911 people"),
        ("18 400 habitants", "18.400 Einwohner"),
        ("18\u202f400 habitants", "18,400 people"),
        ("12 %", "12 percent"),
        ("12%", "百分之十二"),
        ("60 Prozent", "六成"),
        ("$1,911 million", "1.911 billion dollars"),
        ("19亿1100万元", "19.11亿元"),
        ("three pumps", "3 Pumpen"),
        ("drei Monate", "3 months"),
        ("三台水泵", "3 pumps"),
        ("一九一一年", "in 1911"),
        ("三百四十人", "340 people"),
        ("3 May 1911", "1911-05-03"),
        ("am 3. Mai 1911", "1911年5月3日"),
        ("in March 2019", "im März 2019"),
        ("20 milligrams", "20 mg"),
        ("2:30 Uhr", "2点30分"),
        ("40-minute", "40 Minuten"),
    ],
)
def test_the_same_amount_agrees(one: str, other: str) -> None:
    ones, others = quantities(one), quantities(other)
    assert ones and others
    assert all(any(each.agrees(another) for another in others) for each in ones)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("4.2 million euros", "4.2 billion euros"),
        ("12 %", "12 litres"),
        ("3 months", "3 weeks"),
        ("20 mg", "20 g"),
        ("$5", "5 euros"),
        ("1911", "1921"),
        ("一九一一年", "1912年"),
        ("4.2", "42"),
        ("in March", "in May 2019"),
        ("三个月", "3月"),
    ],
)
def test_another_amount_does_not(one: str, other: str) -> None:
    ones, others = quantities(one), quantities(other)
    assert ones and others
    assert not all(any(each.agrees(another) for another in others) for each in ones)


@pytest.mark.parametrize("text", ["", "One may march.", "一般来说一个", "version", "mars"[:3], "the first"])
def test_texts_without_an_amount_have_none(text: str) -> None:
    assert quantities(text) == []
