"""Queries from questions, by rules, in five languages."""

from datetime import date

import pytest

from search.web.keywords import MAX_WORDS, keywords, write_query
from search.web.languages import language_of

TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("question", "query", "language"),
    [
        ("Who built the harbour station of Talmar, and what did it cost?", "built harbour station Talmar cost", "en"),
        ("Please tell me what's the latest version of PostgreSQL", "version PostgreSQL 2026", "en"),
        ("Who is “Clara Voss” of Node.js fame?", '"Clara Voss" Node.js fame', "en"),
        ("C++ vs C# performance", "C++ vs C# performance", None),
        ("What did the mayor's office say in 2019?", "mayor office 2019", "en"),
        ("Wann wurde die Eisenbrücke in Talmar gebaut?", "Eisenbrücke Talmar gebaut", "de"),
        ("Könntest du mir bitte erklären, wie man eine Middleware schreibt?", "Middleware schreibt", "de"),
        ("Was ist die aktuelle Version von Django?", "Version Django 2026", "de"),
        ("Qui a construit le pont de fer et combien a-t-il coûté ?", "construit pont fer coûté", "fr"),
        ("Qu'est-ce que l'observatoire de Talmar ?", "observatoire Talmar", "fr"),
        ("塔尔马的铁桥是谁在哪一年建造的？", "塔尔马 铁桥 建造", "zh"),
        ("请问最新的 Python 版本是什么？", "Python 版本 2026", "zh"),
        ("タルマルの鉄橋について教えてください", "タルマル 鉄橋", "ja"),
        ("Pythonの最新バージョンは何ですか？", "Python バージョン 2026", "ja"),
    ],
)
def test_a_question_becomes_what_one_would_type(question: str, query: str, language: str | None) -> None:
    assert write_query(question, today=TODAY) == query
    assert language_of(question) in (language, None)


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("And what did it cost?", "built iron bridge cost"),
        ("Why?", "built iron bridge"),
        ("Who was its engineer?", "built iron bridge engineer"),
        ("What is the observatory?", "observatory"),
    ],
)
def test_a_short_question_leans_on_the_one_before(question: str, query: str) -> None:
    assert write_query(question, earlier="Who built the iron bridge?") == query


def test_of_a_long_message_the_question_counts() -> None:
    text = "The pumps were serviced in May by two people. " * 30 + "When was the lighthouse of Talmar built? Thank you."
    assert write_query(text) == "lighthouse Talmar built"


def test_there_are_never_too_many_words() -> None:
    words = keywords("alpha Beta gamma delta epsilon zeta eta theta Iota kappa lambda 42 Mu nu")
    assert len(words) == MAX_WORDS
    assert {"Beta", "Iota", "42", "Mu"} <= set(words)


@pytest.mark.parametrize("text", ["what is it", "???", "", "は", "的"])
def test_what_has_no_keywords_is_asked_as_it_is(text: str) -> None:
    assert write_query(text) == text


def test_a_year_that_is_named_is_not_named_again() -> None:
    assert write_query("latest news of 1911", today=TODAY) == "news 1911"
