"""Where sentences end, in five languages; the cases that look like an end and are none."""

import pytest

from search.sentences import sentence_spans, sentences


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Voss built it.|It cost 4.2 million euros, i.e. less than planned.|See fig. 3 and p. 12.",
        "Version 3.11.2 reads example.org/a.b.|J. R. Hall signed it!|Really?|Yes... and then it ended.",
        "Die Anlage wurde am 3. Mai 1911 eröffnet, z. B. für Züge.|Im 19. Jahrhundert gab es ca. 40 Werke usw. nicht.",
        "Il a dit « non ».|M. Dupont, p. ex. lui, paie 3,5 %.|C'est fini !|Vraiment ?",
        "他说：“好。”|价格是3.5元。|真的吗？|是的！",
        "東京は大きい。|「はい。」|彼は3.5メートルと言った。",
        "The limit is 12.[1]|The next one is 14 [2][3].|Both hold.",
        "限制是十二。[1]|下一个是十四[2]。|都成立。",
        "He said (quietly.)|Then he left.",
        "mixed 中文。|English sentence.|又一句。",
    ],
)
def test_sentences_end_where_they_do(text: str) -> None:
    parts = text.split("|")
    assert sentences(" ".join(parts)) == parts


def test_cjk_sentences_need_no_space_between_them() -> None:
    assert sentences("一。二！三？四") == ["一。", "二！", "三？", "四"]


def test_a_gap_ends_a_sentence_and_a_wrapped_line_does_not() -> None:
    assert sentences("A heading\n\nOne that\nwraps. Two") == ["A heading", "One that\nwraps.", "Two"]


def test_list_items_are_sentences_of_their_own() -> None:
    assert sentences("Needed:\n- a bolt\n- a nut\n1. Turn it. Twice.\n2. Stop.") == [
        "Needed:",
        "- a bolt",
        "- a nut",
        "1. Turn it.",
        "Twice.",
        "2. Stop.",
    ]


def test_a_year_ends_a_sentence_though_an_ordinal_does_not() -> None:
    assert sentences("It opened in 1911. Trains came.") == ["It opened in 1911.", "Trains came."]


def test_spans_point_at_the_words_without_the_space_around_them() -> None:
    text = "  One.  Two.\n"
    assert [text[span.start : span.end] for span in sentence_spans(text)] == ["One.", "Two."]


@pytest.mark.parametrize("text", ["", " \n ", "...", "。", "no end"])
def test_odd_texts_give_at_most_themselves(text: str) -> None:
    assert "".join(sentences(text)) == text.strip()
