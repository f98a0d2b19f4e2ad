"""A question and a text agree, in every language: the same function makes the lexemes of both."""

import random

import pytest

from chatapp.finding.lexemes import MAX_BYTES, lexemes, plain, written_words
from chatapp.finding.near import distance
from chatapp.finding.question import asked_words


def finds(question: str, text: str) -> bool:
    """As PostgreSQL reads the queries."""
    held = lexemes(written_words(text))
    return all(any(_all(one, held) for one in each.query.split(" | ")) for each in asked_words(question))


def _all(query: str, held: list[str]) -> bool:
    return all(_holds(part, held) for part in query.split(" & "))


def _holds(part: str, held: list[str]) -> bool:
    lexeme = part.strip("'").removesuffix("':*")
    return any(each.startswith(lexeme) for each in held) if part.endswith(":*") else lexeme in held


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("high tide", "When is high tide at the pier?"),
        ("HIGH Tides", "The high tide comes at noon."),
        ("installi", "We are installing it."),
        ("größe", "Die Grösse der Boote"),
        ("Grosse", "in der richtigen GRÖSSE"),
        ("uber", "Über den Fluss"),
        ("versicherung", "Die Versicherungsnummer steht im Vertrag."),
        ("ete", "L'été dernier"),
        ("Œuvre", "les oeuvres de jeunesse"),
        ("潮汐", "明天的潮汐时间是什么?"),
        ("潮", "明天的涨潮"),
        ("水质监测", "我们的水质监测系统每小时报告一次"),
        ("浄水場", "浄水場のポンプは毎年点検されます。"),
        ("ﾎﾟﾝﾌﾟ", "浄水場のポンプ"),
        ("нахимов", "Корабль «Адмирал Нахимов»"),
        ("книгу", "Где лежит книга?"),
        ("елка", "Ёлка стоит в углу"),
        ("مدرسة", "المدرسة قريبة من البحر"),
        ("احمد", "قال أحمد إنه قادم"),
        ("محمد", "مُحَمَّد"),
        ("हिन्दी", "मैं हिन्दी बोलता हूँ"),
        ("ทะเล", "ลมทะเลเย็นสบาย"),
        ("αθηνα", "Η Αθήνα το βράδυ"),
        ("max_tokens", "set max_tokens to 4096"),
        ("useEff", "React's useEffect runs twice"),
        ("4.2", "costs 4.2 million"),
        ("the", "the of and"),
    ],
)
def test_what_is_asked_finds_what_was_said(question: str, text: str) -> None:
    assert finds(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("low tide", "When is high tide at the pier?"),
        ("tide ", "a tidemark"),
        ("水质", "质水"),
        ("が", "か"),
        ("42", "4.2"),
    ],
)
def test_what_is_something_else_is_not_found(question: str, text: str) -> None:
    assert finds(question, question)
    assert not finds(question, text)


def test_only_the_last_word_may_be_a_beginning_and_only_while_it_is_typed() -> None:
    assert finds("pier insta", "to install a pier")
    assert not finds("insta pier", "to install a pier")
    assert not finds("tid ", "high tide")


def test_words_of_grammar_are_not_asked_for_unless_there_are_no_others() -> None:
    assert [each.word for each in asked_words("what is the tide")] == ["tide"]
    assert [each.word for each in asked_words("to be or not to be")] == ["to", "be", "or", "not"]
    assert asked_words(" ?! ") == []
    assert len(asked_words(" ".join(f"word{n}" for n in range(99)))) == 10


@pytest.mark.parametrize("hostile", ["' | 'x", "a:*B & !b", "\\", "'; DROP TABLE", "<->", "a\0b", "((", ":*"])
def test_signs_of_the_query_language_are_only_signs(hostile: str) -> None:
    for each in asked_words(hostile):
        assert each.query.count("'") % 2 == 0
        assert each.word.isalnum()


def test_plain_leaves_out_what_people_leave_out() -> None:
    assert plain("Ёжик") == "ежик"
    assert plain("soft\u00adhyphen zero\u200bwidth") == "softhyphen zerowidth"
    assert plain("Łódź, Ærø") == "lodz, aero"


def test_more_than_a_tsvector_holds_is_left_out() -> None:
    text = " ".join(f"word{n}" for n in range(100_000))
    kept = lexemes(written_words(text))
    assert 30_000 < len(kept) < 100_000
    assert sum(len(each) + 8 for each in kept) <= MAX_BYTES


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("tide", "tide", 0),
        ("tabel", "table", 1),
        ("recieve", "receive", 1),
        ("instalation", "installation", 1),
        ("harbor", "harbour", 1),
        ("книга", "книги", 1),
        ("tide", "harbour", 3),
        ("abcd", "dcba", 3),
    ],
)
def test_distance_counts_slips(one: str, other: str, expected: int) -> None:
    assert distance(one, other, 2) == expected == distance(other, one, 2)


def test_distance_agrees_with_the_whole_table() -> None:
    chance = random.Random(1)
    for _ in range(3_000):
        one, other = ("".join(chance.choices("abc", k=chance.randint(1, 6))) for _ in range(2))
        assert distance(one, other, 2) == min(whole_table(one, other), 3), (one, other)


def whole_table(one: str, other: str) -> int:
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            row.append(min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (letter != its)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                row[j] = min(row[j], rows[i - 2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
