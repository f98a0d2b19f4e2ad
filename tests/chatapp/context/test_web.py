"""Pages of the web written for the model, and the queries that a model writes."""

import pytest

from chatapp.context.assembly import Turn
from chatapp.context.queries import MAX_CHARACTERS, asked_for_queries, queries_in
from chatapp.context.sources import Passage, Sources, without_marks
from chatapp.context.web import Web, WebPassage, written_pages

STATION = WebPassage(3, "a", "Harbour station", "Talmar Chronicle", "2024-03-01", "", ("History",), "Built in 1801.")
SAME = WebPassage(4, "a", "Harbour station", "Talmar Chronicle", "2024-03-01", "", (), "By Clara Voss.")
PAPER = WebPassage(5, "b", "paper.pdf", "b.test", "", "page 2", (), "A drawing.")
PIER = Passage(1, "pier.pdf", "page 3", "The pier is 40 m long.")


def web(state: str = "found") -> Web:
    return Web(state, "2026-11-26", (STATION, SAME, PAPER))  # type: ignore[arg-type]


def test_passages_stand_under_their_pages_with_site_and_date() -> None:
    assert written_pages(web().passages) == (
        '<page title="Harbour station" site="Talmar Chronicle" date="2024-03-01">\n[3] (History)\nBuilt in 1801.\n\n'
        '[4]\nBy Clara Voss.\n</page>\n\n<page title="paper.pdf" site="b.test">\n[5] (page 2)\nA drawing.\n</page>'
    )


@pytest.mark.parametrize(("mode", "num_rules"), [("", 1), ("passages", 1), ("notes", 1), ("whole", 1)])
def test_they_come_with_the_question_and_the_day(mode: str, num_rules: int) -> None:
    sources = Sources(mode, (PIER,), notes=("a note [1]",), web=web())  # type: ignore[arg-type]
    question = sources.in_question("Who?")
    assert question.endswith("</page>\n\nWho?") and "Today is 2026-11-26." in question
    assert question.count("Cite nothing else") == num_rules
    assert "2026" not in sources.in_system("Be brief.") and "<page" not in sources.in_system("Be brief.")


@pytest.mark.parametrize(("state", "words"), [("nothing", "nothing readable"), ("failed", "could not be searched")])
def test_a_search_without_pages_is_told_too(state: str, words: str) -> None:
    question = Sources(web=web(state)).in_question("Who?")
    assert words in question and question.endswith("Who?") and "<page" not in question and "[1]" not in question


def test_a_model_that_searches_by_itself_is_told_how_and_where_pages_are() -> None:
    page = WebPassage(1, "a", "Harbour station", "", "", "", (), "Built in 1801.", 'http://a.test/x?[1]"|y')
    alone = Sources(web=Web("none", "2026-11-26", is_deep=True)).in_question("Who?")
    assert alone.startswith("Today is 2026-11-26. Find out") and alone.endswith("\n\nWho?") and "<page" not in alone
    beside = Sources(web=Web("found", "2026-11-26", (page,), is_deep=True)).in_question("Who?")
    assert 'url="http://a.test/x?%5B1%5D%22%7Cy">' in beside and "search_web" in beside


def test_only_the_marks_that_have_left_are_taken_out() -> None:
    assert without_marks("Long [1]. Old [3][4]. See [12].", {3, 4}) == "Long [1]. Old. See [12]."
    assert without_marks("Long [1].", ()) == "Long [1]."


def test_the_model_sees_the_conversation_and_the_day_when_it_writes_queries() -> None:
    turns = [Turn(f"question {number}", f"reply {number}") for number in range(6)]
    system, task = asked_for_queries([*turns, Turn("And when?")], "2026-11-26")
    assert task.content.endswith("The question:\nAnd when?") and "2026-11-26" in task.content
    assert "question 5" in task.content and "question 2" not in task.content and system.role == "system"


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("harbour station Talmar", ["harbour station Talmar"]),
        ("1. one\n2) two\n- three\n* four", ["one", "two", "three"]),
        ('"iron bridge"\n\n"Iron Bridge"', ["iron bridge"]),
        ('Talmar "iron bridge" 1814', ['Talmar "iron bridge" 1814']),
        ("Here are the queries:\n```\n塔尔马 港口泵站 建成\n```", ["塔尔马 港口泵站 建成"]),
        ("The station was built in 1801 by Clara Voss [1].", []),
        ("", []),
        ("...", []),
        ("x" * (MAX_CHARACTERS + 1), []),
        ("Query 1: tide times\nQuery 2: moon", ["tide times", "moon"]),
    ],
)
def test_queries_are_read_from_what_a_model_writes(text: str, queries: list[str]) -> None:
    assert queries_in(text) == queries
