"""Which sentences of an answer carry which numbers."""

from chatapp.evidence.marks import Cited, cited_sentences, numbers_in


def test_numbers_come_in_the_order_of_first_use_and_once() -> None:
    assert numbers_in("High tide is at six [3]. Low tide is later [1][3].") == [3, 1]


def test_brackets_in_code_are_no_marks() -> None:
    text = "The list `a[1]` and\n\n```\nb[2]\n```\n\nare code [4]. ~~~\nc[5]"
    assert numbers_in(text) == [4]


def test_a_mark_behind_the_full_stop_belongs_to_the_sentence_before_it() -> None:
    sentences = cited_sentences("It opened in 1911. [2] It has two towers.")
    assert [(s.words, s.numbers) for s in sentences] == [("It opened in 1911.", (2,))]


def test_offsets_count_utf16_units() -> None:
    text = "😀 Hello. The pier is 40 m long [1]."
    [sentence] = cited_sentences(text)
    assert sentence == Cited(10, 36, "The pier is 40 m long.", (1,))
    assert text.encode("utf-16-le")[20:72].decode("utf-16-le") == "The pier is 40 m long [1]."


def test_sentences_without_marks_are_not_checked() -> None:
    assert cited_sentences("Nothing is cited here. Nor here.") == []
