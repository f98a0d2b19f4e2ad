"""Terms: what a word of a question and a word of a text have in common."""

import pytest

from search.terms import fold, stem, terms, vector_literal, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Größe", "GROSSE"),
        ("café", "CAFE"),
        ("ﬁle", "file"),
        ("４２", "42"),
        ("ﾊﾟｯｹｰｼﾞ", "パッケージ"),
        ("installing", "installs"),
        ("Zeitungen", "Zeitung"),
        ("Paketen", "Pakete"),
        ("fichiers", "fichier"),
    ],
)
def test_forms_of_one_word_are_one_term(one: str, other: str) -> None:
    assert list(terms(one)) == list(terms(other))


def test_kana_keeps_its_marks() -> None:
    assert fold("か") != fold("が")


@pytest.mark.parametrize("word", ["user", "apt", "3.11", "x86", "漢字"])
def test_short_words_and_numbers_are_not_stemmed(word: str) -> None:
    assert stem(word) == word


def test_cjk_runs_become_pairs_and_a_single_one_stays() -> None:
    assert list(terms("软件包的 apt 库")) == ["软件", "件包", "包的", "apt", "库"]


def test_numbers_keep_their_separators() -> None:
    assert list(words("4.2 or 1,911 or 3.11.2.")) == ["4.2", "or", "1,911", "or", "3.11.2"]


def test_headings_weigh_more_and_a_word_repeated_for_ever_does_not_fill_the_row() -> None:
    literal = vector_literal(["Costs"], "costs " * 100)
    assert literal.startswith("'cost':1A,1,2")
    assert literal.count(",") < 10
