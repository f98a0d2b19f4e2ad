"""Where a text is cut, what is marked in it, and that it is never markup."""

import pytest

from chatapp.finding.question import asked_words
from chatapp.finding.snippets import LENGTH, marked, shows, snippet, without_signs


def shown(text: str, question: str) -> str:
    return "".join(
        f"[{piece.text}]" if piece.is_marked else piece.text for piece in snippet(text, asked_words(question))
    )


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        ("When is high tide?", "high tide", "When is [high] [tide]?"),
        ("The tides of Dover", "tide ", "The [tides] of Dover"),
        ("A tidemark", "tide ", "A tidemark"),
        ("installing, installed, reinstall", "installed", "[installing], [installed], reinstall"),
        ("Die Größe der GRÖSSE", "grosse", "Die [Größe] der [GRÖSSE]"),
        ("Die Größe", "groß", "Die [Größe]"),
        ("Die Größe", "gros", "Die [Größe]"),
        ("L'été, l’ETE", "ete", "L'[été], l’[ETE]"),
        ("les œuvres", "oeuvre", "les [œuvres]"),
        ("明天的潮汐时间", "潮汐", "明天的[潮汐]时间"),
        ("我们的水质监测系统,水质很好", "水质监测", "我们的[水质监测]系统,[水质]很好"),
        ("浄水場のポンプ", "ポンプ", "浄水場の[ポンプ]"),
        ("Где лежит книга?", "книгу", "Где лежит [книга]?"),
        ("Ёлка стоит", "елка", "[Ёлка] стоит"),
        ("المدرسة قريبة", "مدرسة", "[المدرسة] قريبة"),
        ("cafe\u0301 noir", "café", "[cafe\u0301] noir"),
        ("set max_tokens=4096", "4096", "set max_tokens=[4096]"),
        ("4096, 40960", "4096 ", "[4096], 40960"),
    ],
)
def test_words_are_marked_as_they_are_written(text: str, question: str, expected: str) -> None:
    assert shown(text, question) == expected


def test_it_is_cut_where_most_of_the_words_stand() -> None:
    filler = "Nothing of note happened on that day at sea. " * 40
    text = f"A tide. {filler}The harbour at high tide is deep. {filler}"
    line = shown(text, "harbour high tide")
    assert "[harbour] at [high] [tide]" in line
    assert line.startswith("…") and line.endswith("…")
    assert len(line.replace("[", "").replace("]", "")) <= LENGTH + 2


def test_text_without_the_words_is_shown_from_its_beginning() -> None:
    pieces = snippet("Nothing here.", asked_words("tide"))
    assert [piece.text for piece in pieces] == ["Nothing here."]
    assert not shows(pieces)


def test_signs_of_markdown_are_left_out_and_tags_are_text() -> None:
    text = '## Tides\n\n> **High** tide is at `noon` ([table](https://example.org/t "x"))\n\n'
    text += "```python\nprint(1)\n```\n| a | b |\n|---|---|"
    assert " ".join(without_signs(text).split()) == "Tides High tide is at noon (table) print(1) a b"
    assert without_signs("2 * 3 * 4, a_b_c, _so_ and *so*") == "2 * 3 * 4, a_b_c, so and so"
    pieces = snippet("<script>alert('tide')</script>", asked_words("tide"))
    assert "".join(piece.text for piece in pieces) == "<script>alert('tide')</script>"
    assert [piece.text for piece in pieces if piece.is_marked] == ["tide"]


def test_a_title_is_marked_whole() -> None:
    assert [piece.text for piece in marked("Tides of Dover", asked_words("dover")) if piece.is_marked] == ["Dover"]


def test_a_hostile_text_takes_no_time() -> None:
    for text in (
        "a" * 100_000,
        "*" * 100_000,
        "[" * 100_000,
        "|-" * 50_000,
        "_a" * 50_000,
        " " * 100_000,
        "#" * 100_000,
    ):
        snippet(text, asked_words("tide aaaa"))
