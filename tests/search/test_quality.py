"""The questions that measure retrieval are as many and as mixed as promised; `tests.search.quality` measures."""

from collections import Counter

import pytest

from tests.search.quality.manuals import LANGUAGES
from tests.search.quality.questions import PROMISED, Question, read_questions

QUESTIONS = read_questions()


def of(language: str) -> list[Question]:
    return [each for each in QUESTIONS if each.language == language and each.manner in PROMISED]


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_forty_of_each_language_half_of_them_paraphrased_a_fifth_across(language: str) -> None:
    questions = of(language)
    assert len(questions) >= 40
    assert sum(each.manner == "paraphrase" for each in questions) * 2 >= len(questions)
    assert sum(each.is_across for each in questions) * 5 >= len(questions)


def test_every_question_has_an_answer_and_is_asked_once() -> None:
    assert all(each.sections and each.manner in (*PROMISED, "riddle") for each in QUESTIONS)
    assert Counter(each.text for each in QUESTIONS).most_common(1)[0][1] == 1
