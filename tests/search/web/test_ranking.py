"""Passages of several pages, best first; and the part of one that is shown."""

from search.ranking import Ranked
from search.web.excerpts import excerpt
from search.web.html import read_html
from search.web.page import Page
from search.web.plain import read_plain
from search.web.ranking import PER_PAGE, best, by_words, passages_of
from tests.search.web.articles import WORKS, articles

PAGES = [read_html(article.html().decode(), f"http://talmar.test{article.path}") for article in articles()]
PASSAGES = [passage for number, page in enumerate(PAGES) for passage in passages_of(page, number)]
TITLES = [page.about.title for page in PAGES]

QUESTIONS = {
    "en": "Who built the {work} of Talmar, and in which year?",
    "de": "Wann wurde das Bauwerk {work} errichtet, und von wem?",
    "fr": "Qui construisit l'ouvrage {work} de Talmar, et en quelle année ?",
    "zh": "塔尔马的{work}是谁在哪一年建成的？",
    "ja": "タルマルの{work}は誰によって何年に建てられたのですか？",
}


def first(question: str) -> str:
    return PASSAGES[by_words(question, PASSAGES, TITLES, 1)[0].passage_id].text


def test_the_passage_that_answers_comes_first_in_every_language() -> None:
    asked = [(article, QUESTIONS[article.language].format(work=article.work)) for article in articles()]
    wrong = [question for article, question in asked if str(article.year) not in first(question)]
    assert len(asked) == 12 * len(WORKS)
    assert not wrong


def test_what_holds_no_word_is_left_out() -> None:
    assert by_words("quantum chromodynamics", PASSAGES, TITLES, 8) == []


def test_a_rare_word_counts_more_than_common_ones() -> None:
    pages = [
        read_plain("The river and the wall and the river in the valley of the river.", "http://a.test/"),
        read_plain("A foundry made bells here for two hundred years and more.", "http://b.test/"),
        *(read_plain(f"The river wall of place {number} is old and grey.", "http://c.test/") for number in range(9)),
    ]
    passages = [passage for number, page in enumerate(pages) for passage in passages_of(page, number)]
    assert by_words("river wall foundry", passages, [""] * 11, 1)[0].passage_id == 1


def test_meaning_may_move_what_words_have_found() -> None:
    passages = PASSAGES[:3]
    ranked = [Ranked(0, 0.4), Ranked(1, 0.35), Ranked(2, 0.3)]
    assert [each.ordinal for each in best(passages, ranked, [], 3)] == [each.ordinal for each in passages]
    assert best(passages, ranked, [0.1, 0.1, 0.9], 3)[0].text == passages[2].text


def _page(*paragraphs: str) -> Page:
    return read_plain("\n\n".join(f"# Part {n}\n\n{text}" for n, text in enumerate(paragraphs)), "http://a.test/")


def test_one_page_does_not_fill_the_list_and_a_copy_counts_once() -> None:
    long = _page(*(f"The harbour, told for the {number}th time in this book." for number in range(9)))
    pages = [long, long, _page("A harbour of another page, which is short.")]
    passages = [passage for number, page in enumerate(pages) for passage in passages_of(page, number)]
    chosen = best(passages, by_words("harbour", passages, [""] * 3, 50), [], 8)
    assert len(chosen) == len({passage.text for passage in chosen}) == 2 * PER_PAGE + 1
    assert max(sum(passage.page == number for passage in chosen) for number in range(3)) == PER_PAGE


def test_a_passage_has_a_fragment_that_spans_it() -> None:
    passage = best(passages_of(PAGES[0], 0), [Ranked(0, 1.0)], [], 1)[0]
    assert passage.place["kind"] == "text"
    assert passage.place["fragment"].startswith("text=The%20harbour%20station%20of%20Talmar,")
    assert passage.place["fragment"].endswith("held%20ever%20since.")


def test_an_excerpt_is_centred_on_what_matched() -> None:
    sentences = [f"Sentence number {number} tells of stones and of water." for number in range(30)]
    sentences[17] = "Here the foundry is named, with its bells."
    text = " ".join(sentences)
    shown = excerpt(text, "Which bells did the foundry make?")
    assert "foundry" in shown and shown.startswith("… ") and shown.endswith(" …")
    assert len(shown) <= 330
    assert 60 < shown.index("Here the foundry") < len(shown) - 60


def test_a_short_text_is_its_own_excerpt_and_a_long_sentence_is_cut() -> None:
    assert excerpt("Short.", "anything") == "Short."
    assert len(excerpt("word " * 500, "word")) <= 330
